// Primitives against numbers computed by hand, on every device. Sizes and paddings beyond these are held
// against the reference in test_backend_ops.cpp.
#include <cmath>
#include <cstdint>

#include "tests/support/catch.h"
#include "tests/support/compare.h"
#include "tests/support/test_device.h"

using namespace impasto;
using test::require_close;
using test::TestDevice;
using Numbers = std::vector<double>;

namespace {

constexpr double kEps = 5e-7;  // a few roundings to float32; at most 1e-7 measured

struct ConvOf {
  std::shared_ptr<const ConvFilter> conv;
  Workspace workspace;
};
ConvOf make_conv(TestDevice& device, Shape input, std::int64_t out, const std::vector<float>& filter,
                 const std::vector<float>& bias) {
  return {device->make_conv_filter({input.c, out, filter, bias}),
          device.workspace(test::conv_workspace_bytes(*device, input, out))};
}

}  // namespace

TEST_CASE("conv2d_forward gives the numbers computed by hand, for each padding") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape input{3, 3, 1};
  const auto x = device.activation(input, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  // Two filters, 1..9 and its negative: the second is cut by the ReLU.
  std::vector<float> filter;
  for (int i = 1; i <= 9; ++i) filter.insert(filter.end(), {static_cast<float>(i), static_cast<float>(-i)});
  const ConvOf c = make_conv(device, input, 2, filter, {0.5F, 100});
  const auto y = device.empty_activation({3, 3, 2});
  // sum over the window of x * filter, not flipped; without the bias
  const Numbers sums = {94, 154, 106, 186, 285, 186, 106, 154, 94};
  device->conv2d_forward(y, x, *c.conv, {}, Relu::kNo, c.workspace);
  Numbers expected;
  for (const double sum : sums) expected.insert(expected.end(), {sum + 0.5, 100 - sum});
  require_close(device.read(y), expected, device.bound(kEps));
  device->conv2d_forward(y, x, *c.conv, {}, Relu::kYes, c.workspace);
  for (double& value : expected) value = std::max(value, 0.0);
  require_close(device.read(y), expected, device.bound(kEps));

  const auto centre = device.empty_activation({1, 1, 2});
  device->conv2d_forward(centre, x, *c.conv, {0, 0, 0, 0}, Relu::kNo, c.workspace);
  require_close(device.read(centre), Numbers{285.5, -185}, device.bound(kEps));
  const auto corner = device.empty_activation({2, 2, 2});  // top and right: sums 1, 2, 4, 5
  device->conv2d_forward(corner, x, *c.conv, {.top = 1, .bottom = 0, .left = 0, .right = 1}, Relu::kNo,
                         c.workspace);
  require_close(device.read(corner), Numbers{154.5, -54, 106.5, -6, 285.5, -185, 186.5, -86},
                device.bound(kEps));
}

TEST_CASE("conv2d_backward_data spreads one gradient over the filter, adds, and masks the sum") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape input{3, 3, 1};
  const ConvOf c = make_conv(device, input, 1, {1, 2, 3, 4, 5, 6, 7, 8, 9}, {3});
  const auto dx = device.empty_activation(input);
  const auto centre = device.activation(input, {0, 0, 0, 0, 2, 0, 0, 0, 0});
  device->conv2d_backward_data(dx, centre, *c.conv, {}, Accumulate::kOverwrite, {}, c.workspace);
  require_close(device.read(dx), Numbers{2, 4, 6, 8, 10, 12, 14, 16, 18}, device.bound(kEps));
  const auto corner = device.activation(input, {1, 0, 0, 0, 0, 0, 0, 0, 0});
  device->conv2d_backward_data(dx, corner, *c.conv, {}, Accumulate::kAdd, {}, c.workspace);
  require_close(device.read(dx), Numbers{7, 10, 6, 16, 19, 12, 14, 16, 18}, device.bound(kEps));
  const auto mask = device.activation(input, {0, 1, 0, -1, 1e-30, 0, 2, 0, 0});
  device->conv2d_backward_data(dx, corner, *c.conv, {}, Accumulate::kAdd, mask, c.workspace);
  require_close(device.read(dx), Numbers{0, 16, 0, 0, 28, 0, 14, 0, 0}, device.bound(kEps));
  const auto dy = device.activation({1, 1, 1}, {1});
  device->conv2d_backward_data(dx, dy, *c.conv, {0, 0, 0, 0}, Accumulate::kOverwrite, {}, c.workspace);
  require_close(device.read(dx), Numbers{1, 2, 3, 4, 5, 6, 7, 8, 9}, device.bound(kEps));
}

