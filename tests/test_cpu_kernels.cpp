// The CPU backend in every instruction set of this machine: against plain loops, against the reference
// backend, and against itself with other numbers of threads.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>

#include "engine/backend/cpu/cpu_backend.h"
#include "engine/core/error.h"
#include "engine/selftest/selftest.h"
#include "kernels/cpu/isa.h"
#include "tests/support/catch.h"
#include "tests/support/compare.h"
#include "tests/support/test_device.h"

using namespace impasto;

namespace {

class ForcedIsa {
 public:
  explicit ForcedIsa(const std::string& name) {
    if (const char* held = std::getenv(kName)) held_ = held;
    setenv(kName, name.c_str(), 1);
  }
  ~ForcedIsa() { held_ ? setenv(kName, held_->c_str(), 1) : unsetenv(kName); }
  ForcedIsa(const ForcedIsa&) = delete;
  ForcedIsa& operator=(const ForcedIsa&) = delete;

 private:
  static constexpr const char* kName = "IMPASTO_CPU_ISA";
  std::optional<std::string> held_;
};

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (const cpu::Kernels* kernels : cpu::available_kernels()) names.emplace_back(kernels->name);
  return names;
}

std::unique_ptr<Backend> make_backend_for(const std::string& isa, int threads,
                                          Precision precision = Precision::kFp32, int tile = 0) {
  const ForcedIsa forced(isa);
  return make_cpu_backend({.precision = precision, .threads = threads, .conv_tile = tile});
}

using Floats = std::vector<float>;

