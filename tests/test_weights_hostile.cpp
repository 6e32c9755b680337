// Damaged and hostile weight files: each is read as valid
// weights or refused with one line, whatever libhdf5 does.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <thread>

#include "engine/core/sanitizers.h"
#include "tests/support/catch.h"
#include "tests/support/forked.h"
#include "tests/support/weights_files.h"

using namespace impasto;
using namespace impasto::test;

namespace {

/// The message of the Error(kBadInput) that reading gives; "" if the file is read.
std::string refusal(const std::filesystem::path& file) {
  try {
    (void)load_weights(file);
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::kBadInput);
    const std::string message = e.what();
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.find("expected") != std::string::npos);
    return message;
  }
  return "";
}

/// A sound file in the own layout, then spoilt.
std::string refusal_after(const std::function<void(H5File&)>& spoil) {
  const TempFolder folder;
  write_own(folder / "w.h5", tiny_layers("vgg16"), "vgg16");
  {
    H5File file(folder / "w.h5", false);
    spoil(file);
  }
  return refusal(folder / "w.h5");
}

std::string refusal_of_filter(Storage storage, hid_t type = H5T_IEEE_F32LE) {
  return refusal_after([&](H5File& file) {
    const ConvWeights layer = tiny_layers("vgg16")[1];
    file.remove("/conv1_2/filter");
    file.dataset("/conv1_2/filter", filter_dims(layer), layer.filter, storage, type);
  });
}

std::string refusal_of_shape(const std::string& path, const std::vector<hsize_t>& dims) {
  return refusal_after([&](H5File& file) {
    std::size_t count = 1;
    for (const hsize_t d : dims) count *= d;
    file.remove(path);
    file.dataset(path, dims, std::vector<float>(count, 1.0f));
  });
}

bool all_finite_and_chained(const Weights& w) {
  std::int64_t in = 3;
  for (const ConvWeights& c : w.layers) {
    if (c.in_channels != in || c.filter.size() != static_cast<std::size_t>(9 * in * c.out_channels))
      return false;
    in = c.out_channels;
    if (c.bias.size() != static_cast<std::size_t>(in)) return false;
    for (const auto* v : {&c.filter, &c.bias})
      for (const float x : *v)
        if (!std::isfinite(x)) return false;
  }
  return !w.layers.empty();
}

}  // namespace

TEST_CASE("what is no HDF5 file is refused by what it is") {
  const TempFolder folder;
  CHECK_THAT(refusal(folder / "none.h5"), ContainsSubstring("found none"));
  CHECK_THAT(refusal(folder.path()), ContainsSubstring("found a folder"));
  CHECK_THAT(refusal("/dev/zero"), ContainsSubstring("device or pipe"));
  write_bytes(folder / "empty.h5", "");
  CHECK_THAT(refusal(folder / "empty.h5"), ContainsSubstring("expected an HDF5 file"));
  write_bytes(folder / "zip.pth", "PK\x03\x04 and more");
  CHECK_THAT(refusal(folder / "zip.pth"), ContainsSubstring("impasto weights convert"));
  write_bytes(folder / "start.h5", "\x89HDF\r\n\x1a\n");
  CHECK_THAT(refusal(folder / "start.h5"), ContainsSubstring("cut short or damaged"));
}

TEST_CASE("a name with control characters stays on one line") {
  const TempFolder folder;
  CHECK_THAT(refusal(folder / "a\nb.h5"), ContainsSubstring("a?b.h5"));
}

TEST_CASE("arrays stored in any but the plain way are refused") {
  for (const Storage s :
       {Storage::kCompact, Storage::kChunked, Storage::kDeflate, Storage::kExternal, Storage::kVirtual})
    CHECK_THAT(refusal_of_filter(s), ContainsSubstring("conv1_2: expected plain contiguous storage"));
  CHECK_THAT(refusal_of_filter(Storage::kNotWritten),
             ContainsSubstring("conv1_2: expected 144 bytes, found 0"));
}

TEST_CASE("arrays of another type are refused") {
  for (const hid_t type : {H5T_IEEE_F64LE, H5T_STD_I32LE, H5T_STD_U8LE})
    CHECK_THAT(refusal_of_filter(Storage::kContiguous, type), ContainsSubstring("conv1_2: expected float32"));
  CHECK(refusal_of_filter(Storage::kContiguous, H5T_IEEE_F32BE) == "");
}

