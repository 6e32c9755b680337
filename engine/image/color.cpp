// From the colours of a file to sRGB, with Little CMS.
#include <algorithm>
#include <array>
#include <cmath>

#include <lcms2.h>

#include "engine/image/codec.h"

namespace impasto::codec {
namespace {

struct ProfileDeleter {
  void operator()(void* profile) const { cmsCloseProfile(profile); }
};
struct TransformDeleter {
  void operator()(void* transform) const { cmsDeleteTransform(transform); }
};
using Profile = std::unique_ptr<void, ProfileDeleter>;
using Transform = std::unique_ptr<void, TransformDeleter>;

Transform open_transform(const Profile& from, cmsUInt32Number from_type, cmsUInt32Number to_type,
                         cmsUInt32Number flags) {
  const Profile srgb(cmsCreate_sRGBProfile());
  return Transform(cmsCreateTransform(from.get(), from_type, srgb.get(), to_type,
                                      INTENT_RELATIVE_COLORIMETRIC, flags | cmsFLAGS_BLACKPOINTCOMPENSATION));
}

/// sRGB comes in many slightly different profiles. One that moves no colour by half an 8-bit step is taken
/// as sRGB itself, so that the usual picture is neither slowed down nor rounded.
bool is_srgb(const Profile& profile) {
  constexpr float kTolerance = 0.5F / 255;
  constexpr int kSteps = 8;
  std::vector<float> in;
  for (int i = 0; i < kSteps * kSteps * kSteps; ++i) {
    for (const int digit : {i % kSteps, i / kSteps % kSteps, i / kSteps / kSteps}) {
      in.push_back(static_cast<float>(digit) / (kSteps - 1));
    }
  }
  std::vector<float> out(in.size());
  const Transform transform = open_transform(profile, TYPE_RGB_FLT, TYPE_RGB_FLT, cmsFLAGS_NOOPTIMIZE);
  if (!transform) return false;
  cmsDoTransform(transform.get(), in.data(), out.data(), static_cast<cmsUInt32Number>(in.size() / 3));
  return std::equal(in.begin(), in.end(), out.begin(),
                    [](float a, float b) { return std::abs(a - b) < kTolerance; });
}

template <class T>
constexpr float kScale = 1.0F / static_cast<float>(static_cast<T>(~T{0}));

/// A table of all values is exact for 8 and 16 bits, and shared by the channels.
template <class T>
std::vector<float> identity_table() {
  std::vector<float> table(std::size_t{1} << 8 * sizeof(T));
  const auto top = static_cast<float>(table.size() - 1);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i) / top;
  return table;
}

/// colours of `image` += table[sample]; grey is repeated.
template <class T>
void look_up(const Raster& raster, const std::vector<float>& table, Image& image) {
  const int channels = raster.channels();
  const bool grey = raster.model == ColourModel::kGrey;
  const T* from = reinterpret_cast<const T*>(raster.samples.get());
  float* to = image.rgb.data();
  for (std::int64_t i = 0; i < image.pixels(); ++i, from += channels, to += 3) {
    to[0] = table[from[0]];
    to[1] = table[from[grey ? 0 : 1]];
    to[2] = table[from[grey ? 0 : 2]];
  }
}

/// Inks that filter light independently: far from any real press, but right for white, black and hue.
template <class T>
void convert_naive_cmyk(const Raster& raster, Image& image) {
  const int channels = raster.channels();
  const T* from = reinterpret_cast<const T*>(raster.samples.get());
  float* to = image.rgb.data();
  for (std::int64_t i = 0; i < image.pixels(); ++i, from += channels, to += 3) {
    const float light = 1 - static_cast<float>(from[3]) * kScale<T>;
    for (int c = 0; c < 3; ++c) to[c] = (1 - static_cast<float>(from[c]) * kScale<T>)*light;
  }
}

Profile open_profile(const std::vector<std::uint8_t>& icc) {
  if (icc.empty()) return nullptr;
  return Profile(cmsOpenProfileFromMem(icc.data(), static_cast<cmsUInt32Number>(icc.size())));
}

/// A grey picture's profile is applied to a table of all its values. An RGB profile is taken for the curve
/// that it gives to R = G = B. Empty where the profile does not fit.
std::vector<float> grey_table(const Profile& profile, int bits) {
  const cmsColorSpaceSignature space = cmsGetColorSpace(profile.get());
  if (space != cmsSigGrayData && space != cmsSigRgbData) return {};
  const std::size_t repeat = space == cmsSigRgbData ? 3 : 1;
  const Transform transform =
      open_transform(profile, repeat == 3 ? TYPE_RGB_FLT : TYPE_GRAY_FLT, TYPE_RGB_FLT, cmsFLAGS_NOOPTIMIZE);
  if (!transform) return {};
  const std::vector<float> values =
      bits == 8 ? identity_table<std::uint8_t>() : identity_table<std::uint16_t>();
  std::vector<float> in, out(3 * values.size());
  for (const float value : values) in.insert(in.end(), repeat, value);
  cmsDoTransform(transform.get(), in.data(), out.data(), static_cast<cmsUInt32Number>(values.size()));
  std::vector<float> table;
  for (std::size_t i = 0; i < values.size(); ++i) table.push_back(std::clamp(out[3 * i + 1], 0.0F, 1.0F));
  return table;
}

/// Row by row; false where the profile does not fit the picture.
bool convert_by_profile(const Raster& raster, const Profile& profile, Image& image) {
  const bool cmyk = raster.model == ColourModel::kCmyk, lab = raster.model == ColourModel::kLab;
  if (!profile) return false;
  if (cmsGetColorSpace(profile.get()) != (cmyk ? cmsSigCmykData : lab ? cmsSigLabData : cmsSigRgbData)) {
    return false;
  }
  const auto bytes = static_cast<cmsUInt32Number>(raster.bits / 8);
  const cmsUInt32Number type = COLORSPACE_SH(cmyk  ? PT_CMYK
                                             : lab ? PT_Lab
                                                   : PT_RGB) |
                               CHANNELS_SH(static_cast<cmsUInt32Number>(raster.colours())) | BYTES_SH(bytes) |
                               EXTRA_SH(raster.alpha ? 1U : 0U);
  const auto width = static_cast<cmsUInt32Number>(raster.width);
  // Little CMS is fast where it may build tables, which are good for 8 bits but not for 16.
  const bool exact = raster.bits == 16 && !cmyk;
  const Transform transform = open_transform(profile, type, exact ? TYPE_RGB_FLT : TYPE_RGB_16,
                                             exact ? cmsFLAGS_NOOPTIMIZE : cmsFLAGS_HIGHRESPRECALC);
  if (!transform) return false;
  std::vector<std::uint16_t> line(exact ? 0 : 3 * static_cast<std::size_t>(raster.width));
  for (std::int64_t y = 0; y < raster.height; ++y) {
    float* to = image.rgb.data() + y * raster.width * 3;
    if (exact) {
      cmsDoTransform(transform.get(), raster.row(y), to, width);
      for (std::int64_t i = 0; i < 3 * raster.width; ++i) to[i] = std::clamp(to[i], 0.0F, 1.0F);
    } else {
      cmsDoTransform(transform.get(), raster.row(y), line.data(), width);
      for (std::size_t i = 0; i < line.size(); ++i)
        to[i] = static_cast<float>(line[i]) * kScale<std::uint16_t>;
    }
  }
  return true;
}

/// False where the picture has a profile that cannot be used.
template <class T>
bool convert_colours(const Raster& raster, Image& image) {
  const Profile profile = open_profile(raster.icc);
  const bool rgb = profile && cmsGetColorSpace(profile.get()) == cmsSigRgbData;
  bool fits = profile || raster.icc.empty();
  switch (raster.model) {
    case ColourModel::kGrey: {
      std::vector<float> table;
      const bool plain = !profile || (rgb && is_srgb(profile));
      if (!plain) table = grey_table(profile, raster.bits);
      fits = fits && (plain || !table.empty());
      look_up<T>(raster, table.empty() ? identity_table<T>() : table, image);
      return fits;
    }
    case ColourModel::kRgb: {
      const bool plain = !profile || (rgb && is_srgb(profile));
      const bool converted = !plain && convert_by_profile(raster, profile, image);
      if (!converted) look_up<T>(raster, identity_table<T>(), image);
      return fits && (plain || converted);
    }
    case ColourModel::kCmyk:
      if (convert_by_profile(raster, profile, image)) return true;
      convert_naive_cmyk<T>(raster, image);
      return raster.icc.empty();
    case ColourModel::kLab:  // says itself what its numbers mean
      if (!convert_by_profile(raster, Profile(cmsCreateLab4Profile(nullptr)), image)) {
        throw Error(ErrorCode::kResources, "Little CMS: expected a conversion from Lab, found none");
      }
      return true;
  }
  return true;
}

template <class T>
bool convert(const Raster& raster, Image& image) {
  const bool fits = convert_colours<T>(raster, image);
  if (raster.alpha) {
    const int channels = raster.channels();
    const std::vector<float> table = identity_table<T>();
    const T* from = reinterpret_cast<const T*>(raster.samples.get()) + channels - 1;
    for (float& a : image.alpha) {
      a = table[*from];
      from += channels;
    }
  }
  return fits;
}

std::vector<std::uint8_t> saved(const Profile& profile) {
  cmsUInt32Number size = 0;
  if (!profile || !cmsSaveProfileToMem(profile.get(), nullptr, &size)) return {};
  std::vector<std::uint8_t> bytes(size);
  if (!cmsSaveProfileToMem(profile.get(), bytes.data(), &size)) return {};
  return bytes;
}

}  // namespace