TEST_CASE("relu_forward and relu_backward give 0 at exactly 0") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape shape{1, 5, 1};
  const auto x = device.activation(shape, {-1, 0, 2, -0.0, 1e-30});
  const auto y = device.empty_activation(shape);
  device->relu_forward(y, x);
  require_close(device.read(y), Numbers{0, 0, 2, 0, 1e-30}, 1e-7);
  const auto dy = device.activation(shape, {1, 2, 3, 4, 5});
  const auto dx = device.empty_activation(shape);
  for (const TensorView& sign : {x, y}) {  // the ReLU's input and its output say the same
    device->relu_backward(dx, dy, sign, Accumulate::kOverwrite);
    CHECK(device.read(dx) == Numbers{0, 0, 3, 0, 5});
  }
  device->relu_backward(dx, dy, y, Accumulate::kAdd);
  CHECK(device.read(dx) == Numbers{0, 0, 6, 0, 10});
}

TEST_CASE("max pooling gives a tie's gradient to the first maximum and none to an odd edge") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape shape{5, 5, 1}, half{2, 2, 1};
  const auto x = device.activation(shape, {3,  3,  0,  5,  99,  //
                                           3,  3,  5,  5,  99,  //
                                           -2, -1, 0,  0,  99,  //
                                           -1, -1, 0,  0,  99,  //
                                           99, 99, 99, 99, 99});
  const auto y = device.empty_activation(half);
  const auto codes = device.empty_codes(shape);
  device->pool_forward(y, codes, x, Pooling::kMax);
  CHECK(device.read(y) == Numbers{3, 5, -1, 0});
  // A tie of four, one in a column; the second, nothing above 0; an edge that no window takes in.
  CHECK(device.read(codes) == Numbers{0xF1, 0xE2, 0x50, 0x02, 0x01, 0x50, 0x30, 0x30, 0x10});
  const auto dy = device.activation(half, {1, 2, 3, 4});
  const auto dx = device.empty_activation(shape);
  device->pool_backward(dx, dy, codes, Pooling::kMax, Accumulate::kOverwrite, Relu::kNo);
  CHECK(device.read(dx) == Numbers{1, 0, 0, 2, 0,  //
                                   0, 0, 0, 0, 0,  //
                                   0, 3, 4, 0, 0,  //
                                   0, 0, 0, 0, 0,  //
                                   0, 0, 0, 0, 0});
  device->fill(dx, 10);
  device->pool_backward(dx, dy, codes, Pooling::kMax, Accumulate::kAdd, Relu::kYes);
  CHECK(device.read(dx) == Numbers{11, 10, 0,  12, 10,  //
                                   10, 10, 10, 10, 10,  //
                                   0,  0,  0,  0,  10,  //
                                   0,  0,  0,  0,  10,  //
                                   10, 10, 10, 10, 10});
}

TEST_CASE("average pooling divides by 4 and leaves an odd edge out") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape shape{3, 2, 2}, half{1, 1, 2};
  const auto x = device.activation(shape, {1, 10, 2, 20, 3, 30, 4, -100, 99, 99, 99, 99});
  const auto y = device.empty_activation(half);
  const auto codes = device.empty_codes(shape);
  device->pool_forward(y, codes, x, Pooling::kAverage);
  CHECK(device.read(y) == Numbers{2.5, -10});
  CHECK(device.read(codes) == Numbers{0xFF, 0x7F, 0x30, 0x30});
  const auto dx = device.empty_activation(shape);
  device->pool_backward(dx, device.activation(half, {4, 8}), codes, Pooling::kAverage, Accumulate::kOverwrite,
                        Relu::kYes);
  CHECK(device.read(dx) == Numbers{1, 2, 1, 2, 1, 2, 1, 0, 0, 0, 0, 0});
}

