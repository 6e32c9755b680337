#pragma once
// The pictures that a render works from, as few times as they must be made: opaque ones are borrowed as they
// are, and each is resized once for a scale.
#include <optional>
#include <utility>
#include <vector>

#include "engine/image/image.h"
#include "engine/style/render.h"

namespace impasto {

/// A picture that is borrowed, whole or at some sizes, or its own where it had to be changed or resized.
class SourcePicture {
 public:
  SourcePicture() = default;
  explicit SourcePicture(const Image& borrowed) : borrowed_(&borrowed) {}
  explicit SourcePicture(Image&& own) : own_(std::move(own)) {}
  explicit SourcePicture(const ReducedPicture& borrowed) : reduced_(&borrowed) {}
  /// Not of one that is there at some sizes: that has at().
  [[nodiscard]] const Image& image() const { return own_ ? *own_ : *borrowed_; }
  [[nodiscard]] bool is_grey() const;
  void make_grey();
  /// The same at that size: borrowed from this one where it has it.
  [[nodiscard]] SourcePicture at(PixelSize size) const;

 private:
  const Image* borrowed_ = nullptr;
  std::optional<Image> own_;
  const ReducedPicture* reduced_ = nullptr;
  bool grey_ = false;  // what is asked of it
};

/// All without transparency, and grey where all of them are.
class Sources {
 public:
  /// Borrows from the input's pictures, which must outlive it; its start is looked at if `with_start`.
  Sources(const RenderInput& input, bool with_start);

  [[nodiscard]] bool grey() const { return grey_; }
  [[nodiscard]] const SourcePicture& content() const { return content_; }
  [[nodiscard]] const SourcePicture& start() const { return start_; }
  [[nodiscard]] const SourcePicture& style(std::size_t i) const { return styles_[i]; }

 private:
  SourcePicture content_, start_;
  std::vector<SourcePicture> styles_;
  bool grey_ = false;
};

}  // namespace impasto
