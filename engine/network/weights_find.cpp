// Where weights are looked for, and what a file that was found there is.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "engine/core/environment.h"
#include "engine/network/weights_file.h"

namespace impasto {
namespace weights {
namespace {

namespace fs = std::filesystem;

/// What is said of a file that is no published one: how its layers were told, or from which it differs.
std::string note_on(const Weights& weights, const std::string& differs) {
  if (!differs.empty()) return fmt::format("weights '{}': unknown, differs from {}", weights.name, differs);
  if (weights.layout.starts_with(kOwnLayout)) return "";  // it says itself what it is
  const bool by_order = weights.layout.ends_with("without names");
  std::string text =
      fmt::format("weights '{}': unknown, taken for {} by the {} of its {} {} ({})", weights.name,
                  weights.network == "vgg19" ? "VGG-19" : "VGG-16", by_order ? "number and order" : "names",
                  weights.layers.size(), by_order ? "3x3 convolutions" : "convolutions", weights.layout);
  bool widths = true;
  for (const ConvWeights& layer : weights.layers) {
    const int block = layer.name[4] - '0';  // conv3_2
    widths = widths && layer.out_channels == (block < 4 ? 32 << block : 512);
  }
  if (!widths) text += ", with other numbers of channels";
  return text + ", and its input prepared as Keras does";
}

[[noreturn]] void refuse_as(const Known& expected, const WeightFile& file, const ContentDigest& content,
                            const std::string& differs) {
  const std::string again = fmt::format("; get it again with: impasto weights fetch {}", expected.name);
  if (*expected.content != '\0') {
    refuse(file.name(), fmt::format("expected {} with the content digest {}, found {}{}{}", expected.name,
                                    expected.content, content.whole,
                                    differs.empty() ? "" : ", which differs from " + differs, again));
  }
  refuse(file.name(), fmt::format("expected {} of {} bytes, MD5 {}, found {} bytes, {}{}", expected.name,
                                  expected.bytes, expected.md5, file.bytes(), file.md5(), again));
}

/// Folders in the order they are searched. $IMPASTO_WEIGHTS counts here where it is a folder.
std::vector<fs::path> search_folders() {
  std::vector<fs::path> folders;
  std::error_code ignored;
  const fs::path given = environment_path("IMPASTO_WEIGHTS");
  if (!given.empty() && fs::is_directory(given, ignored)) folders.push_back(given);
  const fs::path data = environment_folder("XDG_DATA_HOME"), home = environment_folder("HOME");
  if (!data.empty()) {
    folders.push_back(data / "impasto");
  } else if (!home.empty()) {
    folders.push_back(home / ".local/share/impasto");
  }
  // The installation's: PREFIX/share/impasto of the program in PREFIX/bin.
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  if (program.has_parent_path()) folders.push_back(program.parent_path().parent_path() / "share/impasto");
  return folders;
}

/// The file $IMPASTO_WEIGHTS names, if it names one.
std::optional<fs::path> given_file() {
  const fs::path given = environment_path("IMPASTO_WEIGHTS");
  std::error_code ignored;
  if (given.empty() || fs::is_directory(given, ignored)) return std::nullopt;
  return given;
}

std::optional<fs::path> locate(const Known& known) {
  std::error_code ignored;
  const auto given = given_file();
  if (given && given->filename() == known.file_name && fs::exists(*given, ignored)) return given;
  for (const fs::path& folder : search_folders()) {
    fs::path candidate = folder / known.file_name;
    if (fs::is_regular_file(candidate, ignored)) return candidate;
  }
  return std::nullopt;
}

[[noreturn]] void not_found(const std::string& name, const std::string& to_fetch) {
  std::string searched;
  for (const fs::path& folder : search_folders()) {
    if (!searched.empty()) searched += ", ";
    searched += printable(folder.string(), 200);
  }
  throw make_error(ErrorCode::kBadInput,
                   "weights{}: expected a file in {}, found none; fetch with: impasto weights fetch {}",
                   name.empty() ? "" : " '" + name + "'", searched, to_fetch);
}

/// "random:7" and "random-vgg16:7"; nothing if the text is no such thing.
std::optional<Weights> generated(const std::string& text) {
  for (const char* network : {"vgg19", "vgg16"}) {
    const std::string prefix = network == std::string("vgg19") ? "random:" : "random-vgg16:";
    if (!text.starts_with(prefix)) continue;
    std::uint64_t seed = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + prefix.size(), end, seed);
    if (error != std::errc{} || stop != end) {
      throw make_error(ErrorCode::kUsage, "weights: expected {}SEED with a seed of 0 to 2^64-1, found '{}'",
                       prefix, printable(text));
    }
    return random_weights(network, seed);
  }
  return std::nullopt;
}

bool is_name(const std::string& text) {
  const auto table = known_table();
  return text.empty() ||
         std::any_of(table.begin(), table.end(), [&](const Known& known) { return text == known.name; });
}

/// A file that a name may stand for.
struct Candidate {
  fs::path file;
  const Known* known = nullptr;  ///< which it must be; null: any
};

/// Those that are there, the first one first; none for what is no name.
std::vector<Candidate> candidates(const std::string& name) {
  std::vector<Candidate> found;
  if (name.empty()) {
    if (const auto given = given_file()) found.push_back({*given});
  }
  for (const Known& known : known_table()) {
    if (!name.empty() && name != known.name) continue;
    if (const auto file = locate(known)) found.push_back({*file, &known});
  }
  return found;
}

}  // namespace

Weights load_as(const fs::path& path, const Known* expected, std::span<const Known> table) {
  const WeightFile file = check_file(path);
  Weights weights = read_in_child(file, limits_for(file.bytes()));
  const ContentDigest content = content_digest(weights);
  const Recognition found = recognise(file, weights, content, table);
  file.require_unchanged();
  if (expected != nullptr &&
      (found.known == nullptr || std::string_view(found.known->name) != expected->name))
    refuse_as(*expected, file, content, found.differs);
  weights.name = printable(path.filename().string());
  weights.digest = content.whole;
  if (found.known == nullptr) {
    weights.note = note_on(weights, found.differs);
    return weights;
  }
  weights.name = found.known->name;
  weights.source = found.known->source + (weights.source.empty() ? "" : "; file: " + weights.source);
  weights.licence = found.known->licence;
  weights.preprocessing = found.known->preprocessing;
  return weights;
}

}  // namespace weights