TEST_CASE("a pool of a picture one pixel wide is empty, and its gradient is 0") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const auto x = device.activation({7, 1, 5}, Numbers(35, 1.0));
  const TensorView y{nullptr, {3, 0, 5}, device->traits().activation};
  const auto codes = device.empty_codes(x.shape);
  device->pool_forward(y, codes, x, Pooling::kMax);
  const auto dx = device.empty_activation({7, 1, 5});
  device->pool_backward(dx, y, codes, Pooling::kMax, Accumulate::kOverwrite, Relu::kNo);
  CHECK(device.read(dx) == Numbers(35, 0.0));
}

TEST_CASE("pictures go to the network's input and back") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const auto picture = device.real({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  const std::int64_t channels = device->traits().input_channels;
  const auto input = device.empty_activation({1, 2, channels});
  device->picture_to_input(input, picture);
  Numbers expected(static_cast<std::size_t>(2 * channels));
  for (std::size_t c = 0; c < 3; ++c) {
    expected[c] = static_cast<double>(c + 1);
    expected[static_cast<std::size_t>(channels) + c] = static_cast<double>(c + 4);
  }
  CHECK(device.read(input) == expected);
  const auto dpicture = device.empty_real({1, 2, 3});
  device->input_to_picture(dpicture, input, Accumulate::kOverwrite);
  CHECK(device.read(dpicture) == Numbers{1, 2, 3, 4, 5, 6});
  device->input_to_picture(dpicture, input, Accumulate::kAdd);
  CHECK(device.read(dpicture) == Numbers{2, 4, 6, 8, 10, 12});
}

TEST_CASE("gram and gram_backward give the products computed by hand") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape shape{3, 1, 2};
  const auto f = device.activation(shape, {1, 2, 3, 4, 5, 6});
  const Workspace workspace = device.workspace(device->traits().gram_workspace_bytes(shape));
  const auto g = device.empty_real({1, 2, 2});
  device->gram(g, f, 0.5, Accumulate::kOverwrite, workspace);
  require_close(device.read(g), Numbers{17.5, 22, 22, 28}, device.bound(kEps));
  device->gram(g, f, 1, Accumulate::kAdd, workspace);
  require_close(device.read(g), Numbers{52.5, 66, 66, 84}, device.bound(kEps));
  const auto df = device.empty_activation(shape);
  const auto dg = device.real({1, 2, 2}, {1, 10, 10, -1});
  device->gram_backward(df, f, dg, 2, Accumulate::kOverwrite, Relu::kNo, workspace);
  require_close(device.read(df), Numbers{42, 16, 86, 52, 130, 88}, device.bound(kEps));
  device->gram_backward(df, f, dg, -1, Accumulate::kAdd, Relu::kNo, workspace);
  require_close(device.read(df), Numbers{21, 8, 43, 26, 65, 44}, device.bound(kEps));
}

TEST_CASE("style_loss keeps to the end of a workspace that layers use beside it") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  if (!device->traits().style_losses_beside) return;
  const Shape shape{40, 50, 64}, matrix{1, 64, 64};
  const auto f = device.activation(shape, make_values(Values::kFeatures, shape, 1));
  const auto target = device.real(matrix, make_values(Values::kSymmetric, matrix, 2));
  const auto loss = device.empty({1, 1, 1}, DType::kFloat64), d = device.empty_activation(matrix);
  const std::size_t own = device->traits().gram_workspace_bytes(shape);
  constexpr std::size_t kOthers = 1 << 20;
  const Workspace workspace = device.workspace(kOthers + (own + 255) / 256 * 256);
  const TensorView others{workspace.data, {1, 1, kOthers / sizeof(float)}, DType::kFloat32};
  device->fill(others, 7);
  device->style_loss(loss, d, device.empty_real(matrix), f, target, 1, {1, 1}, workspace);
  const std::vector<double> found = device.read(others);
  CHECK(std::count(found.begin(), found.end(), 7.0) == static_cast<std::ptrdiff_t>(found.size()));
}

