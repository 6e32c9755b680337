// libFuzzer target: the readers of EXIF and XMP, and the whole path from bytes to pixels, with and without
// the last step. Any outcome but a picture or an Error of a documented code is a finding, and so is a probe
// that does not agree.
//   CXX=clang++ cmake -S . -B build-fuzz -DIMPASTO_FUZZ=ON
//   -DIMPASTO_SANITIZE=fuzzer-no-link,address,undefined cmake --build build-fuzz --target fuzz_image mkdir -p
//   corpus && build-fuzz/bin/fuzz_image -max_total_time=300 -rss_limit_mb=4096 corpus tests/golden/image
#include <cstdlib>

#include "engine/image/exif.h"

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
  } catch (const impasto::Error& error) {
    if (!refused.empty() && refused != error.what()) std::abort();
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
    if (error.code() != impasto::ErrorCode::kBadInput && error.code() != impasto::ErrorCode::kResources) {
      std::abort();
    }
  }
  return 0;
}
