#pragma once
// Pictures as a render borrows them: whole, or, where they are much larger than it is, at the sizes at which
// it reads them.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "engine/core/size.h"
#include "engine/image/image.h"

namespace impasto {

/// An opaque picture at some sizes, with what a render wants to know of the whole.
class ReducedPicture {
 public:
  [[nodiscard]] PixelSize size() const { return size_; }               ///< of the whole
  [[nodiscard]] const std::string& digest() const { return digest_; }  ///< as checkpoints have it
  [[nodiscard]] bool is_grey() const { return grey_; }                 ///< all over
  /// resize(whole, size, Overshoot::kClip), to the last bit. Error(kUsage) for another size than was asked
  /// for when it was read.
  [[nodiscard]] const Image& at(PixelSize size) const;
  /// The same of the whole with each pixel's channels replaced by their mean. Requires is_grey().
  [[nodiscard]] Image grey_at(PixelSize size) const;

 private:
  friend class SourceFile;
  [[nodiscard]] std::size_t index_of(PixelSize size) const;
  [[nodiscard]] std::size_t bytes() const;

  PixelSize size_;
  std::string digest_;
  bool grey_ = false;
  std::vector<Image> pictures_;
  std::vector<std::vector<float>> planes_;  // of the same sizes, of the means, where all is grey
};

/// A picture that is borrowed, or none.
class PictureRef {
 public:
  PictureRef() = default;
  PictureRef(std::nullptr_t) {}
  PictureRef(const Image* whole) : whole_(whole) {}
  PictureRef(const ReducedPicture* reduced) : reduced_(reduced) {}
  [[nodiscard]] bool is_none() const { return whole_ == nullptr && reduced_ == nullptr; }
  [[nodiscard]] const Image* whole() const { return whole_; }               ///< null where it is not
  [[nodiscard]] const ReducedPicture* reduced() const { return reduced_; }  ///< null where it is whole
  [[nodiscard]] PixelSize size() const { return whole_ != nullptr ? whole_->size() : reduced_->size(); }
  [[nodiscard]] bool has_alpha() const { return whole_ != nullptr && whole_->has_alpha(); }

 private:
  const Image* whole_ = nullptr;
  const ReducedPicture* reduced_ = nullptr;
};

/// Of an opaque picture of that size that a render reads at these sizes: what SourceFile keeps.
[[nodiscard]] std::int64_t kept_pixels(PixelSize own, const std::vector<PixelSize>& sizes);

/// A picture that was read for a render.
class SourceFile {
 public:
  SourceFile() = default;
  /// `choose` says at which sizes the render reads it. Where these are together less than half of it, it is
  /// read at them alone; but whole where it has alpha, whose average colour is of the whole, and where its
  /// file has not the upper row first, as its digest takes them. Errors and warnings as of read_image_at.
  SourceFile(const std::filesystem::path& path, const ChooseSizes& choose, std::int64_t max_pixels,
             std::vector<std::string>* warnings);
  [[nodiscard]] PictureRef picture() const;
  /// That it takes.
  [[nodiscard]] std::size_t bytes() const;

 private:
  std::variant<Image, ReducedPicture> picture_;
};

}  // namespace impasto
