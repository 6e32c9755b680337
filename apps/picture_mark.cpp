#include "apps/picture_mark.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "engine/core/file.h"

namespace impasto::apps {
namespace {

constexpr std::string_view kWeights = " # weights ", kRecipe = ", recipe ", kPartial = ", partial: ";
constexpr std::size_t kDigestLetters = 64;  // of SHA-256

/// Takes what is of these characters off the front of the text.
std::string take(std::string_view& text, std::string_view characters) {
  const std::string_view taken = text.substr(0, text.find_first_not_of(characters));
  text.remove_prefix(taken.size());
  return std::string(taken);
}

/// Names of files may hold anything, but stand before the weights' digest, behind which the mark goes on.
std::optional<PictureMark> mark_in(std::string_view text) {
  const std::size_t at = text.rfind(kWeights);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + kWeights.size());
  PictureMark mark;
  mark.weights = take(text, "0123456789abcdefghijklmnopqrstuvwxyz:-");
  if (text.starts_with(kRecipe)) {
    text.remove_prefix(kRecipe.size());
    std::string_view digest = text.substr(0, kDigestLetters);  // behind it may be anything: a checksum
    text.remove_prefix(digest.size());
    mark.recipe = take(digest, "0123456789abcdef");
  }
  if (text.starts_with(kPartial)) {
    text.remove_prefix(kPartial.size());
    mark.partial = take(text, "0123456789abcdefghijklmnopqrstuvwxyz ");
  }
  return mark;
}

}  // namespace

std::string to_text(const PictureMark& mark) {
  std::string text = std::string(kWeights) + mark.weights;
  if (!mark.recipe.empty()) text.append(kRecipe).append(mark.recipe);
  if (!mark.partial.empty()) text.append(kPartial).append(mark.partial);
  return text;
}

std::optional<PictureMark> read_picture_mark(const std::filesystem::path& file) {
  constexpr off_t kWindow = 1 << 20;  // metadata stand at one end or the other
  const Descriptor in = Descriptor::open(file, Access::kReadNow);
  struct stat status {};
  if (!in.valid() || ::fstat(in.number(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  std::string text(static_cast<std::size_t>(std::min<off_t>(status.st_size, kWindow)), '\0');
  for (const off_t at : {off_t{0}, std::max<off_t>(status.st_size - kWindow, 0)}) {
    const auto got =
        ::lseek(in.number(), at, SEEK_SET) == at ? in.read(text.data(), text.size()) : std::nullopt;
    if (!got) continue;
    if (auto mark = mark_in(std::string_view(text).substr(0, *got))) return mark;
  }
  return {};
}

bool is_partial_picture(const std::filesystem::path& file) {
  const auto mark = read_picture_mark(file);
  return mark && !mark->partial.empty();
}

}  // namespace impasto::apps
