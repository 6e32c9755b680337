// One iteration of a render, for profilers: some that warm up, then one between cudaProfilerStart and Stop.
//
//   nsys profile --trace=cuda,nvtx --capture-range=cudaProfilerApi --cuda-graph-trace=node -o one
//       build/bin/one_iteration --device cuda --precision bf16 --size 1024
//   ncu --profile-from-start off --graph-profiling node --set full -o one
//       build/bin/one_iteration --device cuda --precision bf16 --size 1024
//
// profiling/nsys.sh and ncu.sh export and summarise as well. The picture is noise, 4:3, and the weights are
// random: both cost what others do. The default preset; with --plain L-BFGS without line search and
// preconditioner, history 10, so that every iteration is the same work. Enough iterations come before that
// its history is full. --steps: nothing is recorded, so that each step has its own range on the timeline. On
// a CPU the same is done for other profilers, without the two calls.
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>

#include "engine/style/stylizer.h"
#include "profiling/arguments.h"

namespace impasto::profiling {
namespace {

/// cudaProfilerStart or cudaProfilerStop of the CUDA runtime that the engine's CUDA module has opened;
/// nothing, and false, where there is none. Programs that use the CPU need no CUDA library, this one neither.
bool call_cuda_runtime(const char* function) {
  for (const char* const name : {"libcudart.so.13", "libcudart.so.12"}) {
    void* const runtime = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    if (runtime == nullptr) continue;
    const auto call = reinterpret_cast<int (*)()>(dlsym(runtime, function));
    const bool done = call != nullptr && call() == 0;
    dlclose(runtime);
    return done;
  }
  return false;
}

Image noise(std::int64_t width, std::int64_t height, std::uint32_t seed) {
  std::minstd_rand random(seed);
  Image image{width, height, std::vector<float>(static_cast<std::size_t>(width * height * 3)), {}};
  for (float& value : image.rgb) value = static_cast<float>(random() % 256) / 255;
  return image;
}

void run(const Arguments& arguments) {
  StyleOptions options = make_preset("impasto");
  options.device = arguments.text("--device");
  (void)arguments.precision("--precision");
  options.precision = arguments.text("--precision");
  options.size = arguments.integer("--size", 16, 32768);
  options.num_scales = 1;
  options.min_size = 0;
  options.tolerance = 0;
  if (arguments.flag("--plain")) {
    options.optimizer.line_search = LineSearch::kNone;
    options.optimizer.preconditioner = Preconditioner::kNone;
    options.optimizer.history = 10;
  }
  if (arguments.flag("--steps")) (void)setenv("IMPASTO_CUDA_RECORD", "0", 1);
  const int warm_up = arguments.text("--warm-up") == "auto"
                          ? options.optimizer.history + 3
                          : static_cast<int>(arguments.integer("--warm-up", 1, 1000));
  options.iterations = warm_up + 1;
  const std::string& network = arguments.text("--network");
  if (network != "vgg19" && network != "vgg16") arguments.fail("--network", "vgg19 or vgg16");

  const std::int64_t height = std::max<std::int64_t>(options.size * 3 / 4, 16);
  const Image content = noise(options.size, height, 1), style = noise(options.size, height, 2);
  Stylizer stylizer(options, std::make_shared<const Weights>(random_weights(network, 0)));

  double before = 0;
  bool capturing = false;
  RunHooks hooks;
  hooks.exact_every = 1;  // no iteration is queued before the one before it was reported
  hooks.progress = [&](const Progress& progress) {
    if (progress.iteration == warm_up) {
      before = progress.seconds;
      capturing = call_cuda_runtime("cudaProfilerStart");
    } else if (progress.iteration == warm_up + 1) {
      if (capturing) (void)call_cuda_runtime("cudaProfilerStop");
      std::printf("%s, %s, %lldx%lld: iteration %d took %.3f ms%s\n", stylizer.device_description().c_str(),
                  options.precision.c_str(), static_cast<long long>(progress.size.width),
                  static_cast<long long>(progress.size.height), progress.iteration,
                  1000 * (progress.seconds - before),
                  capturing ? " (between cudaProfilerStart and cudaProfilerStop)" : "");
    }
    return Action::kContinue;
  };
  (void)stylizer.run(content, {&style, 1}, hooks);
}

}  // namespace
}  // namespace impasto::profiling

int main(int argc, char** argv) {
  try {
    impasto::profiling::run({argc,
                             argv,
                             {{"--device", "auto"},
                              {"--precision", "auto"},
                              {"--size", "512"},
                              {"--network", "vgg16"},
                              {"--warm-up", "auto"}},
                             {"--plain", "--steps"}});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "one_iteration: %s\n", error.what());
    return 1;
  }
}