TEST_CASE("arrays of another shape are refused with both shapes") {
  CHECK_THAT(refusal_of_shape("/conv1_2/filter", {7, 7, 2, 2}),
             ContainsSubstring("conv1_2: expected (3,3,in,out), file has (7,7,2,2)"));
  CHECK_THAT(refusal_of_shape("/conv1_2/filter", {3, 3, 4}), ContainsSubstring("file has (3,3,4)"));
  CHECK_THAT(refusal_of_shape("/conv1_2/filter", {3, 3, 3, 2}),
             ContainsSubstring("conv1_2: expected (3,3,2,N), found (3,3,3,2)"));
  CHECK_THAT(refusal_of_shape("/conv1_1/filter", {3, 3, 1, 2}),
             ContainsSubstring("conv1_1: expected (3,3,3,N)"));
  CHECK_THAT(refusal_of_shape("/conv1_2/bias", {3}),
             ContainsSubstring("conv1_2 bias: expected (2), file has (3)"));
  CHECK_THAT(refusal_of_shape("/conv1_2/bias", {2, 1}), ContainsSubstring("file has (2,1)"));
}

TEST_CASE("values that are not finite are refused") {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    CHECK_THAT(refusal_after([&](H5File& file) {
                 file.remove("/conv2_1/bias");
                 file.dataset("/conv2_1/bias", {3}, {1, bad, 1});
               }),
               ContainsSubstring("conv2_1 bias: expected finite values"));
  }
}

TEST_CASE("links that lead out of the file or around in it are refused") {
  const auto relinked = [](const std::function<void(H5File&)>& link) {
    return refusal_after([&](H5File& file) {
      file.remove("/conv1_2/filter");
      link(file);
    });
  };
  CHECK_THAT(relinked([](H5File& f) { f.soft_link("/conv1_2/filter", "/conv2_1/filter"); }),
             ContainsSubstring("expected a hard link"));
  CHECK_THAT(relinked([](H5File& f) { f.external_link("/conv1_2/filter", "other.h5", "/x"); }),
             ContainsSubstring("expected a hard link"));
  CHECK_THAT(relinked([](H5File&) {}), ContainsSubstring("conv1_2/filter: expected a dataset, found none"));
  CHECK_THAT(relinked([](H5File& f) { f.group("/conv1_2/filter"); }),
             ContainsSubstring("found another kind"));
}

TEST_CASE("a group that contains itself comes to an end") {
  const TempFolder folder;
  {
    H5File file(folder / "w.h5");
    file.group("/layers/a");
    for (const char* name : {"/layers/a/b", "/layers/a/c", "/layers/a/d"}) file.hard_link(name, "/layers");
  }
  CHECK_THAT(refusal(folder / "w.h5"), ContainsSubstring("too many"));
}

TEST_CASE("gaps, layers the network lacks and missing layers are refused") {
  CHECK_THAT(refusal_after([](H5File& f) { f.remove("/conv1_1"); }), ContainsSubstring("expected conv1_1"));
  CHECK_THAT(refusal_after([](H5File& f) { f.remove("/conv3_2"); }), ContainsSubstring("expected conv3_2"));
  CHECK_THAT(refusal_after([](H5File& f) {
               for (const auto& w : tiny_layers("vgg16")) f.remove("/" + w.name);
             }),
             ContainsSubstring("found none"));
  const TempFolder folder;
  write_own(folder / "w.h5", tiny_layers("vgg19"), "vgg16");
  CHECK_THAT(refusal(folder / "w.h5"), ContainsSubstring("expected the layers of vgg16, found conv3_4"));
  auto layers = tiny_layers("vgg19");
  layers.erase(layers.begin() + 7);  // conv3_4, while block 4 has its fourth
  write_legacy(folder / "w.h5", layers);
  CHECK_THAT(refusal(folder / "w.h5"), ContainsSubstring("expected conv3_4"));
}

