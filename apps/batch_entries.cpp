#include "apps/batch_entries.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "apps/places.h"
#include "apps/render_run.h"
#include "engine/core/file.h"
#include "engine/core/message.h"

namespace impasto::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxManifest = std::size_t{1} << 30, kMaxDepth = 4;

/// One line as an object. Error(kBadInput) for what is none; `twice` is a key that it has more than once.
nlohmann::json parse_object(const std::string& where, std::string_view line, std::string& twice) {
  std::vector<std::string> keys;
  const auto look = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    if (static_cast<std::size_t>(depth) > kMaxDepth) {
      throw file_error(where, "an object of texts and numbers", "one that is too deep");
    }
    if (event != nlohmann::json::parse_event_t::key || depth != 1) return true;
    const auto& key = parsed.get_ref<const std::string&>();
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) twice = key;
    keys.push_back(key);
    return true;
  };
  try {
    nlohmann::json object = nlohmann::json::parse(line.begin(), line.end(), look);
    if (!object.is_object()) throw file_error(where, "a JSON object", object.type_name());
    return object;
  } catch (const nlohmann::json::parse_error& error) {
    throw file_error(where, "a JSON object", fmt::format("an error at byte {}", error.byte));
  } catch (const nlohmann::json::exception&) {  // a number that is too large
    throw file_error(where, "a JSON object", "a value that cannot be read");
  }
}

/// A name of a file.
std::string file_of(const std::string& key, const nlohmann::json& value) {
  const std::string text = value.is_string() ? value.get<std::string>() : std::string();
  if (!text.empty() && text.find('\0') == std::string::npos) return text;
  throw make_error(ErrorCode::kUsage, "'{}': expected the name of a file, found {}", key,
                   value.is_string() ? "none" : value.type_name());
}

std::vector<std::string> styles_of(const nlohmann::json& value) {
  if (!value.is_array()) return {file_of("style", value)};
  if (value.empty()) throw Error(ErrorCode::kUsage, "'style': expected at least one file, found none");
  std::vector<std::string> files;
  for (const nlohmann::json& one : value) files.push_back(file_of("style", one));
  return files;
}

void set_option_of(RenderArguments& arguments, const std::string& key, const nlohmann::json& value) {
  const EntryOption option = find_entry_option(key);
  const bool fits = option.is_flag ? value.is_boolean() : value.is_string() || value.is_number();
  if (!fits) {
    throw make_error(ErrorCode::kUsage, "option '{}': expected {}, found {}", key,
                     option.is_flag ? "true or false" : "a text or a number", value.type_name());
  }
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.find('\0') != std::string::npos) {
    throw make_error(ErrorCode::kUsage, "option '{}': expected a text, found a zero in it", key);
  }
  option.set(arguments, text);
}

/// The files first, so that an entry whose option is wrong is known by them.
void read_object(const nlohmann::json& object, RenderArguments& arguments) {
  const auto take = [&](const char* key) -> const nlohmann::json& {
    if (object.contains(key)) return object.at(key);
    throw make_error(ErrorCode::kUsage, "'{}': expected a file, found none", key);
  };
  arguments.content = file_of("content", take("content"));
  arguments.styles = styles_of(take("style"));
  arguments.output = file_of("output", take("output"));
  for (const auto& [key, value] : object.items()) {
    if (key != "content" && key != "style" && key != "output") set_option_of(arguments, key, value);
  }
}

/// Runs what may find the entry at fault.
template <class Work>
void blame(BatchEntry& entry, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (!entry.fault) entry.fault = Error(error.code(), fmt::format("{}: {}", entry.where, error.what()));
  }
}

BatchEntry begin_entry(std::size_t index, std::size_t line, std::string where,
                       const RenderArguments& defaults) {
  BatchEntry entry{index, line, std::move(where), defaults, {}, {}};
  entry.arguments.output.clear();
  return entry;
}

/// By name, so that the order is the same everywhere.
std::vector<fs::path> pictures_in(const std::string& what, const std::string& folder) {
  std::vector<std::string> suffixes;
  for (const ImageFormat& format : image_formats()) {
    suffixes.insert(suffixes.end(), format.suffixes.begin(), format.suffixes.end());
  }
  std::vector<fs::path> pictures;
  std::error_code error;
  for (fs::directory_iterator next(folder, error), end; !error && next != end; next.increment(error)) {
    std::error_code ignored;
    std::string suffix = next->path().extension().string();
    std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool hidden = next->path().filename().string().starts_with('.');
    if (!hidden && next->is_regular_file(ignored) &&
        std::find(suffixes.begin(), suffixes.end(), suffix) != suffixes.end()) {
      pictures.push_back(next->path());
    }
  }
  if (error) throw file_error(fmt::format("{} '{}'", what, folder), "a folder of pictures", error.message());
  if (pictures.empty())
    throw file_error(fmt::format("{} '{}'", what, folder), "at least one picture", "none");
  std::sort(pictures.begin(), pictures.end());
  return pictures;
}

