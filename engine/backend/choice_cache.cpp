#include "engine/backend/choice_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <sstream>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/core/environment.h"
#include "engine/core/file.h"
#include "engine/core/new_file.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Choices = std::map<std::string, std::string>;

constexpr off_t kMostBytes = off_t{4} << 20;  // 50,000 choices
constexpr auto kMostWaiting = 10s;

Choices parse(std::istream&& lines) {
  Choices choices;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find(" = ");
    if (at != std::string::npos) choices[line.substr(0, at)] = line.substr(at + 3);
  }
  return choices;
}

std::optional<std::string> find(const Choices& choices, const std::string& key) {
  const auto found = choices.find(key);
  return found == choices.end() ? std::nullopt : std::optional(found->second);
}

/// Empty: nowhere.
fs::path folder_path() {
  const fs::path cache = environment_folder("XDG_CACHE_HOME"), home = environment_folder("HOME");
  if (cache.empty() && home.empty()) return {};
  return (cache.empty() ? home / ".cache" : cache) / "impasto";
}

/// Not valid where there is none that is this user's alone.
Descriptor open_folder() {
  const fs::path path = folder_path();
  if (path.empty()) return {};
  Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!folder.valid() || ::fstat(folder.number(), &status) != 0 || status.st_uid != ::geteuid()) return {};
  const bool others_write = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  if (others_write && ::fchmod(folder.number(), 0700) != 0) return {};
  return folder;
}

void make_folder() {
  const fs::path path = folder_path();
  if (path.empty()) return;
  std::error_code ignored;
  fs::create_directories(path.parent_path().parent_path(), ignored);
  ::mkdir(path.parent_path().c_str(), 0700);
  ::mkdir(path.c_str(), 0700);
}

/// False where another holds the folder for long: it may be stopped. A file system without locks is gone on
/// with.
bool lock(const Descriptor& folder) {
  const auto end = std::chrono::steady_clock::now() + kMostWaiting;
  while (::flock(folder.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return true;
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

/// Of a plain file of this title; none of a link, a pipe or anything else.
Choices read(const Descriptor& folder, const std::string& name, const std::string& title) {
  const Descriptor file = Descriptor::open_in(folder, name, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  if (!file.valid() || ::fstat(file.number(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  if (status.st_size > kMostBytes) return {};
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const auto got = file.read(text.data(), text.size());
  std::istringstream lines(text.substr(0, got.value_or(0)));
  std::string first;
  return std::getline(lines, first) && first == title ? parse(std::move(lines)) : Choices();
}

/// Not through a link: what stands there that is no plain file goes first.
void write(const Descriptor& folder, const std::string& name, const std::string& text) {
  struct stat status {};
  if (::fstatat(folder.number(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(status.st_mode))
    ::unlinkat(folder.number(), name.c_str(), 0);
  const fs::path place = folder_path() / name;
  NewFile out(place.string(), place);
  out.write_at(0, text.data(), text.size());
  out.commit();
}

}  // namespace

ChoiceCache::ChoiceCache(std::string title, bool measuring, std::chrono::milliseconds pause)
    : title_(std::move(title)), measuring_(measuring), pause_(pause) {
  if (!measuring) return;
  if (const Descriptor folder = open_folder(); folder.valid()) measured_ = read(folder, file_name(), title_);
}

ChoiceCache::~ChoiceCache() { save(); }

void ChoiceCache::set_given(const std::string& lines, const std::string& source) {
  source_ = source;
  given_ = parse(std::istringstream(lines));
}

std::optional<std::string> ChoiceCache::given(const std::string& key) const { return find(given_, key); }
std::optional<std::string> ChoiceCache::measured(const std::string& key) const {
  return find(measured_, key);
}

void ChoiceCache::keep(const std::string& key, const std::string& choice) {
  measured_[key] = unsaved_[key] = choice;
  if (std::chrono::steady_clock::now() - saved_ >= pause_) save();
}

std::string ChoiceCache::file_name() const {
  std::string name = title_;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return "convolutions-" + name + ".txt";
}

void ChoiceCache::save() noexcept try {
  if (unsaved_.empty()) return;
  saved_ = std::chrono::steady_clock::now();
  make_folder();
  const Descriptor folder = open_folder();
  if (!folder.valid() || !lock(folder)) return;
  Choices all = read(folder, file_name(), title_);
  for (const auto& [key, choice] : unsaved_) all[key] = choice;
  std::string text = title_ + '\n';
  for (const auto& [key, choice] : all) text += line(key, choice);
  write(folder, file_name(), text);
  unsaved_.clear();                // not before: what could not be written is written next time
} catch (const std::exception&) {  // no harm: the next run measures again
}

}  // namespace impasto
