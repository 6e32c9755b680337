#include "engine/image/resample.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <numbers>
#include <stdexcept>

#include "engine/core/message.h"
#include "engine/image/sound.h"

namespace impasto::codec {
namespace {

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

/// Alpha as a picture stores it, of a filtered value.
float stored_alpha(float filtered) { return std::clamp(filtered, 0.0F, 1.0F); }

}  // namespace

template <int kChannels>
RowResampler<kChannels>::RowResampler(const RowOrder& order, PixelSize target, Overshoot overshoot,
                                      Store store)
    : order_(order), overshoot_(overshoot), store_(std::move(store)) {
  std::vector<Taps> x = make_taps(order.size.width, target.width);
  std::vector<Taps> y = make_taps(order.size.height, target.height);
  across_ = std::move(order.columns ? x : y);
  along_ = std::move(order.columns ? y : x);
  std::size_t most = 0;
  for (const Taps& taps : across_) most = std::max(most, taps.weights.size());
  // x comes before y: rows of the picture are filtered on their way into the ring, columns behind it.
  const auto length = static_cast<std::size_t>(order.columns ? order.length() : std::ssize(along_));
  ring_.assign(most, std::vector<float>(length * kChannels));
  sum_.resize(length * kChannels);
  if (order.columns) line_.resize(along_.size() * kChannels);
}

template <int kChannels>
void RowResampler<kChannels>::take(const float* row) {
  const std::int64_t targets = std::ssize(across_), place = order_.place(taken_++);
  const auto next = [&] { return order_.from_end ? targets - 1 - emitted_ : emitted_; };
  const auto taps = [&]() -> const Taps& { return across_[static_cast<std::size_t>(next())]; };
  if (emitted_ == targets) return;
  if (order_.from_end ? place > taps().last() : place < taps().first) return;
  std::vector<float>& kept = ring_[static_cast<std::size_t>(place) % ring_.size()];
  if (order_.columns) {
    std::copy_n(row, kept.size(), kept.begin());
  } else {
    filter_row<kChannels>(along_, row, kept.data());
    if (overshoot_ == Overshoot::kClip) clip(kept);
  }
  while (emitted_ < targets && (order_.from_end ? place <= taps().first : place >= taps().last())) {
    emit(next());
    ++emitted_;
  }
}

template <int kChannels>
void RowResampler<kChannels>::emit(std::int64_t place) {
  const Taps& taps = across_[static_cast<std::size_t>(place)];
  const std::size_t length = sum_.size();
  std::fill(sum_.begin(), sum_.end(), 0.0F);
  for (std::size_t k = 0; k < taps.weights.size(); ++k) {
    const float weight = taps.weights[k];
    const float* row = ring_[(static_cast<std::size_t>(taps.first) + k) % ring_.size()].data();
    for (std::size_t i = 0; i < length; ++i) sum_[i] += weight * row[i];
  }
  if (overshoot_ == Overshoot::kClip) clip(sum_);
  if (!order_.columns) return store_(place, sum_);
  filter_row<kChannels>(along_, sum_.data(), line_.data());
  if (overshoot_ == Overshoot::kClip) clip(line_);
  store_(place, line_);
}

template class RowResampler<1>;
template class RowResampler<3>;
template class RowResampler<4>;

namespace {

/// Where the pixels of a row or column are in a picture of that width: the first, and how far the next.
struct Walk {
  std::int64_t start, step;
};
Walk walk(const RowOrder& order, std::int64_t width, std::int64_t place) {
  return order.columns ? Walk{place, width} : Walk{place * width, 1};
}

}  // namespace

ResizedPicture::ResizedPicture(const RowOrder& order, bool alpha, PixelSize target, Overshoot overshoot)
    : order_(order) {
  image_.width = target.width;
  image_.height = target.height;
  image_.rgb.resize(static_cast<std::size_t>(target.pixels()) * 3);
  const auto to_picture = [this](std::int64_t place, const std::vector<float>& line) { store(place, line); };
  if (alpha) {
    image_.alpha.resize(static_cast<std::size_t>(target.pixels()));
    premultiplied_.resize(static_cast<std::size_t>(order.length()) * 4);
    weighted_.emplace(order, target, overshoot, to_picture);
  } else {
    opaque_.emplace(order, target, overshoot, to_picture);
  }
}

void ResizedPicture::take(const float* rgb, const float* alpha) {
  if (opaque_) return opaque_->take(rgb);
  // Filters colour times alpha, and alpha, and divides one by the other.
  const std::size_t length = premultiplied_.size() / 4;
  for (std::size_t x = 0; x < length; ++x) {
    for (std::size_t c = 0; c < 3; ++c) premultiplied_[4 * x + c] = alpha[x] * rgb[3 * x + c];
    premultiplied_[4 * x + 3] = alpha[x];
  }
  weighted_->take(premultiplied_.data());
}

void ResizedPicture::store(std::int64_t place, const std::vector<float>& line) {
  constexpr float kInvisible = 1.0F / 1024;  // less than any 8-bit alpha: the colour would be rounding noise
  auto [at, step] = walk(order_, image_.width, place);
  if (opaque_) {
    if (!order_.columns) {
      std::copy(line.begin(), line.end(), image_.rgb.begin() + 3 * at);
      return;
    }
    for (std::size_t i = 0; i < line.size(); i += 3, at += step)
      std::copy_n(&line[i], 3, &image_.rgb[static_cast<std::size_t>(3 * at)]);
    return;
  }
  for (std::size_t i = 0; i < line.size(); i += 4, at += step) {
    const float a = line[i + 3];  // may overshoot 1, and then the colour times alpha does so as much
    float* const out = &image_.rgb[static_cast<std::size_t>(3 * at)];
    for (std::size_t c = 0; c < 3; ++c)
      out[c] = a < kInvisible ? 0.0F : std::clamp(line[i + c] / a, 0.0F, 1.0F);
    image_.alpha[static_cast<std::size_t>(at)] = stored_alpha(a);
  }
}

ResizedPlane::ResizedPlane(const RowOrder& order, PixelSize target, Overshoot overshoot)
    : order_(order),
      target_(target),
      values_(static_cast<std::size_t>(target.pixels())),
      resampler_(order, target, overshoot, [this](std::int64_t place, const std::vector<float>& line) {
        auto [at, step] = walk(order_, target_.width, place);
        for (const float value : line) {
          values_[static_cast<std::size_t>(at)] = value;
          at += step;
        }
      }) {}

}  // namespace impasto::codec

namespace impasto {
namespace {

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
  codec::ResizedPicture result(codec::RowOrder(image.size()), image.has_alpha(), size, overshoot);
  for (std::int64_t y = 0; y < image.height; ++y) {
    result.take(image.rgb.data() + 3 * y * image.width,
                image.has_alpha() ? image.alpha.data() + y * image.width : nullptr);
  }
  return result.picture();
}

std::vector<float> resize_alpha_checked(const Image& image, PixelSize size) {
  if (size == image.size() || !image.has_alpha()) return image.alpha;
  codec::ResizedPlane plane(codec::RowOrder(image.size()), size, Overshoot::kKeep);
  for (std::int64_t y = 0; y < image.height; ++y) plane.take(image.alpha.data() + y * image.width);
  std::vector<float> alpha = plane.values();
  std::transform(alpha.begin(), alpha.end(), alpha.begin(), codec::stored_alpha);
  return alpha;
}

}  // namespace

Image resize(const Image& image, PixelSize size, Overshoot overshoot) {
  return checked(image, size, [&] { return resize_checked(image, size, overshoot); });
}

std::vector<float> resize_alpha(const Image& image, PixelSize size) {
  return checked(image, size, [&] { return resize_alpha_checked(image, size); });
}

}  // namespace impasto
