#include "apps/places.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

#include "apps/picture_mark.h"
#include "engine/core/file.h"
#include "engine/core/message.h"

namespace impasto::apps {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const Place& place, const std::string& expected, const std::string& found) {
  throw file_error(name_of(place), expected, found);
}

bool same_file(const Place& a, const Place& b) {
  const std::vector<std::string> of_a = identities(a), of_b = identities(b);
  return std::any_of(of_a.begin(), of_a.end(), [&](const std::string& identity) {
    return std::find(of_b.begin(), of_b.end(), identity) != of_b.end();
  });
}

void require_kept(const Place& output, Existing existing) {
  std::error_code ignored;
  if (existing == Existing::kKeep && fs::is_regular_file(output.path, ignored)) {
    refuse(output, "no file there, or --overwrite", "a file");
  }
}

/// Which of the numbered places this is, by its name.
std::optional<long long> number_of(const NumberedPlaces& places, const fs::path& file) {
  const std::string stem = places.output.stem().string() + "-", end = places.output.extension().string();
  const std::string name = file.filename().string();
  if (!name.starts_with(stem) || !name.ends_with(end) || name.size() <= stem.size() + end.size()) return {};
  const char *const first = name.data() + stem.size(), *const last = name.data() + name.size() - end.size();
  if (!std::all_of(first, last, [](unsigned char c) { return std::isdigit(c) != 0; })) return {};
  long long number = 0;
  const auto [stop, error] = std::from_chars(first, last, number);
  if (error != std::errc() || numbered(places.output, number).filename() != name) return {};
  const bool written = number > places.after && number <= places.last && number % places.every == 0;
  return written ? std::optional(number) : std::nullopt;
}

}  // namespace

std::string name_of(const Place& place) { return fmt::format("{} '{}'", place.what, place.path.string()); }

std::vector<std::string> identities(const Place& place) {
  std::error_code ignored;
  const fs::path target = place_behind_links(name_of(place), place.path);
  std::vector<std::string> all{fs::weakly_canonical(fs::absolute(target, ignored), ignored).string()};
  struct stat status {};
  if (::stat(place.path.c_str(), &status) == 0) {  // hard links, too
    all.push_back(fmt::format("{}:{}", status.st_dev, status.st_ino));
  }
  return all;
}

void require_inputs(const std::vector<Place>& inputs) {
  for (const Place& input : inputs) {
    if (input.path.empty()) continue;
    std::error_code error;
    const fs::file_status status = fs::status(input.path, error);
    if (!fs::exists(status)) {
      refuse(input, "a file", status.type() == fs::file_type::not_found ? "nothing there" : error.message());
    }
    if (fs::is_directory(status)) refuse(input, "a file", "a folder");
  }
}

void require_writable(const Place& output, Existing existing) {
  if (output.path.empty()) return;
  require_kept(output, existing);
  const NewFile made_and_gone(name_of(output), output.path);
}

std::unique_ptr<Claim> claim(const Place& output, Existing existing) {
  if (output.path.empty()) return nullptr;
  require_writable(output, existing);  // names the folder's faults better than a lock
  auto claimed = std::make_unique<Claim>(name_of(output), output.path);
  require_kept(output, existing);  // another render may have ended meanwhile
  return claimed;
}

int standard_stream(const fs::path& path) {
  fs::path place = path;
  std::error_code error;
  for (int links = 0; links < 40; ++links) {
    const std::string name = place.string();
    if (name == "/dev/stdout") return 1;
    if (name == "/dev/stderr") return 2;
    for (const std::string_view start : {"/dev/fd/", "/proc/self/fd/"}) {
      if (!name.starts_with(start)) continue;
      int number = -1;
      const char* const end = name.data() + name.size();
      const auto [stop, failed] = std::from_chars(name.data() + start.size(), end, number);
      return failed == std::errc() && stop == end ? number : -1;
    }
    const fs::path next = fs::read_symlink(place, error);
    if (error) return -1;
    place = place.parent_path() / next;
  }
  return -1;
}

void require_stream(const Place& output, Existing existing) {
  if (output.path.empty()) return;
  if (const int stream = standard_stream(output.path); stream >= 0) {
    const int flags = ::fcntl(stream, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) return;
    refuse(output, "a stream that can be written", flags < 0 ? "one that is closed" : "one for reading");
  }
  std::error_code ignored;
  const fs::file_status status = fs::status(output.path, ignored);
  if (fs::is_character_file(status) || fs::is_fifo(status)) return;
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status)) {
    refuse(output, "a file, a pipe or a terminal", fs::is_socket(status) ? "a socket" : "a disk");
  }
  if (fs::is_regular_file(status) && existing == Existing::kReplace) {  // in its place
    if (!Descriptor::open(output.path, Access::kWrite).valid()) {
      throw file_error(name_of(output), "a file that can be written");
    }
    return;
  }
  require_writable(output, existing);
}

void require_distinct(const std::vector<Place>& outputs, const std::vector<Place>& inputs) {
  const auto require = [](const Place& a, const Place& b) {
    if (a.path.empty() || b.path.empty() || !same_file(a, b)) return;
    throw make_error(ErrorCode::kUsage, "{}: expected another file than the {}, found the same", name_of(a),
                     b.what);
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (std::size_t j = i + 1; j < outputs.size(); ++j) require(outputs[j], outputs[i]);
    for (const Place& input : inputs) require(outputs[i], input);
  }
}

fs::path numbered(const fs::path& output, long long number) {
  return with_suffix(output, fmt::format("-{:06}", number));
}

void require_numbered(const NumberedPlaces& places, const std::vector<Place>& others, Existing existing) {
  const long long last = places.last / places.every * places.every;
  if (last <= places.after) return;
  const auto place = [&](long long number) {
    return Place{"intermediate picture", numbered(places.output, number)};
  };
  const fs::path folder = folder_of(places.output);
  std::error_code ignored;
  for (const Place& other : others) {  // also where neither is there yet
    if (other.path.empty()) continue;
    const fs::path target = place_behind_links(name_of(other), other.path);
    const auto number = number_of(places, target);
    if (number && fs::equivalent(folder_of(target), folder, ignored))
      require_distinct({place(*number)}, {other});
  }
  std::vector<Place> links;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    const auto number = number_of(places, entry.path());
    if (!number) continue;
    require_distinct({place(*number)}, others);
    if (entry.is_symlink(ignored)) {  // several may lead to one file
      require_distinct({place(*number)}, links);
      links.push_back(place(*number));
    }
    require_writable(place(*number), existing);
  }
  require_writable(place(last), existing);  // the longest name
}

PartialPlace partial_place(const fs::path& output, Existing partial, const std::vector<Place>& inputs) {
  const auto is_input = [&](const Place& place) {
    return std::any_of(inputs.begin(), inputs.end(),
                       [&](const Place& input) { return !input.path.empty() && same_file(place, input); });
  };
  constexpr int kMost = 100;
  for (int number = 0; number < kMost; ++number) {
    const std::string suffix = number == 1 ? "-partial" : fmt::format("-partial-{}", number);
    const Place place{"partial picture", number == 0 ? output : beside(output, suffix)};
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(place.path, ignored))) return {place.path, Existing::kKeep};
    if (partial == Existing::kReplace && is_partial_picture(place.path) && !is_input(place)) {
      return {place.path, Existing::kReplace};
    }
  }
  throw file_error(fmt::format("output '{}'", output.string()), "a free name for a partial picture beside it",
                   "a hundred that are taken");
}

}  // namespace impasto::apps
