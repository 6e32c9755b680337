#pragma once
// Lanczos-3 of a picture whose rows come one by one, from a ring of those that the filter covers: it holds
// the result, and no more of the source than that ring.
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "engine/image/rows.h"

namespace impasto::codec {

/// The weights of source samples first, first + 1, ... for one output sample; they sum to 1.
struct Taps {
  std::int64_t first = 0;
  std::vector<float> weights;
  [[nodiscard]] std::int64_t last() const { return first + static_cast<std::int64_t>(weights.size()) - 1; }
};

/// Rows of pixels of kChannels floats (1, 3 or 4). The result is the same to the last bit in whatever order
/// they come: filtered along x, then y, of the upright picture, each sum from its first sample to its last.
template <int kChannels>
class RowResampler {
 public:
  /// Takes row or column `place` of the upright result, kChannels floats a pixel.
  using Store = std::function<void(std::int64_t place, const std::vector<float>& line)>;
  RowResampler(const RowOrder& order, PixelSize target, Overshoot overshoot, Store store);
  void take(const float* row);

 private:
  void emit(std::int64_t place);

  RowOrder order_;
  Overshoot overshoot_;
  Store store_;
  std::vector<Taps> along_, across_;
  std::vector<std::vector<float>> ring_;  // row i of the source in i % size
  std::vector<float> sum_, line_;
  std::int64_t taken_ = 0, emitted_ = 0;
};

extern template class RowResampler<1>;
extern template class RowResampler<3>;
extern template class RowResampler<4>;

/// resize() of a picture that comes in that order. Colour is weighted by alpha.
class ResizedPicture final : public PictureSink {
 public:
  ResizedPicture(const RowOrder& order, bool alpha, PixelSize target, Overshoot overshoot);
  void take(const float* rgb, const float* alpha) override;
  [[nodiscard]] Image picture() override { return std::move(image_); }

 private:
  void store(std::int64_t place, const std::vector<float>& line);

  RowOrder order_;
  Image image_;
  std::optional<RowResampler<3>> opaque_;
  std::optional<RowResampler<4>> weighted_;
  std::vector<float> premultiplied_;
};

/// resize_alpha() alone, or any other plane of numbers.
class ResizedPlane {
 public:
  ResizedPlane(const RowOrder& order, PixelSize target, Overshoot overshoot);
  ResizedPlane(const ResizedPlane&) = delete;
  ResizedPlane& operator=(const ResizedPlane&) = delete;
  void take(const float* row) { resampler_.take(row); }
  [[nodiscard]] std::vector<float> values() { return std::move(values_); }

 private:
  RowOrder order_;
  PixelSize target_;
  std::vector<float> values_;
  RowResampler<1> resampler_;
};

}  // namespace impasto::codec
