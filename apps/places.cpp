#include "apps/places.h"

#include "engine/core/file.h"
#include "engine/core/message.h"

namespace impasto::apps {
namespace {

namespace fs = std::filesystem;

std::string name_of(const Place& place) { return fmt::format("{} '{}'", place.what, place.path.string()); }

[[noreturn]] void refuse(const Place& place, const std::string& expected, const std::string& found) {
  throw file_error(name_of(place), expected, found);
}

/// The place itself, whether or not a file is there yet, and whatever links lead to it.
bool same_file(const Place& a, const Place& b) {
  std::error_code ignored;
  if (fs::equivalent(a.path, b.path, ignored)) return true;
  const auto place = [&](const Place& p) {
    return fs::weakly_canonical(place_behind_links(name_of(p), p.path), ignored);
  };
  return place(a) == place(b);
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
  std::error_code ignored;
  const fs::file_status status = fs::status(output.path, ignored);
  if (fs::is_regular_file(status) && existing == Existing::kRefuse) {
    refuse(output, "no file there, or --overwrite", "a file");
  }
  const NewFile made_and_gone(name_of(output), output.path);
}

void require_stream(const Place& output, Existing existing) {
  std::error_code ignored;
  const fs::file_status status = fs::status(output.path, ignored);
  const bool file = fs::is_regular_file(status) || fs::is_directory(status);
  if (fs::exists(status) && !file) return;  // a terminal, a pipe
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
  fs::path name = output.stem();
  name += fmt::format("-{:06}", number);
  name += output.extension();
  return output.parent_path() / name;
}

}  // namespace impasto::apps