Weights load_weights(const std::filesystem::path& file) { return weights::load_as(file, nullptr); }

Weights find_weights(const std::string& name_or_path) {
  using namespace weights;
  if (auto random = generated(name_or_path)) return std::move(*random);
  const std::vector<Candidate> found = candidates(name_or_path);
  if (!found.empty()) return load_as(found.front().file, found.front().known);
  if (is_name(name_or_path)) not_found(name_or_path, name_or_path.empty() ? "vgg16" : name_or_path);
  std::error_code ignored;
  if (!std::filesystem::exists(name_or_path, ignored) && name_or_path.find('/') == std::string::npos) {
    refuse(name_or_path, "expected a file, or vgg19, vgg16, hed-vgg16 or random:SEED, found neither");
  }
  return load_weights(name_or_path);
}

std::vector<std::filesystem::path> weight_files(const std::string& name_or_path) {
  std::vector<std::filesystem::path> files;
  for (const weights::Candidate& candidate : weights::candidates(name_or_path)) {
    files.push_back(candidate.file);
  }
  if (!weights::is_name(name_or_path)) files.emplace_back(name_or_path);
  std::erase_if(files, [](const std::filesystem::path& file) {
    std::error_code ignored;
    return !std::filesystem::is_regular_file(file, ignored);
  });
  return files;
}

std::vector<KnownWeights> known_weights() {
  std::vector<KnownWeights> result;
  for (const weights::Known& k : weights::known_table())
    result.push_back(
        {k.name, k.file_name, k.description, k.licence, k.bytes, k.md5, k.content, weights::locate(k)});
  return result;
}

}  // namespace impasto
