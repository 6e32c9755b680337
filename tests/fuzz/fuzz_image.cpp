// libFuzzer target: the readers of EXIF and XMP, and the whole path from bytes to pixels, with and without
// the last step. Any outcome but a picture or an Error of a documented code is a finding, and so is a probe
// that does not agree.
//   CXX=clang++ cmake -S . -B build-fuzz -DIMPASTO_FUZZ=ON
//   -DIMPASTO_SANITIZE=fuzzer-no-link,address,undefined cmake --build build-fuzz --target fuzz_image mkdir -p
//   corpus && build-fuzz/bin/fuzz_image -max_total_time=300 -rss_limit_mb=4096 corpus tests/golden/image
#include <cstdlib>

#include "engine/image/exif.h"

/// At its own size and at a small one in a single pass, it must be the same.
void read_at_sizes(const std::uint8_t* data, std::size_t size, const impasto::Image& whole) {
  const std::vector<impasto::PixelSize> sizes{whole.size(), {3, 2}};
  const auto choose = [&](impasto::PixelSize) { return sizes; };
  const auto read = impasto::decode_image_at(data, size, "fuzz", choose, impasto::Overshoot::kClip, 1 << 20);
  if (read.size() != 2 || read[0].rgb != whole.rgb || read[0].alpha != whole.alpha) std::abort();
  const impasto::Image small = impasto::resize(whole, sizes[1], impasto::Overshoot::kClip);
  if (read[1].rgb != small.rgb || read[1].alpha != small.alpha) std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const int orientation :
       {impasto::codec::exif_orientation({data, size}), impasto::codec::xmp_orientation({data, size})}) {
    if (orientation < 1 || orientation > 8) std::abort();
  }
  std::string refused;
  impasto::PixelSize probed;
  std::vector<std::string> warnings;
  try {
    probed = impasto::probe_image(data, size, "fuzz", 1 << 20, &warnings).size;
  } catch (const impasto::Error& error) {
    refused = error.what();
  }
  warnings.clear();
  try {
    const impasto::Image image = impasto::decode_image(data, size, "fuzz", 1 << 20, &warnings);
    for (const std::string& warning : warnings) {
      if (warning.find('\n') != std::string::npos) std::abort();
    }
    if (!refused.empty() || probed != image.size()) std::abort();
    if (image.rgb.size() != 3 * static_cast<std::size_t>(image.pixels())) std::abort();
    read_at_sizes(data, size, image);
  } catch (const impasto::Error& error) {
    if (!refused.empty() && refused != error.what()) std::abort();
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
    if (error.code() != impasto::ErrorCode::kBadInput && error.code() != impasto::ErrorCode::kResources) {
      std::abort();
    }
  }
  return 0;
}
