// With Little CMS.
#include "engine/image/color.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <mutex>
#include <new>

#include <lcms2.h>
#include <lcms2_plugin.h>

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

/// A profile's lock, without memory: Little CMS does not look whether its own found any. No profile here is
/// used by two threads.
void without_locks() {
  static std::once_flag once;
  std::call_once(once, [] {
    static cmsPluginMutex plugin{{cmsPluginMagicNumber, 2060, cmsPluginMutexSig, nullptr},
                                 [](cmsContext) -> void* { return &plugin; },
                                 [](cmsContext, void*) {},
                                 [](cmsContext, void*) -> cmsBool { return TRUE; },
                                 [](cmsContext, void*) {}};
    cmsPlugin(&plugin);
  });
}

/// Runs body, after which what Little CMS gave is of the profile: where it finds no memory it gives nothing,
/// as for one that is broken.
template <class Body>
void with_memory(const Body& body) {
  without_locks();
  errno = 0;
  body();
  if (errno == ENOMEM) throw std::bad_alloc();
}

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

std::vector<std::uint8_t> saved(const Profile& profile) {
  cmsUInt32Number size = 0;
  if (!profile || !cmsSaveProfileToMem(profile.get(), nullptr, &size)) return {};
  std::vector<std::uint8_t> bytes(size);
  if (!cmsSaveProfileToMem(profile.get(), bytes.data(), &size)) return {};
  return bytes;
}

}  // namespace

struct SrgbConverter::ColourTransform {
  Transform transform;
  bool exact = false;               // straight to floating point
  std::vector<std::uint16_t> line;  // else

  /// Null where the profile does not fit the picture.
  static std::unique_ptr<ColourTransform> open(const Header& header, const Profile& profile);
  void run(const std::uint8_t* row, std::int64_t pixels, float* rgb);
};

std::unique_ptr<SrgbConverter::ColourTransform> SrgbConverter::ColourTransform::open(const Header& header,
                                                                                     const Profile& profile) {
  const bool cmyk = header.model == ColourModel::kCmyk, lab = header.model == ColourModel::kLab;
  if (!profile) return nullptr;
  if (cmsGetColorSpace(profile.get()) != (cmyk ? cmsSigCmykData : lab ? cmsSigLabData : cmsSigRgbData)) {
    return nullptr;
  }
  const auto bytes = static_cast<cmsUInt32Number>(header.bits / 8);
  const cmsUInt32Number type = COLORSPACE_SH(cmyk  ? PT_CMYK
                                             : lab ? PT_Lab
                                                   : PT_RGB) |
                               CHANNELS_SH(static_cast<cmsUInt32Number>(header.colours())) | BYTES_SH(bytes) |
                               EXTRA_SH(header.alpha ? 1U : 0U);
  auto result = std::make_unique<ColourTransform>();
  // Little CMS is fast where it may build tables, which are good for 8 bits but not for 16.
  result->exact = header.bits == 16 && !cmyk;
  result->transform = open_transform(profile, type, result->exact ? TYPE_RGB_FLT : TYPE_RGB_16,
                                     result->exact ? cmsFLAGS_NOOPTIMIZE : cmsFLAGS_HIGHRESPRECALC);
  if (!result->transform) return nullptr;
  return result;
}

void SrgbConverter::ColourTransform::run(const std::uint8_t* row, std::int64_t pixels, float* rgb) {
  const auto width = static_cast<cmsUInt32Number>(pixels);
  if (exact) {
    cmsDoTransform(transform.get(), row, rgb, width);
    for (std::int64_t i = 0; i < 3 * pixels; ++i) rgb[i] = std::clamp(rgb[i], 0.0F, 1.0F);
    return;
  }
  line.resize(3 * static_cast<std::size_t>(pixels));
  cmsDoTransform(transform.get(), row, line.data(), width);
  for (std::size_t i = 0; i < line.size(); ++i) rgb[i] = static_cast<float>(line[i]) * kScale<std::uint16_t>;
}

template <class T>
void SrgbConverter::choose(const Header& header) {
  if (header.alpha) alpha_table_ = identity_table<T>();
  const Profile profile = open_profile(header.icc);
  const bool rgb = profile && cmsGetColorSpace(profile.get()) == cmsSigRgbData;
  fits_ = profile || header.icc.empty();
  const auto is_plain = [&] { return !profile || (rgb && is_srgb(profile)); };
  switch (model_) {
    case ColourModel::kGrey:
      if (!is_plain()) {
        table_ = grey_table(profile, bits_);
        fits_ = fits_ && !table_.empty();
      }
      break;
    case ColourModel::kRgb:
      if (!is_plain()) {
        transform_ = ColourTransform::open(header, profile);
        fits_ = fits_ && transform_ != nullptr;
      }
      break;
    case ColourModel::kCmyk:
      transform_ = ColourTransform::open(header, profile);
      fits_ = transform_ != nullptr || header.icc.empty();
      return;
    case ColourModel::kLab:  // says itself what its numbers mean
      transform_ = ColourTransform::open(header, Profile(cmsCreateLab4Profile(nullptr)));
      if (!transform_) {
        throw Error(ErrorCode::kResources, "Little CMS: expected a conversion from Lab, found none");
      }
      fits_ = true;
      return;
  }
  if (!transform_ && table_.empty()) table_ = identity_table<T>();
}