constexpr std::string_view kContent = "{content}", kStyle = "{style}";

std::string fill_in(const std::string& pattern, const fs::path& content, const fs::path& style) {
  std::string name;
  for (std::string_view rest = pattern; !rest.empty();) {
    if (rest.starts_with(kContent)) {
      name += content.stem().string();
      rest.remove_prefix(kContent.size());
    } else if (rest.starts_with(kStyle)) {
      name += style.stem().string();
      rest.remove_prefix(kStyle.size());
    } else {
      name += rest.front();
      rest.remove_prefix(1);
    }
  }
  return name;
}

}  // namespace

std::vector<BatchEntry> read_manifest(const fs::path& file, const RenderArguments& defaults) {
  const std::string what = fmt::format("manifest '{}'", file.string());
  const std::vector<std::uint8_t> bytes =
      read_file(what, file, [&](std::span<const std::uint8_t>, std::size_t size) {
        if (size > kMaxManifest) throw file_error(what, "a file of lines", "one that is too large");
      });
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<BatchEntry> entries;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{} line {}", what, number);
    std::string twice;
    const nlohmann::json object = parse_object(where, line, twice);
    BatchEntry& entry = entries.emplace_back(begin_entry(entries.size(), number, where, defaults));
    blame(entry, [&] {
      if (!twice.empty())
        throw make_error(ErrorCode::kUsage, "'{}': expected it once, found it twice", twice);
      read_object(object, entry.arguments);
      entry.options = checked_options(entry.arguments);
    });
  }
  if (entries.empty()) throw file_error(what, "at least one entry", "none");
  return entries;
}

std::vector<BatchEntry> multiply_folders(const PictureFolders& folders, const RenderArguments& defaults) {
  const std::vector<fs::path> contents = pictures_in("option --contents", folders.contents);
  const std::vector<fs::path> styles = pictures_in("option --styles", folders.styles);
  const auto require = [&](std::string_view word, std::size_t pictures) {
    if (pictures == 1 || folders.output.find(word) != std::string::npos) return;
    throw make_error(ErrorCode::kUsage, "option --output: expected {} in it, found '{}'", word,
                     folders.output);
  };
  require(kContent, contents.size());
  require(kStyle, styles.size());
  std::vector<BatchEntry> entries;
  for (const fs::path& content : contents) {
    for (const fs::path& style : styles) {
      BatchEntry& entry = entries.emplace_back(
          begin_entry(entries.size(), entries.size() + 1,
                      fmt::format("'{}' in the style of '{}'", content.string(), style.string()), defaults));
      entry.arguments.content = content.string();
      entry.arguments.styles = {style.string()};
      entry.arguments.output = fill_in(folders.output, content, style);
      blame(entry, [&] { entry.options = checked_options(entry.arguments); });
    }
  }
  return entries;
}

void find_clashes(std::vector<BatchEntry>& entries) {
  struct Use {
    std::string what;
    const BatchEntry* entry;
  };
  std::map<std::string, Use> inputs, outputs;
  const auto refuse = [](const Place& output, const Use& use) {
    throw make_error(ErrorCode::kUsage, "{}: expected another file than the {} of {}, found the same",
                     name_of(output), use.what, use.entry->where);
  };
  for (BatchEntry& entry : entries) {
    const RenderArguments& a = entry.arguments;
    std::vector<Place> read{{"content picture", a.content}, {"initial picture", a.start_picture}};
    for (const std::string& style : a.styles) read.push_back({"style picture", style});
    for (const Place& place : read) {
      if (place.path.empty()) continue;
      blame(entry, [&] {
        for (const std::string& identity : identities(place)) inputs.insert({identity, {place.what, &entry}});
      });
    }
  }
  for (BatchEntry& entry : entries) {
    const Place output{"output", entry.arguments.output};
    if (output.path.empty()) continue;
    blame(entry, [&] {
      const std::vector<std::string> names = identities(output);
      for (const std::string& identity : names) {
        if (const auto found = inputs.find(identity); found != inputs.end()) refuse(output, found->second);
        if (const auto found = outputs.find(identity); found != outputs.end()) refuse(output, found->second);
      }
      for (const std::string& identity : names) outputs.insert({identity, {"output", &entry}});
    });
  }
}

}  // namespace impasto::apps
