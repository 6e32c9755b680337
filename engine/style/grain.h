#pragma once
// The finest octave of a picture, which the network hardly sees and the optimiser therefore hardly moves.
//
// VGG's first filters are smooth: above 0.4 cycles a pixel, and for differences of colour above 0.25, a
// result keeps what it started with, the photograph's, whatever the painting has (docs/tuning.md). Its energy
// there can be set directly, as Heeger and Bergen (SIGGRAPH 1995) set the histogram of each band of a
// pyramid; here two factors do.
#include <span>

#include "engine/image/image.h"

namespace impasto {

/// Mean squares over a picture of its finest octave, P less P blurred by 1 4 6 4 1 (Burt, Adelson, IEEE
/// Trans. Communications 31, 1983; mirrored at the border), in units of 0..1.
struct Grain {
  double luminance = 0;  ///< of 0.299 R + 0.587 G + 0.114 B
  double colour = 0;     ///< of each channel less that, summed over the channels
};

/// Values outside 0..1 count as the nearest that can be displayed. `visible`: what each pixel counts, 0..1;
/// empty: all count the same.
[[nodiscard]] Grain measure_grain(const Image& image, std::span<const float> visible = {});

/// Clamps the picture to 0..1 and scales its finest octave, luminance and colour by a factor each, towards
/// the energies `wanted`. The factors keep to where that is invisible but for what it mends: luminance from
/// 1 / 1.25 to 1.25, colour from 1/2 to 1, as colour that is missing is no speckle.
void match_grain(Image& image, const Grain& wanted);

}  // namespace impasto
