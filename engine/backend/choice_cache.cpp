#include "engine/backend/choice_cache.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "engine/core/new_file.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;
using Choices = std::map<std::string, std::string>;

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

}  // namespace

ChoiceCache::ChoiceCache(std::string title, bool measuring)
    : title_(std::move(title)), measuring_(measuring) {
  if (!measuring) return;
  std::ifstream lines(file());
  std::string first;
  if (std::getline(lines, first) && first == title_) measured_ = parse(std::move(lines));
}

void ChoiceCache::set_given(const std::string& lines, const std::string& source) {
  source_ = source;
  given_ = parse(std::istringstream(lines));
}

std::optional<std::string> ChoiceCache::given(const std::string& key) const { return find(given_, key); }
std::optional<std::string> ChoiceCache::measured(const std::string& key) const {
  return find(measured_, key);
}

void ChoiceCache::keep(const std::string& key, const std::string& choice) {
  measured_[key] = choice;
  save();
}

fs::path ChoiceCache::file() const {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  fs::path folder = cache != nullptr && *cache != '\0' ? fs::path(cache)
                    : home != nullptr && *home != '\0' ? fs::path(home) / ".cache"
                                                       : fs::path();
  if (folder.empty()) return {};
  std::string name = title_;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return folder / "impasto" / ("convolutions-" + name + ".txt");
}

void ChoiceCache::save() const {
  const fs::path path = file();
  if (path.empty()) return;
  std::string text = title_ + '\n';
  for (const auto& [key, choice] : measured_) text += line(key, choice);
  std::error_code ignored;
  fs::create_directories(path.parent_path(), ignored);
  try {
    NewFile out(path.string(), path);
    out.write_at(0, text.data(), text.size());
    out.commit();
  } catch (const Error&) {  // no harm: the next run measures again
  }
}

}  // namespace impasto