TEST_CASE("gram_loss of a matrix that was added up in strips is style_loss of the whole") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape shape{7, 9, 70}, square{1, 70, 70};
  const Numbers values = make_values(Values::kFeatures, shape, 1);
  const auto f = device.activation(shape, values);
  const auto target = device.real(square, make_values(Values::kSymmetric, square, 2));
  const Workspace workspace = device.workspace(device->traits().gram_workspace_bytes(shape));
  const auto g = device.empty_real(square), d = device.empty_activation(square),
             whole_d = device.empty_activation(square);
  const auto loss = device.slots({-1}), whole_loss = device.slots({-1});
  const double scale = 1.0 / static_cast<double>(shape.positions());
  constexpr LossScales kScales{0.5, 3};
  device->style_loss(whole_loss, whole_d, g, f, target, scale, kScales, workspace);

  std::int64_t first = 0;
  for (const std::int64_t rows : {3, 1, 3}) {
    const Shape strip{rows, shape.w, shape.c};
    const auto* const begin = static_cast<const std::byte*>(f.data);
    const auto row_bytes = static_cast<std::size_t>(shape.w * shape.c) * size_of(f.dtype);
    const ConstTensorView part{begin + static_cast<std::size_t>(first) * row_bytes, strip, f.dtype};
    device->gram(g, part, scale, first == 0 ? Accumulate::kOverwrite : Accumulate::kAdd, workspace);
    first += rows;
  }
  device->gram_loss(loss, d, g, target, kScales);
  require_close(device.read(loss), device.read(whole_loss), device.bound(1e-6));
  require_close(device.read(d), device.read(whole_d), device.bound(1e-6));
}

TEST_CASE("gram sums half a million positions without drifting") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  // Quarters from 0 to 15: products are exact in float32, and so are the sums of 64-bit integers below.
  constexpr std::int64_t kPositions = 500000, kChannels = 8;
  std::vector<std::int64_t> quarters(static_cast<std::size_t>(kPositions * kChannels));
  std::uint32_t random = 1;
  for (auto& value : quarters) value = (random = random * 1664525U + 1013904223U) >> 26U;
  Numbers f(quarters.begin(), quarters.end()), expected;
  for (double& value : f) value /= 4;
  for (std::size_t a = 0; a < kChannels; ++a) {
    for (std::size_t b = 0; b < kChannels; ++b) {
      std::int64_t sum = 0;
      for (std::size_t p = 0; p < quarters.size(); p += kChannels) sum += quarters[p + a] * quarters[p + b];
      expected.push_back(static_cast<double>(sum) / 16 / static_cast<double>(kPositions));
    }
  }
  const Shape shape{500, 1000, kChannels};
  const auto g = device.empty_real({1, kChannels, kChannels});
  device->gram(g, device.activation(shape, f), 1.0 / kPositions, Accumulate::kOverwrite,
               device.workspace(device->traits().gram_workspace_bytes(shape)));
  require_close(device.read(g), expected, device.bound(kEps));
}

TEST_CASE("squared_error writes its value and writes or adds its gradient") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape shape{1, 3, 1};
  const auto x = device.activation(shape, {1, 2, 3}), target = device.activation(shape, {0, 0, 5});
  const auto loss = device.slots({10});
  const auto d = device.empty_activation(shape);
  device->squared_error(loss, d, x, target, {0.5, 2}, Accumulate::kOverwrite, Relu::kNo);
  CHECK(device.read(loss) == Numbers{4.5});
  CHECK(device.read(d) == Numbers{2, 4, -4});
  device->squared_error(loss, d, x, target, {1, -1}, Accumulate::kAdd, Relu::kNo);
  CHECK(device.read(loss) == Numbers{9});
  CHECK(device.read(d) == Numbers{1, 2, -2});
  device->squared_error(loss, {}, x, target, {1, 1}, Accumulate::kOverwrite, Relu::kNo);
  CHECK(device.read(loss) == Numbers{9});
}

TEST_CASE("total_variation gives the values and gradients computed by hand, for each kind") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape shape{2, 2, 3};
  // Channel 0 is (0, 255; 510, 255), the others are flat: differences 255, -255 across and 510, 0 down.
  const auto x = device.real(shape, {0, 7, -3, 255, 7, -3, 510, 7, -3, 255, 7, -3});
  const auto check = [&](TotalVariation kind, double value, const std::array<double, 4>& gradient) {
    Numbers expected(12, 1.0);
    for (std::size_t i = 0; i < 4; ++i) expected[3 * i] += 2 * gradient[i];
    const auto loss = device.slots({3});
    const auto d = device.real(shape, Numbers(12, 1.0));
    device->total_variation(loss, d, x, kind, 2);
    require_close(device.read(loss), Numbers{value}, device.bound(kEps));
    require_close(device.read(d), expected, device.bound(kEps));
    device->total_variation(loss, {}, x, kind, 2);
    require_close(device.read(loss), Numbers{value}, device.bound(kEps));
  };
  check(TotalVariation::kL2, 1, {-6 / 1530.0, 2 / 1530.0, 6 / 1530.0, -2 / 1530.0});
  check(TotalVariation::kL1, 1020, {-2, 1, 2, -1});
  check(TotalVariation::kHalfSum, 3, {-3 / 255.0, 1 / 255.0, 3 / 255.0, -1 / 255.0});
}

