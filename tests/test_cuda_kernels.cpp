// The kernels' own launchers, for what the cases that every device shares do not reach: few multiprocessors,
// where a block takes several turns, as with large pictures; and gradients that half cannot hold.
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cuda/kernels.h"
#include "tests/support/catch.h"

using namespace impasto;
using namespace impasto::cuda;

namespace {

void check(cudaError_t status) {
  if (status != cudaSuccess) FAIL(cudaGetErrorString(status));
}

/// Device memory with values.
template <class T>
class Vector {
 public:
  explicit Vector(std::vector<T> values) : size_(values.size()) {
    check(cudaMalloc(reinterpret_cast<void**>(&data_), size_ * sizeof(T)));
    check(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  /// Small whole numbers: sums of their products are exact in any order.
  static Vector whole(std::size_t size, std::uint32_t seed) {
    std::vector<T> values(size);
    for (T& value : values) value = static_cast<T>((seed = seed * 1664525 + 1013904223) >> 28) - 7;
    return Vector(std::move(values));
  }
  static Vector zeros(std::size_t size) { return Vector(std::vector<T>(size)); }
  ~Vector() { (void)cudaFree(data_); }
  Vector(const Vector&) = delete;
  Vector& operator=(const Vector&) = delete;
  operator T*() const { return data_; }
  [[nodiscard]] std::vector<T> read() const {
    std::vector<T> values(size_);
    check(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_;
};

/// run(launch, add), where add notes an output, for 1 and
/// for 132 multiprocessors: the same numbers, each time.
template <class Run>
void require_same(Run run) {
  std::vector<std::vector<double>> outputs[3];
  const auto partials = Vector<double>::zeros(kNumPartials);
  const Vector<unsigned> ticket({0});
  for (int i = 0; i < 3; ++i) {
    Launch launch;
    launch.num_sms = i == 2 ? 132 : 1;
    launch.partials = partials;
    launch.ticket = ticket;
    run(launch, [&](const auto& output) {
      const auto values = output.read();
      outputs[i].emplace_back(values.begin(), values.end());
    });
    CHECK(ticket.read() == std::vector<unsigned>{0});
  }
  const bool repeats = outputs[0] == outputs[1], same = outputs[0] == outputs[2];  // too long to print
  CHECK(repeats);
  CHECK(same);
}

Vector<__half> halves(const std::vector<float>& values) {
  return Vector<__half>(std::vector<__half>(values.begin(), values.end()));
}
std::vector<float> floats(const Vector<__half>& on_device) {
  const std::vector<__half> values = on_device.read();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("pictures to the network's input and back") {
  for (const std::int64_t channels : {3, 8}) {
    require_same([channels](const Launch& launch, auto add) {
      constexpr std::int64_t kPixels = 9001;
      const auto x = Vector<float>::whole(3 * kPixels, 9), dx = Vector<float>::whole(3 * kPixels, 10);
      const auto input = Vector<float>::zeros(static_cast<std::size_t>(channels * kPixels));
      check(picture_to_input(launch, input, Storage::kFloat32, channels, x, kPixels));
      check(input_to_picture(launch, dx, input, Storage::kFloat32, channels, kPixels, Accumulate::kAdd));
      add(input), add(dx);
    });
  }
}

TEST_CASE("a ReLU and its gradient go through every element once, from the end") {
  // Two blocks, whose turn is 512 elements, or packs of 4 where the first one is aligned. The output begins a
  // turn behind the input: who came from the beginning would read what the turn before wrote in its place.
  // Beyond the input, to see what is left after the packs.
  struct Case {
    std::size_t first, length, shift;
  };
  for (const auto& [first, length, shift] : {Case{1, 7 * 512 + 259, 512},
                                             {0, 7 * 2048 + 4 * 259, 2048},
                                             {0, 5 * 2048, 2048},
                                             {0, 2048 + 3, 4096},
                                             {0, 3, 4}}) {
    INFO(length << " elements from " << first);
    Launch launch;
    launch.threads_per_sm = 512;
    const auto count = static_cast<std::int64_t>(length);
    const Vector<float> mask(std::vector<float>(first + length, 1));
    std::vector<float> values(first + length + shift, -1);
    for (std::size_t i = 0; i < length; ++i) values[first + i] = static_cast<float>(i + 1);
    std::vector<float> expected = values;
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(first), length,
                expected.begin() + static_cast<std::ptrdiff_t>(first + shift));
    const Vector<float> forward(values), backward(values);
    float *const x = forward + first, *const dy = backward + first;
    check(relu_forward(launch, x + shift, x, Storage::kFloat32, count));
    check(relu_backward(launch, dy + shift, dy, mask + first, Storage::kFloat32, count,
                        Accumulate::kOverwrite));
    for (const Vector<float>* const found : {&forward, &backward}) {
      const bool same = found->read() == expected;  // too long to print
      CHECK(same);
    }
  }
}

TEST_CASE("pools of maps that take a grid several turns") {
  for (const std::int64_t channels : {3, 8}) {
    require_same([channels](const Launch& launch, auto add) {
      constexpr std::int64_t kHeight = 83, kWidth = 91;
      constexpr std::size_t kPositions = kHeight * kWidth, kWindows = 42 * 46, kPooled = 41 * 45;
      const auto c = static_cast<std::size_t>(channels);
      const auto x = Vector<float>::whole(kPositions * c, 11), dx = Vector<float>::whole(kPositions * c, 12);
      const auto y = Vector<float>::zeros(kPooled * c);
      const auto codes = Vector<std::uint8_t>::zeros(kWindows * c);
      check(pool_forward(launch, y, codes, x, Storage::kFloat32, kHeight, kWidth, channels, Pooling::kMax));
      check(pool_backward(launch, dx, y, codes, Storage::kFloat32, kHeight, kWidth, channels, Pooling::kMax,
                          Accumulate::kAdd, Relu::kYes));
      add(y), add(codes), add(dx);
    });
  }
}

TEST_CASE("a grid has as many blocks as the multiprocessors hold threads for") {
  constexpr std::int64_t kLength = 20003;
  const auto x = Vector<float>::whole(kLength, 1);
  const Vector<double> product({-1});
  const Vector<unsigned> ticket({0});
  for (const int threads : {1024, 1536, 2048}) {
    // Each block of a reduction writes one sum.
    const Vector<double> partials(std::vector<double>(64, std::nan("")));
    Launch launch;
    launch.num_sms = 2;
    launch.threads_per_sm = threads;
    launch.partials = partials;
    launch.ticket = ticket;
    check(dot(launch, product, x, x, kLength));
    const auto sums = partials.read();
    CHECK(std::ranges::count_if(sums, [](double sum) { return !std::isnan(sum); }) == 2 * threads / 256);
  }
}

TEST_CASE("sums over vectors") {
  require_same([](const Launch& launch, auto add) {
    constexpr std::int64_t kLength = 20003;
    const auto x = Vector<float>::whole(kLength, 1), target = Vector<float>::whole(kLength, 2);
    const auto d = Vector<float>::whole(kLength, 8);
    const Vector<double> loss({-1}), product({-1});
    check(squared_error(launch, loss, d, x, target, Storage::kFloat32, kLength, {0.5, 2}, Accumulate::kAdd,
                        Relu::kNo));
    check(dot(launch, product, x, target, kLength));
    add(loss), add(d), add(product);
  });
}

TEST_CASE("sums of a picture's differences") {
  require_same([](const Launch& launch, auto add) {
    constexpr std::int64_t kHeight = 41, kWidth = 171;
    const auto x = Vector<float>::whole(kHeight * kWidth * 3, 3);
    const auto d = Vector<float>::zeros(kHeight * kWidth * 3);
    const Vector<double> loss({-1});
    check(total_variation(launch, loss, d, x, kHeight, kWidth, TotalVariation::kL1, 2));
    add(loss), add(d);
  });
}

TEST_CASE("Gram matrices of many tiles") {
  require_same([](const Launch& launch, auto add) {
    constexpr std::int64_t kChannels = 150, kParts = 3;
    constexpr std::size_t kSize = kChannels * kChannels;
    const auto parts = Vector<float>::whole(kParts * kSize, 4), target = Vector<float>::whole(kSize, 5);
    const auto g = Vector<float>::zeros(kSize), d = Vector<float>::zeros(kSize);
    const Vector<double> loss({-1});
    check(gram_sum(launch, g, parts, kParts, kChannels, 0.5, Accumulate::kOverwrite));
    check(style_loss(launch, loss, d, Storage::kFloat32, parts, kParts, target, kChannels, 0.5, {0.25, 2}));
    add(g), add(loss), add(d);
  });
}

TEST_CASE("inner products of an L-BFGS history") {
  const auto of = GENERATE(LbfgsDots::kOfGradient, LbfgsDots::kOfPairAndGradient);
  for (const std::int64_t length : {20000, 20003}) {  // by fours and one by one
    require_same([length, of](const Launch& launch, auto add) {
      constexpr std::int64_t kSlots = 3;
      const auto history = Vector<float>::whole(static_cast<std::size_t>(2 * kSlots * length), 6),
                 g = Vector<float>::whole(static_cast<std::size_t>(length), 7);
      std::vector<double> state(static_cast<std::size_t>(LbfgsState::size(kSlots)));
      state[LbfgsState::kSpare] = 1;
      const Vector<double> on_device(state);
      const auto dots = Vector<double>::zeros(static_cast<std::size_t>(LbfgsState::num_dots(kSlots)));
      check(lbfgs_dots(launch, dots, history, on_device, g, kSlots, length, of));
      add(dots);
    });
  }
}

TEST_CASE("gradients that half cannot hold saturate, and their peak is told") {
  const auto require_halves = [](const Vector<__half>& found, const std::vector<float>& expected) {
    const std::vector<float> values = floats(found);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO(i << ": " << values[i] << ", expected " << expected[i]);
      CHECK((std::isnan(expected[i]) ? std::isnan(values[i]) : values[i] == expected[i]));
    }
  };
  const Vector<ScaledGradients> scaled(std::vector<ScaledGradients>(1));
  const auto peak = [&] { return scaled.read().front().peak; };
  Launch launch;
  launch.scaled = scaled;
  constexpr float kInf = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();

  const auto dy = halves({40000, -40000, 5, 40000}), dx = halves({40000, -51200, 6, kNan}),
             y = halves({1, 1, 1, 1});
  check(relu_backward(launch, dx, dy, y, Storage::kFloat16, 4, Accumulate::kAdd));
  require_halves(dx, {65504, -65504, 11, kNan});
  CHECK(peak() == 91200);

  const auto pooled = halves({-60000}), below = halves({-60000, 1, 2, 3});
  const Vector<std::uint8_t> codes({0xF1});
  check(pool_backward(launch, below, pooled, codes, Storage::kFloat16, 2, 2, 1, Pooling::kMax,
                      Accumulate::kAdd, Relu::kNo));
  require_halves(below, {-65504, 1, 2, 3});
  CHECK(peak() == 120000);

  const Vector<double> partials(std::vector<double>(64, 0)), loss({-1});
  const Vector<unsigned> ticket({0});
  const Vector<float> gram({90000, -80000, -80000, 2}), target({0, 0, 0, 1});
  const auto dg = halves({0, 0, 0, 0});
  launch.partials = partials;
  launch.ticket = ticket;
  check(gram_loss(launch, loss, dg, Storage::kFloat16, gram, target, 2, {1, 1}));
  require_halves(dg, {65504, -65504, -65504, 1});

  const auto stored = halves({kInf, -kInf, 1, kNan});  // by cuBLAS or cuDNN
  check(mask_gradient(launch, stored, nullptr, Storage::kFloat16, 4));
  require_halves(stored, {65504, -65504, 1, kNan});
  CHECK(peak() == kInf);
}

TEST_CASE("a Gram gradient on tensor cores is the product, added and masked, in every tile") {
  constexpr int kPositions = 71;
  for (const int c : {64, 128, 384, 512}) {
    for (const std::size_t shared_bytes : {std::size_t{64} << 10, std::size_t{227} << 10}) {  // sm_75, sm_90
      INFO(c << " channels, " << shared_bytes << " bytes of shared memory");
      // Small whole numbers: the products are exact, and so is what is stored.
      const auto f_at = [&](int p, int a) { return (p * 7 + a * 3) % 5 - 2; };
      const auto dg_at = [&](int a, int b) { return (a * b + a + b) % 13 == 0 ? 1 : 0; };
      const auto df_at = [&](int p, int b) { return (p + b) % 7 - 3; };
      std::vector<__half> f, dg, df;
      for (int p = 0; p < kPositions; ++p) {
        for (int a = 0; a < c; ++a) {
          f.emplace_back(static_cast<float>(f_at(p, a)));
          df.emplace_back(static_cast<float>(df_at(p, a)));
        }
      }
      for (int a = 0; a < c; ++a) {
        for (int b = 0; b < c; ++b) dg.emplace_back(static_cast<float>(dg_at(a, b)));
      }
      const Vector<__half> on_device(df), features(f), matrix(dg);
      Launch launch;
      launch.shared_bytes = shared_bytes;
      launch.num_sms = c == 128 ? 1 : 2;  // then two blocks share few positions' columns
      const auto storage = Storage::kFloat16;
      REQUIRE(takes_gram_backward(shared_bytes, storage, on_device, features, matrix, c));
      check(gram_backward(launch, on_device, features, matrix, storage, kPositions, c, 2, Accumulate::kAdd,
                          Relu::kYes));
      const std::vector<__half> found = on_device.read();
      int wrong = 0;
      for (int p = 0; p < kPositions; ++p) {
        for (int b = 0; b < c; ++b) {
          int sum = 0;
          for (int a = 0; a < c; ++a) sum += f_at(p, a) * dg_at(a, b);
          const int expected = f_at(p, b) > 0 ? df_at(p, b) + 2 * sum : 0;
          const auto value = static_cast<float>(found[static_cast<std::size_t>(p * c + b)]);
          if (value != static_cast<float>(expected)) ++wrong;
        }
      }
      CHECK(wrong == 0);
    }
  }
  const void* const some = reinterpret_cast<const void*>(256);
  const void* const odd = reinterpret_cast<const void*>(264);
  constexpr std::size_t kMuch = std::size_t{227} << 10;
  CHECK_FALSE(takes_gram_backward(kMuch, Storage::kFloat32, some, some, some, 64));
  CHECK_FALSE(takes_gram_backward(kMuch, Storage::kBFloat16, some, some, some, 96));
  CHECK_FALSE(takes_gram_backward(kMuch, Storage::kBFloat16, odd, some, some, 64));
  CHECK_FALSE(takes_gram_backward(std::size_t{48} << 10, Storage::kBFloat16, some, some, some, 512));
}

TEST_CASE("gradients in half are written by the losses with their scale, and leave it at the picture") {
  const Vector<ScaledGradients> scaled({{.scale = 8, .peak = 0}, {}});
  const Vector<double> partials(std::vector<double>(64, 0)), loss({-1});
  const Vector<unsigned> ticket({0});
  Launch launch;
  launch.scaled = scaled;
  launch.partials = partials;
  launch.ticket = ticket;

  const auto x = halves({1, -2, 3, 5}), target = halves({0, 0, 1, 10000}), d = halves({1, 1, -60000, 1});
  check(
      squared_error(launch, loss, d, x, target, Storage::kFloat16, 4, {1, 2}, Accumulate::kAdd, Relu::kYes));
  CHECK(floats(d) == std::vector<float>{17, 0, -59968, -65504});
  CHECK(scaled.read().front().peak == 2 * 8 * 9995.0F - 1);

  const Vector<float> gram({3, 1, 1, 2}), style({1, 1, 1, 1000});
  const auto dg = halves({0, 0, 0, 0});
  check(gram_loss(launch, loss, dg, Storage::kFloat16, gram, style, 2, {1, 100}));
  CHECK(floats(dg) == std::vector<float>{1600, 0, 0, -65504});
  CHECK(scaled.read().front().peak == 100 * 8 * 998.0F);

  constexpr float kInf = std::numeric_limits<float>::infinity();
  const auto dinput = halves({8, 16, -kInf, 0, 0, 0, 0, 0});
  const Vector<float> dpicture({1, 1, 1});
  check(input_to_picture(launch, dpicture, dinput, Storage::kFloat16, 8, 1, Accumulate::kAdd));
  CHECK(dpicture.read() == std::vector<float>{2, 3, 1 - 65504.0F / 8});
  CHECK(scaled.read().front().peak == kInf);
}

TEST_CASE("what gradients met says what the next ones are multiplied by") {
  const Vector<double> slot({-1});
  Launch launch;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const GradientRoom room : {GradientRoom::kWide, GradientRoom::kNarrow}) {
    for (const float peak :
         {0.0F, 0x1p-30F, 3.0F, 16.0F, 700.0F, 1024.0F, 1025.0F, 16384.0F, 20000.0F, kInf}) {
      const Vector<ScaledGradients> before({{.scale = 8, .peak = peak}, {}});
      launch.scaled = before;
      check(watch_gradients(launch, slot, room));
      INFO(peak);
      CHECK(slot.read() == std::vector<double>{peak});
      const ScaledGradients after = before.read().front();
      CHECK(after.peak == 0);
      CHECK(after.scale == next_gradient_scale(8, peak, room));
    }
  }
  CHECK(next_gradient_scale(8, 16, GradientRoom::kWide) == 8);
  CHECK(next_gradient_scale(8, 16384, GradientRoom::kWide) == 8);
  CHECK(next_gradient_scale(8, 0, GradientRoom::kWide) == 8);
  CHECK(next_gradient_scale(8, 15, GradientRoom::kWide) == 8 * 64);
  CHECK(next_gradient_scale(8, 20000, GradientRoom::kWide) == 8.0 / 32);
  CHECK(next_gradient_scale(8, 512, GradientRoom::kNarrow) == 16);
  CHECK(next_gradient_scale(8, 1024, GradientRoom::kNarrow) == 8);
  CHECK(next_gradient_scale(8, 1025, GradientRoom::kNarrow) == 4);
  CHECK(next_gradient_scale(8, 0, GradientRoom::kNarrow) == 0x1p23);
  CHECK(next_gradient_scale(0x1p99, 0, GradientRoom::kNarrow) == 0x1p100);
}