TEST_CASE("attributes that say nothing sensible are refused") {
  const auto with = [](const std::function<void(H5File&)>& spoil) { return refusal_after(spoil); };
  CHECK_THAT(with([](H5File& f) { f.numbers("/", "version", {2}, true); }),
             ContainsSubstring("version: expected 1"));
  CHECK_THAT(with([](H5File& f) { f.strings("/", "network", {"vgg\n1"}, Text::kFixed, true); }),
             ContainsSubstring("found 'vgg?1'"));
  CHECK_THAT(with([](H5File& f) { f.strings("/", "channel_order", {"GBR"}, Text::kFixed, true); }),
             ContainsSubstring("BGR or RGB"));
  CHECK_THAT(with([](H5File& f) {
               f.numbers("/", "mean", {1, 2});
             }),
             ContainsSubstring("mean: expected 3 numbers"));
  CHECK_THAT(with([](H5File& f) { f.numbers("/", "scale", {1, 1, 0}); }), ContainsSubstring("positive"));
  CHECK_THAT(with([](H5File& f) {
               f.numbers("/", "mean", {1, 2, std::nan("")});
             }),
             ContainsSubstring("finite"));
  CHECK_THAT(with([](H5File& f) {
               f.strings("/", "scale", {"a", "b", "c"}, Text::kFixed);
             }),
             ContainsSubstring("scale: expected 3 numbers"));
  CHECK_THAT(with([](H5File& f) { f.strings("/", "format", {"another"}, Text::kFixed, true); }),
             ContainsSubstring("expected a known layout"));
}

TEST_CASE("legacy files whose names lead nowhere are refused") {
  const TempFolder folder;
  const auto spoilt = [&](const std::function<void(H5File&)>& spoil) {
    write_legacy(folder / "w.h5", tiny_layers("vgg16"));
    {
      H5File file(folder / "w.h5", false);
      spoil(file);
    }
    return refusal(folder / "w.h5");
  };
  const std::string layer = "/block1_conv2";
  CHECK_THAT(spoilt([&](H5File& f) { f.strings(layer, "weight_names", {"x/kernel:0"}, Text::kFixed); }),
             ContainsSubstring("expected kernel and bias, found 1 arrays"));
  CHECK_THAT(spoilt([&](H5File& f) {
               f.strings(layer, "weight_names", {"a/x", "a/y"}, Text::kVariable);
             }),
             ContainsSubstring("expected a group, found none"));
  CHECK_THAT(spoilt([&](H5File& f) {
               f.numbers(layer, "weight_names", {1, 2});
             }),
             ContainsSubstring("expected text"));
  CHECK_THAT(spoilt([&](H5File& f) { f.strings("/", "layer_names", {"gone"}, Text::kFixed); }),
             ContainsSubstring("gone: expected a group, found none"));
  CHECK_THAT(spoilt([&](H5File& f) { f.strings("/", "layer_names", {""}, Text::kFixed); }),
             ContainsSubstring("expected the name"));
  CHECK_THAT(spoilt([&](H5File& f) {
               f.strings("/", "layer_names", std::vector<std::string>(5000, "x"), Text::kFixed);
             }),
             ContainsSubstring("expected a short list"));
  CHECK_THAT(
      spoilt([&](H5File& f) { f.strings("/", "layer_names", {std::string(5000, 'x')}, Text::kVariable); }),
      ContainsSubstring("expected short names"));
}

TEST_CASE("unnamed convolutions are refused unless their number is a VGG's") {
  const TempFolder folder;
  write_tree(folder / "w.h5", tiny_layers("vgg19", 12), {.names = false});
  CHECK_THAT(refusal(folder / "w.h5"), ContainsSubstring("found 12 unnamed 3x3 convolutions"));
}

TEST_CASE("a weight file that is replaced after it was opened is read and told by what was opened") {
  const TempFolder folder;
  const std::filesystem::path file = folder / "w.h5", other = folder / "other.h5";
  const auto layers = tiny_layers("vgg16");
  write_own(file, layers, "vgg16");
  auto others = layers;
  others[0].bias[0] += 1;
  write_own(other, others, "vgg16");
  const std::string of_file = weights::content_digest(load_weights(file)).whole;
  const std::string md5 = weights::WeightFile(file).md5();
  REQUIRE(md5 != weights::WeightFile(other).md5());

  const weights::WeightFile opened = weights::check_file(file);
  std::filesystem::rename(other, file);
  CHECK(weights::content_digest(weights::read_in_child(opened, {})).whole == of_file);
  CHECK(weights::content_digest(weights::read_in_process(opened)).whole == of_file);
  CHECK(opened.md5() == md5);
  std::filesystem::remove(file);
  CHECK(weights::content_digest(weights::read_in_child(opened, {})).whole == of_file);
  CHECK(opened.md5() == md5);
}

