#include "engine/style/source_file.h"

#include <algorithm>
#include <array>

#include "engine/core/digest.h"
#include "engine/core/message.h"
#include "engine/image/picture_file.h"
#include "engine/image/resample.h"
#include "engine/image/rows.h"
#include "engine/image/sound.h"
#include "engine/style/picture.h"

namespace impasto {
namespace {

/// digest() of a picture without alpha whose rows come from the upper one on.
class DigestOfRows final : public codec::RowSink {
 public:
  explicit DigestOfRows(PixelSize size) : row_(static_cast<std::size_t>(size.width) * 3) {
    const std::array sides{size.width, size.height};
    sha256_.update(std::span(sides));
  }
  void take(const float* rgb, const float* /*alpha*/) override { sha256_.update(std::span(rgb, row_)); }
  [[nodiscard]] std::string hex() { return sha256_.hex(); }

 private:
  std::size_t row_;
  Sha256 sha256_;
};

/// The means of a picture's channels at some sizes, for as long as its rows are grey.
class GreyRows final : public codec::RowSink {
 public:
  GreyRows(const codec::RowOrder& order, std::span<const PixelSize> sizes)
      : row_(static_cast<std::size_t>(order.length()) * 3), means_(static_cast<std::size_t>(order.length())) {
    for (const PixelSize size : sizes) {
      planes_.push_back(std::make_unique<codec::ResizedPlane>(order, size, Overshoot::kClip));
    }
  }
  void take(const float* rgb, const float* /*alpha*/) override {
    if (!grey_) return;
    const std::span row(rgb, row_);
    grey_ = is_grey(row);
    if (!grey_) return planes_.clear();
    for (std::size_t i = 0; i < means_.size(); ++i) means_[i] = mean_of_channels(&row[3 * i]);
    for (const auto& plane : planes_) plane->take(means_.data());
  }
  [[nodiscard]] bool grey() const { return grey_; }
  [[nodiscard]] std::vector<std::vector<float>> planes() {
    std::vector<std::vector<float>> result;
    for (const auto& plane : planes_) result.push_back(plane->values());
    return result;
  }

 private:
  std::size_t row_;
  std::vector<float> means_;
  std::vector<std::unique_ptr<codec::ResizedPlane>> planes_;
  bool grey_ = true;
};

/// Each size once.
std::vector<PixelSize> distinct(const std::vector<PixelSize>& sizes) {
  std::vector<PixelSize> result;
  for (const PixelSize size : sizes) {
    if (std::find(result.begin(), result.end(), size) == result.end()) result.push_back(size);
  }
  return result;
}

bool is_worth_reducing(const codec::PictureReader& reader, const std::vector<PixelSize>& sizes) {
  const codec::RowOrder order = reader.order();
  if (reader.has_alpha() || order.columns || order.from_end) return false;
  return kept_pixels(order.size, sizes) < order.size.pixels();
}

}  // namespace

std::int64_t kept_pixels(PixelSize own, const std::vector<PixelSize>& sizes) {
  std::int64_t sum = 0;
  for (const PixelSize& size : sizes) sum += size.pixels();
  return sum < own.pixels() / 2 ? sum : own.pixels();
}

std::size_t ReducedPicture::index_of(PixelSize size) const {
  const auto found = std::find_if(pictures_.begin(), pictures_.end(),
                                  [&](const Image& picture) { return picture.size() == size; });
  if (found != pictures_.end()) return static_cast<std::size_t>(found - pictures_.begin());
  throw make_error(ErrorCode::kUsage, "picture: expected one of the sizes at which it was read, found {}",
                   to_string(size));
}

const Image& ReducedPicture::at(PixelSize size) const { return pictures_[index_of(size)]; }

Image ReducedPicture::grey_at(PixelSize size) const {
  const std::vector<float>& plane = planes_.at(index_of(size));
  Image image{size.width, size.height, std::vector<float>(3 * plane.size()), {}};
  for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = plane[i / 3];
  return image;
}

SourceFile::SourceFile(const std::filesystem::path& path, const ChooseSizes& choose, std::int64_t max_pixels,
                       std::vector<std::string>* warnings) {
  const std::vector<std::uint8_t> bytes = codec::read_known_picture_file(path, max_pixels);
  codec::PictureReader reader(bytes, path.string(), max_pixels);
  const std::vector<PixelSize> sizes = distinct(choose(reader.size()));
  for (const PixelSize size : sizes) require_sound(size, path.string());
  if (!is_worth_reducing(reader, sizes)) {
    const std::array own{reader.size()};
    picture_ = std::move(reader.read_at(own, Overshoot::kKeep).front());
  } else {
    DigestOfRows digest(reader.size());
    GreyRows grey(reader.order(), sizes);
    const std::array<codec::RowSink*, 2> besides{&digest, &grey};
    ReducedPicture reduced;
    reduced.size_ = reader.size();
    reduced.pictures_ = reader.read_at(sizes, Overshoot::kClip, besides);
    reduced.digest_ = digest.hex();
    reduced.grey_ = grey.grey();
    reduced.planes_ = grey.planes();
    picture_ = std::move(reduced);
  }
  reader.pass_on_warnings(warnings);
}

PictureRef SourceFile::picture() const {
  if (const auto* const whole = std::get_if<Image>(&picture_)) return whole;
  return &std::get<ReducedPicture>(picture_);
}

std::size_t ReducedPicture::bytes() const {
  std::size_t floats = 0;
  for (const Image& picture : pictures_) floats += picture.rgb.size();
  for (const std::vector<float>& plane : planes_) floats += plane.size();
  return floats * sizeof(float);
}

std::size_t SourceFile::bytes() const {
  if (const auto* const reduced = std::get_if<ReducedPicture>(&picture_)) return reduced->bytes();
  const Image& whole = std::get<Image>(picture_);
  return (whole.rgb.size() + whole.alpha.size()) * sizeof(float);
}

}  // namespace impasto
