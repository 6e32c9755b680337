#pragma once
// What a picture is made of: a digest of the bytes of its input files, of the weights and of every option
// that changes the result. Two renders of one recipe make one picture, so a batch leaves out what is there.
// Version, device and precision are no part of it.
#include <filesystem>
#include <map>
#include <mutex>
#include <string>

#include "apps/render_arguments.h"

namespace impasto::apps {

/// Of the bytes of files, each read once. For any number of threads.
class FileDigests {
 public:
  /// SHA-256 in hex; empty for what is no file (a pipe can be read only once). Error(kBadInput) naming `what`
  /// for a file that cannot be read.
  [[nodiscard]] std::string of(const std::string& what, const std::filesystem::path& file);

 private:
  std::mutex mutex_;
  std::map<std::filesystem::path, std::string> known_;
};

/// Empty where an input is no file.
[[nodiscard]] std::string make_recipe(const RenderArguments& arguments, const StyleOptions& options,
                                      const std::string& weights_digest, FileDigests& digests);

/// For pictures that are to say nothing of themselves: a file ".NAME.recipe" beside them.
[[nodiscard]] std::filesystem::path recipe_file(const std::filesystem::path& output);
/// Written before the picture, so that no picture is there without it: it goes for any other file than the
/// one that is there now.
void announce_recipe(const std::filesystem::path& output, const std::string& recipe);
/// Written after it: it goes for this picture alone.
void settle_recipe(const std::filesystem::path& output, const std::string& recipe);

/// Is the output a finished picture of this recipe?
[[nodiscard]] bool is_made_by(const std::filesystem::path& output, const std::string& recipe);

}  // namespace impasto::apps
