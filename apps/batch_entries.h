#pragma once
// What a batch is to make: the lines of a manifest, or the product of two folders of pictures.
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/render_arguments.h"
#include "engine/core/error.h"

namespace impasto::apps {

struct BatchEntry {
  std::size_t index = 0;  ///< among all entries, from 0
  std::size_t line = 0;   ///< of the manifest, from 1; in a product its number
  std::string where;      ///< "manifest 'm.jsonl' line 7"
  RenderArguments arguments;
  StyleOptions options;
  std::optional<Error> fault;  ///< what is wrong with it alone
};

/// JSON lines: {"content": FILE, "style": FILE or [FILE, ...], "output": FILE, and options of a render by
/// their long names}, on top of the defaults; empty lines count for nothing. Error(kBadInput) for a file
/// that is none of JSON lines or has no entry; what is wrong with an object is its entry's fault.
[[nodiscard]] std::vector<BatchEntry> read_manifest(const std::filesystem::path& file,
                                                    const RenderArguments& defaults);

struct PictureFolders {
  std::string contents, styles;
  std::string output;  ///< a name with {content} and {style} in it: the files' names without suffix
};
/// Each picture of the one folder in the style of each of the other, by name. Error(kBadInput) for a folder
/// that cannot be read or has no picture, kUsage for an output that would be the same for several.
[[nodiscard]] std::vector<BatchEntry> multiply_folders(const PictureFolders& folders,
                                                       const RenderArguments& defaults);

/// An entry whose output is another's, or an input of any, has that fault.
void find_clashes(std::vector<BatchEntry>& entries);

}  // namespace impasto::apps