Image to_srgb_image(const Raster& raster, std::vector<std::string>& warnings) {
  Image image;
  image.width = raster.width;
  image.height = raster.height;
  image.rgb.resize(static_cast<std::size_t>(image.pixels()) * 3);
  if (raster.alpha) image.alpha.resize(static_cast<std::size_t>(image.pixels()));
  const bool fits =
      raster.bits == 8 ? convert<std::uint8_t>(raster, image) : convert<std::uint16_t>(raster, image);
  if (!fits) warnings.emplace_back(kProfileUnused);
  return image;
}

void warn_of_profile(const Raster& raster, std::vector<std::string>& warnings) {
  // Whether a profile can be used depends on the kind of the samples, not on their number or values.
  Raster pixel;
  pixel.width = pixel.height = 1;
  pixel.model = raster.model;
  pixel.alpha = raster.alpha;
  pixel.bits = raster.bits;
  pixel.icc = raster.icc;
  pixel.allocate();
  std::fill_n(pixel.samples.get(), pixel.row_bytes(), std::uint8_t{0});
  static_cast<void>(to_srgb_image(pixel, warnings));
}

std::vector<std::uint8_t> rgb_profile(const RgbSpace& space) {
  for (const double* point : {space.white, space.red, space.green, space.blue}) {
    // Blue of some spaces lies at y = 0.0001; and no chromaticity has x + y much over 1.
    if (!(point[0] >= 0 && point[1] > 0 && point[0] + point[1] <= 1.01)) return {};
  }
  // Parametric curves of ICC.1, 10.18: ((v + a) / (1 + a))^g above a short straight piece.
  const double srgb[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
  const double bt709[5] = {1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081};
  const std::unique_ptr<cmsToneCurve, decltype(&cmsFreeToneCurve)> curve(
      space.curve == RgbSpace::Curve::kPower
          ? cmsBuildGamma(nullptr, space.power)
          : cmsBuildParametricToneCurve(nullptr, 4, space.curve == RgbSpace::Curve::kSrgb ? srgb : bt709),
      &cmsFreeToneCurve);
  if (!curve) return {};
  cmsToneCurve* curves[3] = {curve.get(), curve.get(), curve.get()};
  const cmsCIExyY white{space.white[0], space.white[1], 1};
  const cmsCIExyYTRIPLE primaries{{space.red[0], space.red[1], 1},
                                  {space.green[0], space.green[1], 1},
                                  {space.blue[0], space.blue[1], 1}};
  return saved(Profile(cmsCreateRGBProfile(&white, &primaries, curves)));
}

const std::vector<std::uint8_t>& srgb_profile() {
  static const std::vector<std::uint8_t> bytes = [] {
    std::vector<std::uint8_t> result = saved(Profile(cmsCreate_sRGBProfile()));
    if (result.empty()) throw Error(ErrorCode::kInternal, "Little CMS: expected an sRGB profile, found none");
    // Its creation time (ICC.1, 7.2: six numbers of 16 bits from byte 24) would make every file differ.
    constexpr std::array<std::uint8_t, 12> kDate = {0x07, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0};
    std::copy(kDate.begin(), kDate.end(), result.begin() + 24);
    return result;
  }();
  return bytes;
}

}  // namespace impasto::codec
