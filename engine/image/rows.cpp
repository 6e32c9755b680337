#include "engine/image/rows.h"

#include <algorithm>
#include <utility>

#include "engine/image/color.h"
#include "engine/image/resample.h"
#include "engine/image/sound.h"

namespace impasto::codec {
namespace {

// Neighbours in a column of the result are neighbours in a row of the source when a picture is turned by a
// quarter: columns are placed this many at a time.
constexpr std::int64_t kBand = 16;

PixelSize upright_size(PixelSize stored, int orientation) {
  return orientation >= 5 ? PixelSize{stored.height, stored.width} : stored;
}

/// The pixels of a row from its last to its first.
void mirror(std::vector<float>& values, std::size_t channels) {
  const std::size_t pixels = values.size() / channels;
  for (std::size_t i = 0; i < pixels / 2; ++i) {
    std::swap_ranges(&values[i * channels], &values[i * channels] + channels,
                     &values[(pixels - 1 - i) * channels]);
  }
}

/// Rows of `length` values in the opposite order.
void flip(std::vector<float>& values, std::int64_t length) {
  const std::int64_t rows = std::ssize(values) / length;
  for (std::int64_t y = 0; y < rows / 2; ++y) {
    const auto row = values.begin() + y * length;
    std::swap_ranges(row, row + length, values.end() - (y + 1) * length);
  }
}

}  // namespace

// EXIF 2.3, tag 0x0112: where the first row and the first column of the stored picture are to be seen.
RowOrder::RowOrder(PixelSize stored, int orientation)
    : size(upright_size(stored, orientation)),
      columns(orientation >= 5),
      from_end(orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) {}

bool RowOrder::mirrored(int orientation) {
  return orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
}

WholePicture::WholePicture(const RowOrder& order, bool alpha) : order_(order), alpha_(alpha) {
  image_.width = order.size.width;
  image_.height = order.size.height;
  const auto pixels = static_cast<std::size_t>(order.size.pixels());
  image_.rgb.reserve(3 * pixels);
  if (alpha) image_.alpha.reserve(pixels);
  if (!order.columns) return;
  band_rgb_.resize(static_cast<std::size_t>(3 * kBand * order.length()));
  if (alpha) band_alpha_.resize(static_cast<std::size_t>(kBand * order.length()));
}

void WholePicture::append(const float* rgb, const float* alpha) {
  image_.rgb.insert(image_.rgb.end(), rgb, rgb + 3 * order_.length());
  if (alpha_) image_.alpha.insert(image_.alpha.end(), alpha, alpha + order_.length());
}

void WholePicture::take(const float* rgb, const float* alpha) {
  const std::int64_t i = taken_++;
  if (!order_.columns) return append(rgb, alpha);
  std::copy_n(rgb, 3 * order_.length(), band_rgb_.begin() + i % kBand * 3 * order_.length());
  if (alpha_) std::copy_n(alpha, order_.length(), band_alpha_.begin() + i % kBand * order_.length());
  if (taken_ % kBand == 0 || taken_ == order_.rows()) place_band();
}

void WholePicture::place_band() {
  const auto pixels = static_cast<std::size_t>(order_.size.pixels());
  image_.rgb.resize(3 * pixels);
  if (alpha_) image_.alpha.resize(pixels);
  const std::int64_t first = (taken_ - 1) / kBand * kBand, count = taken_ - first, length = order_.length();
  for (std::int64_t y = 0; y < length; ++y) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t to = y * order_.size.width + order_.place(first + i), from = i * length + y;
      std::copy_n(&band_rgb_[static_cast<std::size_t>(3 * from)], 3,
                  &image_.rgb[static_cast<std::size_t>(3 * to)]);
      if (alpha_) image_.alpha[static_cast<std::size_t>(to)] = band_alpha_[static_cast<std::size_t>(from)];
    }
  }
}

Image WholePicture::picture() {
  if (!order_.columns && order_.from_end) {
    flip(image_.rgb, 3 * order_.length());
    if (alpha_) flip(image_.alpha, order_.length());
  }
  return std::move(image_);
}

PictureReader::PictureReader(Bytes file, const std::string& name, std::int64_t max_pixels) : name_(name) {
  run_named(name_, [&] {
    const Codec& codec = codec_for_content(file);
    format_ = codec.name;
    decoder_ = codec.open(file, std::min(max_pixels, kMostPixels));
  });
}

PictureReader::~PictureReader() = default;

RowOrder PictureReader::order() const {
  const Header& header = decoder_->header();
  return {PixelSize{header.width, header.height}, header.orientation};
}

void PictureReader::decode(std::span<RowSink* const> sinks) {
  const Header& header = decoder_->header();
  SrgbConverter converter(header);
  const auto width = static_cast<std::size_t>(header.width);
  std::vector<float> rgb(3 * width), alpha(header.alpha ? width : 0);
  float* const alpha_row = header.alpha ? alpha.data() : nullptr;
  const bool mirrored = RowOrder::mirrored(header.orientation);
  for (std::int64_t y = 0; y < header.height; ++y) {
    converter.convert(decoder_->next_row(), header.width, rgb.data(), alpha_row);
    if (mirrored) {
      mirror(rgb, 3);
      mirror(alpha, 1);
    }
    for (RowSink* const sink : sinks) sink->take(rgb.data(), alpha_row);
  }
  decoder_->finish(of_pixels_);
  profile_unused_ = !converter.uses_profile();
}

void PictureReader::read(std::span<RowSink* const> sinks) {
  run_named(name_, [&] { decode(sinks); });
}

std::vector<Image> PictureReader::read_at(std::span<const PixelSize> sizes, Overshoot overshoot,
                                          std::span<RowSink* const> others) {
  std::vector<Image> pictures;
  run_named(name_, [&] {
    std::vector<std::unique_ptr<PictureSink>> made;
    std::vector<RowSink*> sinks(others.begin(), others.end());
    for (const PixelSize wanted : sizes) {
      if (wanted == size()) {
        made.push_back(std::make_unique<WholePicture>(order(), has_alpha()));
      } else {
        made.push_back(std::make_unique<ResizedPicture>(order(), has_alpha(), wanted, overshoot));
      }
      sinks.push_back(made.back().get());
    }
    decode(sinks);
    for (const auto& sink : made) pictures.push_back(sink->picture());
  });
  return pictures;
}

void PictureReader::pass_on_warnings(std::vector<std::string>* to) const {
  if (to == nullptr) return;
  for (const std::vector<std::string>* found : {&decoder_->header().warnings, &of_pixels_}) {
    for (const std::string& warning : *found) to->push_back(name_ + ": " + warning);
  }
  if (profile_unused_) to->push_back(fmt::format("{}: {}", name_, kProfileUnused));
}

void PictureReader::look_at_profile() {
  run_named(name_, [&] { profile_unused_ = !SrgbConverter(decoder_->header()).uses_profile(); });
}

}  // namespace impasto::codec
