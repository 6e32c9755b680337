// Separable resampling: each source row is filtered along x once, when the first output row needs it, and
// kept in a ring until the last one has used it; output rows are weighted sums of what is in the ring.
#include <algorithm>
#include <cmath>
#include <new>
#include <numbers>
#include <stdexcept>

#include "engine/core/message.h"
#include "engine/image/sound.h"

namespace impasto {
namespace {

/// The weights of source samples first, first + 1, ... for one output sample; they sum to 1.
struct Taps {
  std::int64_t first = 0;
  std::vector<float> weights;
};

double lanczos3(double x) {
  if (std::abs(x) >= 3) return 0;
  if (x == 0) return 1;
  const double t = std::numbers::pi * x;
  return 3 * std::sin(t) * std::sin(t / 3) / (t * t);
}

/// Output sample i is centred at (i + 0.5) * scale, source sample j at j + 0.5; when shrinking the filter is
/// widened by `scale`, which is what keeps it free of aliasing.
std::vector<Taps> make_taps(std::int64_t source, std::int64_t target) {
  const double scale = static_cast<double>(source) / static_cast<double>(target);
  const double stretch = std::max(scale, 1.0), support = 3 * stretch;
  std::vector<Taps> all(static_cast<std::size_t>(target));
  for (std::int64_t i = 0; i < target; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first =
        std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(centre - support + 0.5)));
    const auto last =
        std::min<std::int64_t>(source, static_cast<std::int64_t>(std::floor(centre + support + 0.5)));
    std::vector<double> weights;
    double sum = 0;
    for (std::int64_t j = first; j < last; ++j) {
      weights.push_back(lanczos3((static_cast<double>(j) + 0.5 - centre) / stretch));
      sum += weights.back();
    }
    Taps& taps = all[static_cast<std::size_t>(i)];
    taps.first = first;
    for (const double weight : weights) taps.weights.push_back(static_cast<float>(weight / sum));
  }
  return all;
}

/// out[x] = sum_k weights[k] * row[first + k], for pixels of kChannels floats.
template <int kChannels>
void filter_row(const std::vector<Taps>& columns, const float* row, float* out) {
  for (const Taps& taps : columns) {
    float sum[kChannels] = {};
    const float* pixel = row + taps.first * kChannels;
    for (const float weight : taps.weights) {
      for (int c = 0; c < kChannels; ++c) sum[c] += weight * pixel[c];
      pixel += kChannels;
    }
    for (int c = 0; c < kChannels; ++c) out[c] = sum[c];
    out += kChannels;
  }
}

void clip(std::vector<float>& values) {
  for (float& value : values) value = std::clamp(value, 0.0F, 1.0F);
}

/// load(y) gives source row y, store(line) takes the next output row; both of kChannels floats a pixel.
template <int kChannels, class Load, class Store>
void resize_rows(const std::vector<Taps>& columns, const std::vector<Taps>& rows, Overshoot overshoot,
                 const Load& load, const Store& store) {
  std::size_t most = 0;
  for (const Taps& taps : rows) most = std::max(most, taps.weights.size());
  const std::size_t length = columns.size() * kChannels;
  std::vector<std::vector<float>> ring(most, std::vector<float>(length));
  std::vector<float> line(length);
  std::size_t filtered = 0;  // source rows before this one are or were in the ring
  for (const Taps& taps : rows) {
    const auto first = static_cast<std::size_t>(taps.first);
    for (filtered = std::max(filtered, first); filtered < first + taps.weights.size(); ++filtered) {
      std::vector<float>& row = ring[filtered % most];
      filter_row<kChannels>(columns, load(filtered), row.data());
      if (overshoot == Overshoot::kClip) clip(row);
    }
    std::fill(line.begin(), line.end(), 0.0F);
    for (std::size_t k = 0; k < taps.weights.size(); ++k) {
      const float weight = taps.weights[k];
      const float* row = ring[(first + k) % most].data();
      for (std::size_t i = 0; i < length; ++i) line[i] += weight * row[i];
    }
    if (overshoot == Overshoot::kClip) clip(line);
    store(line);
  }
}

/// Alpha as a picture stores it, of a filtered value.
float stored_alpha(float filtered) { return std::clamp(filtered, 0.0F, 1.0F); }

