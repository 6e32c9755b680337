#include "apps/places.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/core/error.h"

namespace impasto::apps {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const Place& place, const std::string& expected, const std::string& found) {
  throw Error(ErrorCode::kBadInput,
              place.what + " '" + place.path.string() + "': expected " + expected + ", found " + found);
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// The place itself, whether or not a file is there yet, and whatever links lead to it.
bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  if (fs::equivalent(a, b, ignored)) return true;
  return fs::weakly_canonical(a, ignored) == fs::weakly_canonical(b, ignored);
}

/// Tries to make a file in the folder: permission bits alone do not tell of read-only and special file
/// systems.
void require_writable_folder(const Place& place) {
  std::string name = (folder_of(place.path) / ".impasto-XXXXXX").string();
  const int file = ::mkstemp(name.data());
  if (file < 0) refuse(place, "a folder that can be written", std::strerror(errno));
  ::unlink(name.c_str());
  ::close(file);
}

}  // namespace

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
  std::error_code error;
  const fs::file_status status = fs::status(output.path, error);
  if (fs::is_directory(status)) refuse(output, "a file", "a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) return;  // a device or a pipe
  if (fs::exists(status) && existing == Existing::kRefuse) {
    refuse(output, "no file there, or --overwrite", "a file");
  }
  if (!fs::is_directory(folder_of(output.path), error)) {
    refuse(output, "a folder '" + folder_of(output.path).string() + "'", "none");
  }
  require_writable_folder(output);
}

void require_distinct(const std::vector<Place>& outputs, const std::vector<Place>& inputs) {
  const auto require = [](const Place& a, const Place& b) {
    if (a.path.empty() || b.path.empty() || !same_file(a.path, b.path)) return;
    throw Error(ErrorCode::kUsage, a.what + " '" + a.path.string() + "': expected another file than the " +
                                       b.what + ", found the same");
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (std::size_t j = i + 1; j < outputs.size(); ++j) require(outputs[j], outputs[i]);
    for (const Place& input : inputs) require(outputs[i], input);
  }
}

fs::path numbered(const fs::path& output, long long number) {
  std::array<char, 32> digits{};
  std::snprintf(digits.data(), digits.size(), "-%06lld", number);
  fs::path name = output.stem();
  name += digits.data();
  name += output.extension();
  return output.parent_path() / name;
}

}  // namespace impasto::apps