TEST_CASE("a weight file that is written to while it is read is refused") {
  const TempFolder folder;
  write_own(folder / "w.h5", tiny_layers("vgg16"), "vgg16");
  const weights::WeightFile opened = weights::check_file(folder / "w.h5");
  CHECK_NOTHROW(opened.require_unchanged());
  std::ofstream(folder / "w.h5", std::ios::binary | std::ios::app) << "more";
  CHECK_THROWS_WITH(opened.require_unchanged(), ContainsSubstring("stays as it is while it is read"));
}

TEST_CASE("a pipe in a weight file's place is refused without waiting for it") {
  const TempFolder folder;
  const std::filesystem::path pipe = folder / "w.h5";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THAT(refusal(pipe), ContainsSubstring("found a device or pipe"));
}

TEST_CASE("time for which this process and the reader were stopped does not count") {
  const pid_t stopped = ::fork();
  REQUIRE(stopped >= 0);
  if (stopped == 0) {
    ::setpgid(0, 0);
    try {
      const Weights read =
          weights::run_in_child("w.h5", {.wall_seconds = 1}, [](const std::filesystem::path&) {
            for (int i = 0; i < 12; ++i) ::usleep(50'000);
            return Weights{};
          });
      ::_exit(0);
    } catch (const Error&) {
      ::_exit(1);
    }
  }
  ::setpgid(stopped, stopped);
  ::usleep(200'000);
  REQUIRE(::kill(-stopped, SIGSTOP) == 0);
  ::usleep(1'500'000);
  REQUIRE(::kill(-stopped, SIGCONT) == 0);
  int status = 0;
  REQUIRE(::waitpid(stopped, &status, 0) == stopped);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

#if !IMPASTO_SANITIZED
TEST_CASE("weights for which this process has no memory are an error, and no reader is left behind") {
  CHECK(testing::in_fork([] {
          if (!testing::limit_memory(rlim_t{64} << 20)) return 3;
          try {
            (void)weights::run_in_child("w.h5", {}, [](const std::filesystem::path&) {
              Weights w;
              w.layers.push_back({"conv1_1", 1, 1, std::vector<float>(std::size_t{50} << 20), {}});
              return w;
            });
            return 4;
          } catch (const Error& error) {
            if (error.code() != ErrorCode::kResources) return 5;
          }
          return ::waitpid(-1, nullptr, WNOHANG) == -1 ? 0 : 7;
        }) == 0);
}
#endif

TEST_CASE("a child that crashes, hangs or eats memory costs an error and nothing else") {
  using weights::ReadLimits;
  using weights::run_in_child;
  const auto message = [](Weights (*work)(const std::filesystem::path&), const ReadLimits& limits = {}) {
    try {
      (void)run_in_child("w.h5", limits, work);
    } catch (const Error& e) {
      const bool lack = std::string(e.what()).find("memory") != std::string::npos;
      CHECK(e.code() == (lack ? ErrorCode::kResources : ErrorCode::kBadInput));
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK_THAT(message([](const std::filesystem::path&) -> Weights {
               raise(SIGKILL);  // as the system does where memory ends
               return {};
             }),
             ContainsSubstring("expected enough memory"));
  CHECK_THAT(message([](const std::filesystem::path&) -> Weights {
               signal(SIGSEGV, SIG_DFL);
               raise(SIGSEGV);
               return {};
             }),
             ContainsSubstring("crashes the HDF5 library (signal 11)"));
  CHECK_THAT(message([](const std::filesystem::path&) -> Weights { abort(); }), ContainsSubstring("crashes"));
  CHECK_THAT(message([](const std::filesystem::path&) -> Weights { _exit(0); }),
             ContainsSubstring("crashes"));
  const auto start = std::chrono::steady_clock::now();
  CHECK_THAT(message(
                 [](const std::filesystem::path&) -> Weights {
                   for (volatile bool on = true; on;) {
                   }
                   return {};
                 },
                 {.cpu_seconds = 1}),
             ContainsSubstring("does not come to an end"));
  CHECK_THAT(message(
                 [](const std::filesystem::path&) -> Weights {
                   for (;;) pause();
                 },
                 {.wall_seconds = 1}),
             ContainsSubstring("does not come to an end"));
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
#if !IMPASTO_SANITIZED
  CHECK_THAT(message(
                 [](const std::filesystem::path&) -> Weights {
                   Weights w;
                   w.layers.push_back({"conv1_1", 1, 1, std::vector<float>(std::size_t{100} << 20), {}});
                   return w;
                 },
                 {.memory_bytes = std::int64_t{64} << 20}),
             ContainsSubstring("expected enough memory"));
#endif
}

// The C library's allocator takes its locks around a fork. AddressSanitizer's (before GCC 14) does not: a
// child of it waits for ever on a lock that another thread held at that moment.
#if !IMPASTO_SANITIZED
TEST_CASE("the child reads while other threads run") {
  const TempFolder folder;
  const auto layers = tiny_layers("vgg16");
  write_own(folder / "w.h5", layers, "vgg16");
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    while (!stop) std::vector<char>(1000).swap(*std::make_unique<std::vector<char>>(10));
  });
  for (int i = 0; i < 20; ++i) CHECK(difference(load_weights(folder / "w.h5"), layers) == "");
  stop = true;
  busy.join();
}
#endif

TEST_CASE("a caller that ignores its children still gets weights and errors") {
  const TempFolder folder;
  write_own(folder / "w.h5", tiny_layers("vgg16"), "vgg16");
  const auto old = signal(SIGCHLD, SIG_IGN);
  CHECK(refusal(folder / "w.h5") == "");
  write_own(folder / "w.h5", tiny_layers("vgg19"), "vgg16");
  CHECK_THAT(refusal(folder / "w.h5"), ContainsSubstring("conv3_4"));
  signal(SIGCHLD, old);
}

TEST_CASE("six thousand mutants of small files are read or refused, each in time") {
#if IMPASTO_SANITIZED
  constexpr int kMutants = 1000;  // a fork costs more there
#else
  constexpr int kMutants = 6000;
#endif
  const TempFolder folder;
  const auto layers = tiny_layers("vgg16", 3);
  std::vector<std::string> seeds(4);
  write_legacy(folder / "w.h5", layers, {.keras = 1});
  seeds[0] = read_bytes(folder / "w.h5");
  write_legacy(folder / "w.h5", layers, {.keras = 3, .text = Text::kVariable, .whole = true});
  seeds[1] = read_bytes(folder / "w.h5");
  write_tree(folder / "w.h5", layers, {.blocks = true});
  seeds[2] = read_bytes(folder / "w.h5");
  write_own(folder / "w.h5", layers, "vgg16");
  seeds[3] = read_bytes(folder / "w.h5");

  std::mt19937_64 random(20161);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  int read = 0, crashed = 0, endless = 0;
  double slowest = 0;
  for (int i = 0; i < kMutants; ++i) {
    std::string bytes = seeds[below(seeds.size())];
    const std::size_t kind = below(8);
    if (kind == 0) {
      bytes.resize(below(bytes.size()));
    } else if (kind == 1) {  // a piece of this or another file, copied over another place
      const std::string& other = seeds[below(seeds.size())];
      const std::size_t size = 1 + below(64), from = below(other.size() - size),
                        to = below(bytes.size() - size);
      bytes.replace(to, size, other, from, size);
    } else if (kind == 2) {  // a length or address of extreme value
      const std::size_t size = std::size_t{1} << below(4), at = below(bytes.size() - size);
      bytes.replace(at, size, size, below(2) == 0 ? '\xff' : '\x7f');
    } else {
      for (std::size_t flips = 1 + below(8); flips > 0; --flips)
        bytes[below(bytes.size())] ^= static_cast<char>(1 << below(8));
    }
    write_bytes(folder / "m.h5", bytes);
    const auto start = std::chrono::steady_clock::now();
    try {
      // As load_weights does, but sooner tired of a file that does not end.
      const Weights w = weights::read_in_child(folder / "m.h5", {.cpu_seconds = 1});
      ++read;
      if (!all_finite_and_chained(w)) FAIL("mutant " << i << " was read as weights that are none");
    } catch (const Error& e) {
      const std::string message = e.what();
      if (e.code() != ErrorCode::kBadInput || message.find('\n') != std::string::npos)
        FAIL("mutant " << i << ": " << message);
      crashed += message.find("crashes") != std::string::npos;
      endless += message.find("come to an end") != std::string::npos;
    }
    slowest =
        std::max(slowest, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  WARN("of " << kMutants << " mutants " << read << " were read, " << crashed << " crashed libhdf5, "
             << endless << " did not end; slowest " << slowest << " s");
  CHECK(read > kMutants / 20);
  CHECK(read < kMutants * 9 / 10);
  CHECK(slowest < 30);  // 1 s of CPU time, on a machine that may be busy
}