void resize_opaque(const Image& image, const std::vector<Taps>& columns, const std::vector<Taps>& rows,
                   Overshoot overshoot, Image& result) {
  const auto width = static_cast<std::size_t>(image.width);
  float* out = result.rgb.data();
  resize_rows<3>(
      columns, rows, overshoot, [&](std::size_t y) { return image.rgb.data() + y * width * 3; },
      [&](const std::vector<float>& line) { out = std::copy(line.begin(), line.end(), out); });
}

/// Filters colour times alpha, and alpha, and divides one by the other.
void resize_with_alpha(const Image& image, const std::vector<Taps>& columns, const std::vector<Taps>& rows,
                       Overshoot overshoot, Image& result) {
  constexpr float kInvisible = 1.0F / 1024;  // less than any 8-bit alpha: the colour would be rounding noise
  const auto width = static_cast<std::size_t>(image.width);
  std::vector<float> premultiplied(width * 4);
  float* out = result.rgb.data();
  float* out_alpha = result.alpha.data();
  const auto load = [&](std::size_t y) {
    const float* from = image.rgb.data() + y * width * 3;
    const float* alpha = image.alpha.data() + y * width;
    for (std::size_t x = 0; x < width; ++x) {
      for (std::size_t c = 0; c < 3; ++c) premultiplied[4 * x + c] = alpha[x] * from[3 * x + c];
      premultiplied[4 * x + 3] = alpha[x];
    }
    return premultiplied.data();
  };
  const auto store = [&](const std::vector<float>& line) {
    for (std::size_t i = 0; i < line.size(); i += 4) {
      const float a = line[i + 3];  // may overshoot 1, and then the colour times alpha does so as much
      for (std::size_t c = 0; c < 3; ++c) {
        *out++ = a < kInvisible ? 0.0F : std::clamp(line[i + c] / a, 0.0F, 1.0F);
      }
      *out_alpha++ = stored_alpha(a);
    }
  };
  resize_rows<4>(columns, rows, overshoot, load, store);
}

/// Checks both, then resizes by `body`; memory that is not there is an Error.
template <class Body>
auto checked(const Image& image, PixelSize size, const Body& body) {
  require_sound(size, "resize");
  require_sound(image, "resize");
  // Beyond this no machine has the memory, but some promise it.
  constexpr std::int64_t kMostInMemory = std::int64_t{1} << 34;
  try {
    if (size.pixels() <= kMostInMemory) return body();
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  throw make_error(ErrorCode::kResources, "resize: expected enough memory for {}, found too little",
                   to_string(size));
}

Image resize_checked(const Image& image, PixelSize size, Overshoot overshoot) {
  if (size == image.size()) return image;
  Image result;
  result.width = size.width;
  result.height = size.height;
  result.rgb.resize(static_cast<std::size_t>(size.pixels()) * 3);
  if (image.has_alpha()) result.alpha.resize(static_cast<std::size_t>(size.pixels()));
  const std::vector<Taps> columns = make_taps(image.width, size.width);
  const std::vector<Taps> rows = make_taps(image.height, size.height);
  if (image.has_alpha()) {
    resize_with_alpha(image, columns, rows, overshoot, result);
  } else {
    resize_opaque(image, columns, rows, overshoot, result);
  }
  return result;
}

std::vector<float> resize_alpha_checked(const Image& image, PixelSize size) {
  if (size == image.size() || !image.has_alpha()) return image.alpha;
  std::vector<float> result(static_cast<std::size_t>(size.pixels()));
  const auto width = static_cast<std::size_t>(image.width);
  float* out = result.data();
  resize_rows<1>(
      make_taps(image.width, size.width), make_taps(image.height, size.height), Overshoot::kKeep,
      [&](std::size_t y) { return image.alpha.data() + y * width; },
      [&](const std::vector<float>& line) {
        out = std::transform(line.begin(), line.end(), out, stored_alpha);
      });
  return result;
}

}  // namespace

Image resize(const Image& image, PixelSize size, Overshoot overshoot) {
  return checked(image, size, [&] { return resize_checked(image, size, overshoot); });
}

std::vector<float> resize_alpha(const Image& image, PixelSize size) {
  return checked(image, size, [&] { return resize_alpha_checked(image, size); });
}

}  // namespace impasto
