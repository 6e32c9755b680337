// libFuzzer target: the EXIF reader and the whole path from bytes to pixels. Any outcome but a picture or an
// Error of a documented code is a finding. From the repository's root:
//   clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I. \
//     tests/fuzz/fuzz_image.cpp engine/image/*.cpp -o fuzz_image \
//     $(pkg-config --cflags --libs libwebp libwebpmux lcms2 libtiff-4 libpng libjpeg)
//   mkdir -p corpus && ./fuzz_image -max_total_time=300 -rss_limit_mb=4096 corpus tests/golden/image
#include <cstdlib>

#include "engine/image/exif.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int orientation = impasto::codec::exif_orientation({data, size});
  if (orientation < 1 || orientation > 8) std::abort();
  try {
    const impasto::Image image = impasto::decode_image(data, size, "fuzz", 1 << 20);
    if (image.rgb.size() != 3 * static_cast<std::size_t>(image.pixels())) std::abort();
  } catch (const impasto::Error& error) {
    if (error.code() != impasto::ErrorCode::kBadInput && error.code() != impasto::ErrorCode::kResources) {
      std::abort();
    }
  }
  return 0;
}
