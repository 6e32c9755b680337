#pragma once
// What a picture says of itself at the end of its comment, behind the command that repeats it: the weights it
// was made with, its recipe, and whether its render came to its end.
#include <filesystem>
#include <optional>
#include <string>

namespace impasto::apps {

struct PictureMark {
  std::string weights;  ///< their digest
  std::string recipe;   ///< recipe.h; empty: not known
  std::string partial;  ///< how far its render came; empty: to its end
};

/// The end of a comment. "" for a mark without weights.
[[nodiscard]] std::string to_text(const PictureMark& mark);
/// Of a picture file; nothing where it has none, as without metadata.
[[nodiscard]] std::optional<PictureMark> read_picture_mark(const std::filesystem::path& file);
/// Does the file say that its render did not come to its end?
[[nodiscard]] bool is_partial_picture(const std::filesystem::path& file);

}  // namespace impasto::apps
