#pragma once
// From the colours of a file to sRGB, row by row.
#include <memory>
#include <vector>

#include "engine/image/codec.h"

namespace impasto::codec {

/// What turns a file's rows into encoded sRGB, 0..1: by the embedded profile if it is usable.
class SrgbConverter {
 public:
  /// Of the header's model, alpha, bits and profile. Error(kResources) without memory for a conversion.
  explicit SrgbConverter(const Header& header);
  ~SrgbConverter();
  SrgbConverter(const SrgbConverter&) = delete;
  SrgbConverter& operator=(const SrgbConverter&) = delete;

  /// False where there is a profile that cannot be used, which the user should know.
  [[nodiscard]] bool uses_profile() const { return fits_; }
  /// `pixels` pixels as the header says; rgb takes 3 values for each, alpha one (null: not wanted).
  void convert(const std::uint8_t* row, std::int64_t pixels, float* rgb, float* alpha);

 private:
  struct ColourTransform;
  template <class T>
  void choose(const Header& header);
  template <class T>
  void convert_as(const std::uint8_t* row, std::int64_t pixels, float* rgb, float* alpha);

  ColourModel model_;
  int channels_, bits_;
  bool fits_ = true;
  std::vector<float> table_;                    // of each value of a colour, where that is all there is to do
  std::vector<float> alpha_table_;              // of each value of alpha
  std::unique_ptr<ColourTransform> transform_;  // or this
};

/// An ICC profile of sRGB; always the same bytes.
[[nodiscard]] const std::vector<std::uint8_t>& srgb_profile();

/// The chromaticities (x, y) and the decoding curve of an RGB space.
struct RgbSpace {
  double white[2] = {0.3127, 0.3290};
  double red[2] = {0.64, 0.33}, green[2] = {0.30, 0.60}, blue[2] = {0.15, 0.06};
  enum class Curve : std::uint8_t { kSrgb, kBt709, kPower } curve = Curve::kSrgb;
  double power = 1;  ///< light = value^power, with kPower
};
/// An ICC profile of it; empty where the numbers are no colour space.
[[nodiscard]] std::vector<std::uint8_t> rgb_profile(const RgbSpace& space);

}  // namespace impasto::codec
