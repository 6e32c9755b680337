#include "apps/recipe.h"

#include <sys/stat.h>

#include <array>
#include <fstream>
#include <optional>
#include <sstream>

#include "apps/picture_mark.h"
#include "engine/core/digest.h"
#include "engine/core/file.h"
#include "engine/core/message.h"
#include "engine/core/new_file.h"
#include "engine/options/option_table.h"

namespace impasto::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char *kNoFile = "none", *kOf = "of", *kOtherThan = "other-than";

/// Of a file; nothing for what is none or cannot be read, with the reason in errno.
std::optional<std::string> digest_of(const fs::path& file) {
  const Descriptor in = Descriptor::open(file, Access::kReadNow);
  struct stat status {};
  if (!in.valid() || ::fstat(in.number(), &status) != 0) return {};
  if (!S_ISREG(status.st_mode)) return "";
  Sha256 digest;
  std::array<char, 1 << 16> bytes;
  while (true) {
    const auto got = in.read(bytes.data(), bytes.size());
    if (!got) return {};
    digest.update(bytes.data(), *got);
    if (*got < bytes.size()) return digest.hex();
  }
}

std::string digest_or_none(const fs::path& file) {
  const auto digest = digest_of(file);
  return digest && !digest->empty() ? *digest : kNoFile;
}

/// "RECIPE of DIGEST" or "RECIPE other-than DIGEST".
void write_recipe(const fs::path& output, const std::string& recipe, const char* goes_for) {
  const std::string text = fmt::format("{} {} {}\n", recipe, goes_for, digest_or_none(output));
  NewFile file(fmt::format("recipe '{}'", recipe_file(output).string()), recipe_file(output));
  file.write_at(0, text.data(), text.size());
  file.commit();
}

}  // namespace

std::string FileDigests::of(const std::string& what, const fs::path& file) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = known_.find(file); known != known_.end()) return known->second;
  }
  const auto digest = digest_of(file);
  if (!digest) throw file_error(fmt::format("{} '{}'", what, file.string()), "a readable file");
  const std::lock_guard lock(mutex_);
  return known_[file] = *digest;
}

std::string make_recipe(const RenderArguments& a, const StyleOptions& options,
                        const std::string& weights_digest, FileDigests& digests) {
  bool all_files = true;
  std::string text = "impasto recipe 1\n";
  const auto add_file = [&](const std::string& what, const std::string& path) {
    const std::string digest = digests.of(what, path);
    all_files = all_files && !digest.empty();
    text += what + " " + digest + "\n";
  };
  add_file("content picture", a.content);
  for (const std::string& style : a.styles) add_file("style picture", style);
  if (!a.start_picture.empty()) add_file("initial picture", a.start_picture);
  text += "weights " + weights_digest + "\n";
  for (const auto& [name, value] : describe(options)) {
    // One that is off counts as one that there was not yet; a preset is what it sets.
    if (name == "preset" || find_option(name).off == value) continue;
    text += name + " " + value + "\n";
  }
  text += fmt::format("output-bits {}\nquality {}\n", a.write.bits, a.write.quality);
  if (!all_files) return {};
  Sha256 digest;
  digest.update(text);
  return digest.hex();
}

fs::path recipe_file(const fs::path& output) {
  return folder_of(output) / ("." + output.filename().string() + ".recipe");
}

void announce_recipe(const fs::path& output, const std::string& recipe) {
  write_recipe(output, recipe, kOtherThan);
}
void settle_recipe(const fs::path& output, const std::string& recipe) { write_recipe(output, recipe, kOf); }

bool is_made_by(const fs::path& output, const std::string& recipe) {
  if (recipe.empty()) return false;
  if (const auto mark = read_picture_mark(output)) return mark->recipe == recipe && mark->partial.empty();
  std::ifstream file(recipe_file(output));
  std::string made_by, goes_for, digest;
  file >> made_by >> goes_for >> digest;
  if (made_by != recipe || (goes_for != kOf && goes_for != kOtherThan)) return false;
  const std::string there = digest_or_none(output);
  return there != kNoFile && (there == digest) == (goes_for == kOf);
}

}  // namespace impasto::apps
