// Any bytes as a weight file: weights come out that are whole, or one Error; no crash is allowed. The reader
// runs in its child, as for users, so that the fuzzer does not see its branches. With IMPASTO_FUZZ_IN_PROCESS
// set it does, but then ends at libhdf5's own crashes, of which there are many; look only at those with a
// frame of Impasto on top:
//   IMPASTO_FUZZ_IN_PROCESS=1 bin/fuzz_weights -fork=1 -ignore_crashes=1 -ignore_timeouts=1 -ignore_ooms=1
//     -timeout=5 -max_len=32768 -max_total_time=600 NEW-FOLDER tests/golden/weights/corpus
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "engine/network/weights_file.h"

namespace {

[[noreturn]] void wrong() { std::abort(); }

void check(const impasto::Weights& w) {
  std::int64_t in = 3;
  if (w.layers.empty() || (w.network != "vgg16" && w.network != "vgg19")) wrong();
  for (const impasto::ConvWeights& c : w.layers) {
    if (c.in_channels != in || c.filter.size() != static_cast<std::size_t>(9 * in * c.out_channels)) wrong();
    in = c.out_channels;
    if (c.bias.size() != static_cast<std::size_t>(in)) wrong();
    for (const auto* values : {&c.filter, &c.bias})
      for (const float v : *values)
        if (!std::isfinite(v)) wrong();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const bool in_process = std::getenv("IMPASTO_FUZZ_IN_PROCESS") != nullptr;
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("impasto-fuzz-" + std::to_string(getpid()) + ".h5");
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  try {
    check(in_process ? impasto::weights::read_in_process(file) : impasto::load_weights(file));
  } catch (const impasto::Error& e) {
    if (e.code() != impasto::ErrorCode::kBadInput) wrong();
    if (std::string(e.what()).find('\n') != std::string::npos) wrong();
  }
  std::filesystem::remove(file);
  return 0;
}