Floats random_floats(std::mt19937& random, std::int64_t count) {
  std::normal_distribution<float> normal;
  Floats values(static_cast<std::size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

struct Tensor {
  Buffer buffer;
  TensorView view;
  Tensor(Backend& backend, Shape shape, const Floats& values)
      : buffer(backend.allocate(static_cast<std::size_t>(shape.elements()) * sizeof(float))),
        view(buffer.view(0, shape, DType::kFloat32)) {
    backend.upload(view, std::span<const float>(values));
  }
  [[nodiscard]] Floats read(Backend& backend) const {
    Floats values(static_cast<std::size_t>(view.shape.elements()));
    backend.download(std::span<float>(values), view);
    return values;
  }
};

void require_close(const Floats& found, const std::vector<double>& expected, double bound) {
  test::require_close(std::vector<double>(found.begin(), found.end()), expected, bound);
}

struct ConvCase {
  Shape input;
  std::int64_t out_c = 0;
  Padding padding;
  bool flag = false;  ///< forward: ReLU; backward: mask and accumulate
  [[nodiscard]] Shape output() const {
    return {input.h + padding.top + padding.bottom - 2, input.w + padding.left + padding.right - 2, out_c};
  }
};

/// Calls visit(index of x, index of y, index of filter) for every product of the convolution.
template <class Visit>
void for_products(const ConvCase& c, Visit visit) {
  const Shape in = c.input, out = c.output();
  for (std::int64_t y = 0; y < out.h; ++y) {
    for (std::int64_t x = 0; x < out.w; ++x) {
      for (std::int64_t tap = 0; tap < 9; ++tap) {
        const std::int64_t iy = y + tap / 3 - c.padding.top, ix = x + tap % 3 - c.padding.left;
        if (iy < 0 || ix < 0 || iy >= in.h || ix >= in.w) continue;
        for (std::int64_t i = 0; i < in.c; ++i) {
          for (std::int64_t k = 0; k < out.c; ++k) {
            visit(static_cast<std::size_t>((iy * in.w + ix) * in.c + i),
                  static_cast<std::size_t>((y * out.w + x) * out.c + k),
                  static_cast<std::size_t>((tap * in.c + i) * out.c + k));
          }
        }
      }
    }
  }
}

/// Largest error over these cases, of the root mean square. Measured: direct 2e-6.
double conv_bound(const Backend& backend, int tile) {
  if (backend.traits().precision == Precision::kExact) return 1e-5;
  return tile == 2 ? 1e-5 : tile == 4 ? 4e-5 : 2e-4;
}

/// Every way in which this machine convolves: direct sums and
/// each tile of Winograd's algorithm, in each instruction set.
struct ConvBackend {
  int tile;
  std::unique_ptr<Backend> backend;
};
std::vector<ConvBackend> conv_backends(int threads) {
  std::vector<ConvBackend> found;
  for (const std::string& isa : isas()) {
    found.push_back({0, make_backend_for(isa, threads, Precision::kExact)});
    for (const int tile : {0, 2, 4, 6})
      found.push_back({tile, make_backend_for(isa, threads, Precision::kFp32, tile)});
  }
  return found;
}

void check_conv(const std::vector<ConvBackend>& backends, std::mt19937& random, const ConvCase& c) {
  const Floats filter = random_floats(random, 9 * c.input.c * c.out_c), bias = random_floats(random, c.out_c);
  const Floats x = random_floats(random, c.input.elements()),
               dy = random_floats(random, c.output().elements());
  const Floats held = random_floats(random, c.input.elements());
  std::vector<double> y(dy.size()), dx(x.size(), 0.0);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<double>(bias[i % bias.size()]);
  if (c.flag) dx.assign(held.begin(), held.end());
  for_products(c, [&](std::size_t in, std::size_t out, std::size_t weight) {
    y[out] += static_cast<double>(x[in]) * static_cast<double>(filter[weight]);
    dx[in] += static_cast<double>(dy[out]) * static_cast<double>(filter[weight]);
  });
  if (c.flag) {
    for (double& value : y) value = std::max(value, 0.0);
    for (std::size_t i = 0; i < dx.size(); ++i) dx[i] = x[i] > 0 ? dx[i] : 0;
  }
  for (const auto& [tile, owner] : backends) {
    Backend& backend = *owner;
    INFO(backend.info().description << " " << to_string(backend.traits().precision) << " F" << tile << ": "
                                    << to_string(c.input) << " to " << to_string(c.output()) << ", padding "
                                    << c.padding.top << c.padding.bottom << c.padding.left << c.padding.right
                                    << ", flag " << c.flag);
    const auto conv = backend.make_conv_filter({c.input.c, c.out_c, filter, bias});
    const Buffer buffer = backend.allocate(test::conv_workspace_bytes(backend, c.input, c.out_c, c.padding));
    const Workspace workspace{buffer.data(), buffer.bytes()};
    const Tensor tx(backend, c.input, x), ty(backend, c.output(), Floats(dy.size(), NAN)),
        tdy(backend, c.output(), dy), tdx(backend, c.input, c.flag ? held : Floats(x.size(), NAN));
    backend.conv2d_forward(ty.view, tx.view, *conv, c.padding, c.flag ? Relu::kYes : Relu::kNo, workspace);
    backend.conv2d_backward_data(tdx.view, tdy.view, *conv, c.padding,
                                 c.flag ? Accumulate::kAdd : Accumulate::kOverwrite,
                                 c.flag ? ConstTensorView(tx.view) : ConstTensorView{}, workspace);
    require_close(ty.read(backend), y, conv_bound(backend, tile));
    require_close(tdx.read(backend), dx, conv_bound(backend, tile));
  }
}

}  // namespace

TEST_CASE("convolutions of random odd shapes agree with plain loops in every instruction set") {
  const std::vector<ConvBackend> backends = conv_backends(2);
  std::mt19937 random(20161123);
  const auto any = [&](std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  for (int i = 0; i < 40; ++i) {
    ConvCase c;
    c.padding = {static_cast<int>(any(0, 1)), static_cast<int>(any(0, 1)), static_cast<int>(any(0, 1)),
                 static_cast<int>(any(0, 1))};
    c.input = {any(3, 20), any(3, 33), any(1, 40)};
    c.out_c = any(1, 70);
    c.flag = i % 2 == 1;
    check_conv(backends, random, c);
  }
}

TEST_CASE("convolutions at the edges of every block agree with plain loops") {
  const std::vector<ConvBackend> backends = conv_backends(3);
  std::mt19937 random(7);
  for (const bool flag : {false, true}) {
    for (const std::int64_t in_c : {3, 63, 64, 65, 128, 130}) {
      check_conv(backends, random, {{5, 13, in_c}, 32, {}, flag});
      check_conv(backends, random, {{5, 13, 32}, in_c, {}, flag});
    }
    for (std::int64_t w = 1; w < 27; ++w) {
      check_conv(backends, random, {{2, w, 5}, 33, {}, flag});
      check_conv(backends, random, {{w, 3, 17}, 16, {}, flag});
    }
    for (const std::int64_t w : {127, 128, 129, 258}) check_conv(backends, random, {{3, w, 4}, 8, {}, flag});
    check_conv(backends, random, {{1, 1, 1}, 1, {}, flag});
    check_conv(backends, random, {{1, 1, 100}, 100, {}, flag});
    check_conv(backends, random, {{3, 3, 64}, 64, {0, 0, 0, 0}, flag});
    check_conv(backends, random, {{70, 65, 64}, 7, {}, flag});     // several tiles down and in channels
    check_conv(backends, random, {{17, 30, 260}, 144, {}, flag});  // the threads share each step
  }
}

TEST_CASE("every primitive agrees with the reference in every instruction set") {
  const std::string isa = GENERATE(from_range(isas()));
  const auto backend = make_backend_for(isa, 2), exact = make_backend_for(isa, 2, Precision::kExact);
  for (const OpCase& op_case : make_op_cases()) {
    for (Backend* const device : {backend.get(), exact.get()}) {
      if (device == exact.get() && !op_case.operation.starts_with("conv2d")) continue;  // the same kernels
      const SelftestRow row = run_selftest_case(op_case, *device);
      INFO(isa << ": " << row.operation << " " << row.name << ": " << row.problem);
      CHECK(row.ok);
    }
  }
}

TEST_CASE("the operations that a processor's peak is counted from are all different ones") {
  // Each of its sums starts from its own number: equal ones would be computed once and counted often.
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    INFO(kernels->name);
    const std::int64_t sums = kernels->multiply_add_flops / (2 * kernels->vector_floats);
    CHECK(sums * 2 * kernels->vector_floats == kernels->multiply_add_flops);
    CHECK(kernels->multiply_add(0) == static_cast<float>(kernels->vector_floats * sums * (sums - 1) / 2));
  }
}

TEST_CASE("1 to 4 threads give the same bits in every instruction set") {
  const std::string isa = GENERATE(from_range(isas()));
  const Precision precision = GENERATE(Precision::kFp32, Precision::kExact);
  const Shape shape{150, 141, 96};  // many tiles, chunks and runs, none of them whole
  const std::int64_t c = shape.c, n = shape.elements(), slots = 5;
  std::mt19937 random(42);
  const Floats x = random_floats(random, n), t = random_floats(random, n),
               matrix = random_floats(random, c * c);
  const Floats filter = random_floats(random, 9 * c * c), bias = random_floats(random, c);
  const Floats rows = random_floats(random, 2 * slots * n / 8);
  std::vector<Floats> expected;
  std::vector<double> expected_sums;
  for (int threads = 1; threads <= 4; ++threads) {
    const auto owner = make_backend_for(isa, threads, precision);
    Backend& backend = *owner;
    const auto conv = backend.make_conv_filter({c, c, filter, bias});
    const Buffer buffer = backend.allocate(std::max(test::conv_workspace_bytes(backend, shape, c),
                                                    backend.traits().gram_workspace_bytes(shape)));
    const Workspace workspace{buffer.data(), buffer.bytes()};
    const Tensor tx(backend, shape, x), tt(backend, shape, t), ty(backend, shape, t), tdx(backend, shape, x),
        tg(backend, {1, c, c}, matrix), tdf(backend, shape, x), th(backend, {2 * slots, 1, n / 8}, rows);
    const Shape picture{shape.h, shape.w, 3}, vector{1, 1, n / 8};
    const Tensor tp(backend, picture, {x.begin(), x.begin() + picture.elements()}),
        tv(backend, vector, {x.begin(), x.begin() + vector.elements()});
    const std::int64_t num_dots = LbfgsState::num_dots(slots), state_size = LbfgsState::size(slots);
    const Buffer slot_buffer =
        backend.allocate(static_cast<std::size_t>(3 + num_dots + state_size) * sizeof(double));
    backend.fill(slot_buffer.view(0, {1, 1, 3 + num_dots + state_size}, DType::kFloat64), 0);
    const auto slot = [&](std::int64_t i, std::int64_t count = 1) {
      return slot_buffer.view(static_cast<std::size_t>(i) * sizeof(double), {1, 1, count}, DType::kFloat64);
    };

    backend.conv2d_forward(ty.view, tx.view, *conv, {}, Relu::kYes, workspace);
    backend.conv2d_backward_data(tdx.view, tt.view, *conv, {}, Accumulate::kAdd, tx.view, workspace);
    backend.gram_backward(tdf.view, tx.view, tg.view, 0.5, Accumulate::kAdd, Relu::kYes, workspace);
    backend.gram(tg.view, tx.view, 0.5, Accumulate::kOverwrite, workspace);
    backend.squared_error(slot(0), {}, tx.view, tt.view, {1, 1}, Accumulate::kOverwrite, Relu::kNo);
    backend.total_variation(slot(1), {}, tp.view, TotalVariation::kL2, 1);
    backend.dot(slot(2), tx.view, tt.view);
    backend.lbfgs_dots(slot(3, num_dots), th.view, slot(3 + num_dots, state_size), tv.view);

    std::vector<double> sums(static_cast<std::size_t>(3 + num_dots));
    backend.download(std::span<double>(sums), slot(0, 3 + num_dots));
    const std::vector<Floats> found = {ty.read(backend), tdx.read(backend), tdf.read(backend),
                                       tg.read(backend)};
    if (threads == 1) {
      expected = found;
      expected_sums = sums;
    }
    INFO(isa << ", " << threads << " threads");
    REQUIRE(sums == expected_sums);
    for (std::size_t i = 0; i < found.size(); ++i) {
      INFO("tensor " << i);
      REQUIRE(std::memcmp(found[i].data(), expected[i].data(), found[i].size() * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("a Gram matrix of a million equal positions is exact to the last bits") {
  // 0.1 squared, a million times over: a float sum drifts by 1e-3.
  const std::string isa = GENERATE(from_range(isas()));
  const auto backend = make_backend_for(isa, 2);
  const Shape shape{1000, 1000, 2};
  const Tensor f(*backend, shape, Floats(static_cast<std::size_t>(shape.elements()), 0.1F)),
      g(*backend, {1, 2, 2}, Floats(4, NAN));
  const Buffer workspace = backend->allocate(backend->traits().gram_workspace_bytes(shape));
  backend->gram(g.view, f.view, 1e-6, Accumulate::kOverwrite, {workspace.data(), workspace.bytes()});
  const double expected = static_cast<double>(0.1F) * static_cast<double>(0.1F);
  require_close(g.read(*backend), std::vector<double>(4, expected),
                2e-6);  // a block's 256 terms are summed in float
}

TEST_CASE("the memory that the cpu backend plans is the memory that it counts") {
  const std::string isa = GENERATE(from_range(isas()));
  const auto backend = make_backend_for(isa, 2);
  REQUIRE(backend->allocated_bytes() == backend->traits().fixed_bytes);
  const Floats filter(9 * 5 * 7), bias(7);
  const std::size_t before = backend->allocated_bytes();
  const auto conv = backend->make_conv_filter({5, 7, filter, bias});
  REQUIRE(backend->allocated_bytes() - before == backend->traits().conv_filter_bytes(5, 7));
  REQUIRE(test::conv_workspace_bytes(*backend, {48, 64, 512}, 512) > 0);
}

TEST_CASE("an instruction set that this machine does not have is refused with those that it has") {
  const ForcedIsa forced("avx1024");
  try {
    (void)make_cpu_backend({.threads = 1});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUsage);
    CHECK_THAT(error.what(), ContainsSubstring("baseline") && ContainsSubstring("'avx1024'"));
  }
}

TEST_CASE("the cpu backend offers float32 only, and says so") {
  for (const Precision precision : {Precision::kTf32, Precision::kBf16, Precision::kFp16, Precision::kFp64}) {
    try {
      (void)make_cpu_backend({.precision = precision, .threads = 1});
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kResources);
      CHECK_THAT(error.what(), ContainsSubstring("fp32") && ContainsSubstring(to_string(precision)));
    }
  }
  const auto backend = make_cpu_backend({.threads = 3});
  CHECK(backend->info().precisions == std::vector<Precision>{Precision::kFp32, Precision::kExact});
  CHECK_THAT(backend->info().description, ContainsSubstring("3 threads"));
}