TEST_CASE("momentum_step follows its recurrence over several steps") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape shape{1, 1, 3};
  const auto x = device.real(shape, {1, 2, 3}), v = device.real(shape, {0, 0, 0});
  const auto g = device.real(shape, {1, -2, 0.5});
  for (int i = 0; i < 3; ++i) device->momentum_step(x, v, g, 0.5, 0.5);
  // v is g times 1, 1.5, 1.75; x moves by -0.5 * 4.25 g
  require_close(device.read(v), Numbers{1.75, -3.5, 0.875}, device.bound(kEps));
  require_close(device.read(x), Numbers{-1.125, 6.25, 1.9375}, device.bound(kEps));
}

TEST_CASE("adam_step follows the published recurrence over several steps") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const AdamParameters p{.learning_rate = 0.1, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3};
  const Shape shape{1, 1, 3};
  Numbers x = {1, -2, 0.5}, m(3), v(3);
  const auto dx = device.real(shape, x), dm = device.real(shape, m), dv = device.real(shape, v);
  const auto step = device.slots({0});
  for (int t = 1; t <= 5; ++t) {
    const Numbers g = {0.5 * t, std::sin(t), t == 3 ? 0.0 : -1e-3};
    for (std::size_t i = 0; i < 3; ++i) {
      m[i] = p.beta1 * m[i] + (1 - p.beta1) * g[i];
      v[i] = p.beta2 * v[i] + (1 - p.beta2) * g[i] * g[i];
      const double m_hat = m[i] / (1 - std::pow(p.beta1, t)), v_hat = v[i] / (1 - std::pow(p.beta2, t));
      x[i] -= p.learning_rate * m_hat / (std::sqrt(v_hat) + p.epsilon);
    }
    device->adam_step(dx, dm, dv, step, device.real(shape, g), p);
    require_close(device.read(dx), x, device.bound(kEps));
  }
  CHECK(device.read(step) == Numbers{5});
  require_close(device.read(dm), m, device.bound(kEps));
  require_close(device.read(dv), v, device.bound(kEps));
}

TEST_CASE("average_channels puts the mean of a pixel's three channels into each, to the same bit") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const auto x = device.real({1, 3, 3}, {3, 6, 9, 0.1, 0.7, -1.3, -1, -1, -1});
  device->average_channels(x);
  const Numbers found = device.read(x);
  require_close(found, Numbers{6, 6, 6, -1 / 6.0, -1 / 6.0, -1 / 6.0, -1, -1, -1}, device.bound(kEps));
  for (std::size_t i = 0; i < 9; i += 3) CHECK((found[i] == found[i + 1] && found[i] == found[i + 2]));
}

TEST_CASE("clamp limits each channel to its own range") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const auto x = device.real({2, 1, 3}, {-5, -5, -5, 5, 5, 5});
  device->clamp(x, {-1, -6, 0}, {1, 2, 9});
  CHECK(device.read(x) == Numbers{-1, -5, 0, 1, 2, 5});
}

TEST_CASE("add_scaled, dot and lincomb combine vectors") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape shape{1, 1, 3};
  const auto a = device.real(shape, {1, 2, 3}), b = device.real(shape, {4, 5, -6});
  const auto out = device.empty_real(shape);
  device->add_scaled(out, a, device.slots({0.5}), b);
  CHECK(device.read(out) == Numbers{3, 4.5, 0});
  device->add_scaled(out, out, device.slots({-1}), a);
  CHECK(device.read(out) == Numbers{2, 2.5, -3});
  const auto slot = device.empty({1, 1, 1}, DType::kFloat64);
  device->dot(slot, a, b);
  CHECK(device.read(slot) == Numbers{-4});
  const auto rows = device.real({2, 1, 3}, {1, 2, 3, 10, 20, 30});
  device->lincomb(out, device.slots({2, 0.5, -1}), rows, b);
  CHECK(device.read(out) == Numbers{3, 9, 27});
}
