#include "engine/style/schedule.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/core/message.h"
#include "engine/core/text.h"
#include "engine/image/sound.h"

namespace impasto {

namespace {

/// Of a style picture beside the last scale.
double style_long_side(const StyleOptions& options, const RenderSizes::Style& style, PixelSize last) {
  double long_side = 0;
  if (options.style_size == 0) {
    long_side = static_cast<double>(style.size.long_side());
  } else if (options.style_size > 0) {
    long_side = static_cast<double>(options.style_size);
  } else {
    long_side = static_cast<double>(last.long_side()) * options.style_scale;
  }
  return long_side * style.scale;
}

}  // namespace

void require_sound(const RenderSizes& sizes, const StyleOptions& options) {
  require_sound(sizes.content, "content");
  const bool is_own = options.size == 0 || options.size == StyleOptions::kLargest;
  const PixelSize last = is_own ? sizes.content : fit_long_side(sizes.content, options.size);
  if (last.long_side() > kMostSide) {
    throw make_error(ErrorCode::kUsage, "size: expected sides of at most {} pixels, found {}", kMostSide,
                     to_string(last));
  }
  for (std::size_t i = 0; i < sizes.styles.size(); ++i) {
    const RenderSizes::Style& style = sizes.styles[i];
    const std::string what = fmt::format("style picture {}", i + 1);
    require_sound(style.size, what);
    if (!std::isfinite(style.scale) || style.scale <= 0) {
      throw make_error(ErrorCode::kUsage, "{}: expected a scale above 0, found {}", what, style.scale);
    }
    const double long_side = style_long_side(options, style, last);
    const auto most = static_cast<double>(kMostSide);
    if (!(long_side <= most)) {
      throw make_error(ErrorCode::kUsage,
                       "{}: expected at most {} pixels a side beside the result, found {}; a smaller style "
                       "scale or size is needed",
                       what, kMostSide, format_number(long_side));
    }
  }
}

PixelSize fit_long_side(PixelSize size, std::int64_t long_side) {
  const auto longest = static_cast<double>(size.long_side());
  const auto scaled = [&](std::int64_t side) {
    return std::max<std::int64_t>(
        1, std::llround(static_cast<double>(side) * static_cast<double>(long_side) / longest));
  };
  return {scaled(size.width), scaled(size.height)};
}

std::vector<PixelSize> scale_sizes(const StyleOptions& options, PixelSize content, std::int64_t min_side) {
  const PixelSize last = options.size == 0 ? content : fit_long_side(content, options.size);
  if (last.short_side() < min_side) {
    throw make_error(ErrorCode::kUsage,
                     "size: expected sides of at least {} pixels for these layers, found {}", min_side,
                     to_string(last));
  }
  std::vector<PixelSize> sizes{last};
  const std::int64_t long_side = last.long_side();
  for (int k = 1;; ++k) {
    const std::int64_t coarse = std::llround(std::ldexp(static_cast<double>(long_side), -k));
    const bool wanted = options.min_size > 0 ? coarse >= options.min_size : k < options.num_scales;
    if (!wanted || coarse < 1) break;
    const PixelSize size = fit_long_side(last, coarse);
    if (size.short_side() < min_side) break;
    sizes.insert(sizes.begin(), size);
  }
  return sizes;
}

PixelSize style_picture_size(const StyleOptions& options, const RenderSizes::Style& style, PixelSize scale,
                             PixelSize last, std::int64_t min_side) {
  const double long_side = style_long_side(options, style, last);
  const double shrink = static_cast<double>(scale.long_side()) / static_cast<double>(last.long_side());
  PixelSize size = fit_long_side(style.size, std::max<std::int64_t>(1, std::llround(long_side * shrink)));
  size.width = std::max(size.width, min_side);
  size.height = std::max(size.height, min_side);
  return size;
}

}  // namespace impasto