SrgbConverter::SrgbConverter(const Header& header)
    : model_(header.model), channels_(header.channels()), bits_(header.bits) {
  with_memory([&] { bits_ == 8 ? choose<std::uint8_t>(header) : choose<std::uint16_t>(header); });
}

SrgbConverter::~SrgbConverter() = default;

template <class T>
void SrgbConverter::convert_as(const std::uint8_t* row, std::int64_t pixels, float* rgb, float* alpha) {
  const T* from = reinterpret_cast<const T*>(row);
  if (transform_) {
    transform_->run(row, pixels, rgb);
  } else if (model_ == ColourModel::kCmyk) {
    // Inks that filter light independently: far from any real press, but right for white, black and hue.
    for (std::int64_t i = 0; i < pixels; ++i, from += channels_, rgb += 3) {
      const float light = 1 - static_cast<float>(from[3]) * kScale<T>;
      for (int c = 0; c < 3; ++c) rgb[c] = (1 - static_cast<float>(from[c]) * kScale<T>)*light;
    }
  } else {
    const int green = model_ == ColourModel::kGrey ? 0 : 1, blue = model_ == ColourModel::kGrey ? 0 : 2;
    for (std::int64_t i = 0; i < pixels; ++i, from += channels_, rgb += 3) {
      rgb[0] = table_[from[0]];
      rgb[1] = table_[from[green]];
      rgb[2] = table_[from[blue]];
    }
  }
  if (alpha == nullptr) return;
  from = reinterpret_cast<const T*>(row) + channels_ - 1;
  for (std::int64_t i = 0; i < pixels; ++i, from += channels_) alpha[i] = alpha_table_[*from];
}

void SrgbConverter::convert(const std::uint8_t* row, std::int64_t pixels, float* rgb, float* alpha) {
  bits_ == 8 ? convert_as<std::uint8_t>(row, pixels, rgb, alpha)
             : convert_as<std::uint16_t>(row, pixels, rgb, alpha);
}

std::vector<std::uint8_t> rgb_profile(const RgbSpace& space) {
  for (const double* point : {space.white, space.red, space.green, space.blue}) {
    // Blue of some spaces lies at y = 0.0001; and no chromaticity has x + y much over 1.
    if (!(point[0] >= 0 && point[1] > 0 && point[0] + point[1] <= 1.01)) return {};
  }
  // Parametric curves of ICC.1, 10.18: ((v + a) / (1 + a))^g above a short straight piece.
  const double srgb[5] = {2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045};
  const double bt709[5] = {1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081};
  std::vector<std::uint8_t> bytes;
  with_memory([&] {
    const std::unique_ptr<cmsToneCurve, decltype(&cmsFreeToneCurve)> curve(
        space.curve == RgbSpace::Curve::kPower
            ? cmsBuildGamma(nullptr, space.power)
            : cmsBuildParametricToneCurve(nullptr, 4, space.curve == RgbSpace::Curve::kSrgb ? srgb : bt709),
        &cmsFreeToneCurve);
    if (!curve) return;
    cmsToneCurve* curves[3] = {curve.get(), curve.get(), curve.get()};
    const cmsCIExyY white{space.white[0], space.white[1], 1};
    const cmsCIExyYTRIPLE primaries{{space.red[0], space.red[1], 1},
                                    {space.green[0], space.green[1], 1},
                                    {space.blue[0], space.blue[1], 1}};
    bytes = saved(Profile(cmsCreateRGBProfile(&white, &primaries, curves)));
  });
  return bytes;
}

const std::vector<std::uint8_t>& srgb_profile() {
  static const std::vector<std::uint8_t> bytes = [] {
    std::vector<std::uint8_t> result;
    with_memory([&] { result = saved(Profile(cmsCreate_sRGBProfile())); });
    if (result.empty()) throw Error(ErrorCode::kInternal, "Little CMS: expected an sRGB profile, found none");
    // Its creation time (ICC.1, 7.2: six numbers of 16 bits from byte 24) would make every file differ.
    constexpr std::array<std::uint8_t, 12> kDate = {0x07, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0};
    std::copy(kDate.begin(), kDate.end(), result.begin() + 24);
    return result;
  }();
  return bytes;
}

}  // namespace impasto::codec
