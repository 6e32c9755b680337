// Every backward primitive against central differences of its forward, in double on the reference backend.
// The other devices are held against the reference.
#include <cmath>
#include <functional>

#include "engine/selftest/op_bench.h"
#include "tests/support/catch.h"
#include "tests/support/compare.h"
#include "tests/support/test_device.h"

using namespace impasto;
using test::TestDevice;
using Numbers = std::vector<double>;

namespace {

constexpr double kBound = 1e-6;

/// Gradient of f at x by central differences, two step sizes combined (error of the order h^4).
Numbers differences(const std::function<double(const Numbers&)>& f, Numbers x, double h = 1e-3) {
  Numbers gradient;
  for (double& value : x) {
    const double middle = value;
    const auto slope = [&](double step) {
      value = middle + step;
      const double above = f(x);
      value = middle - step;
      const double below = f(x);
      value = middle;
      return (above - below) / (2 * step);
    };
    gradient.push_back((4 * slope(h / 2) - slope(h)) / 3);
  }
  return gradient;
}

Numbers normal(Shape shape, std::uint64_t seed) { return make_values(Values::kNormal, shape, seed); }

/// Distinct by at least 0.01, in random order: no differences of 0, no ties within the step, none at 0.
Numbers distinct(Shape shape, std::uint64_t seed) {
  const Numbers keys = normal(shape, seed);
  Numbers values;
  for (const double key : keys) {
    const auto rank = std::count_if(keys.begin(), keys.end(), [&](double other) { return other < key; });
    values.push_back(0.01 * (static_cast<double>(rank) - static_cast<double>(keys.size() / 2)) + 0.005);
  }
  return values;
}

double dot(const Numbers& a, const Numbers& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

TEST_CASE("conv2d_backward_data matches finite differences for every padding") {
  TestDevice device("reference");
  const int bits = GENERATE(range(0, 16));
  const Padding padding{bits & 1, bits >> 1 & 1, bits >> 2 & 1, bits >> 3 & 1};
  const Shape shape{4, 5, 3};
  const Shape out{4 + padding.top + padding.bottom - 2, 5 + padding.left + padding.right - 2, 2};
  std::vector<float> filter;
  for (const double value : normal({9, 3, 2}, 1)) filter.push_back(static_cast<float>(value));
  const std::vector<float> bias = {0.3F, -0.2F};
  const auto conv = device->make_conv_filter({3, 2, filter, bias});
  const Numbers x = normal(shape, 2), weights = normal(out, 3);
  const auto y = device.empty_activation(out), dx = device.empty_activation(shape);
  const auto view = device.activation(shape, x);
  const auto loss = [&](const Numbers& at) {  // quadratic, so that dy differs from place to place
    device->upload(view, std::span<const double>(at));
    device->conv2d_forward(y, view, *conv, padding, Relu::kNo, {});
    const Numbers values = device.read(y);
    return dot(values, weights) + 0.5 * dot(values, values);
  };
  loss(x);
  Numbers dy = device.read(y);
  for (std::size_t i = 0; i < dy.size(); ++i) dy[i] += weights[i];
  device->conv2d_backward_data(dx, device.activation(out, dy), *conv, padding, Accumulate::kOverwrite, {},
                               {});
  test::require_close(device.read(dx), differences(loss, x), kBound);
}

TEST_CASE("conv2d_backward_data is the transpose of the convolution") {
  TestDevice device("reference");
  const int bits = GENERATE(range(0, 16));
  const Padding padding{bits & 1, bits >> 1 & 1, bits >> 2 & 1, bits >> 3 & 1};
  const Shape shape{6, 9, 7};
  const Shape out{6 + padding.top + padding.bottom - 2, 9 + padding.left + padding.right - 2, 11};
  std::vector<float> filter;
  for (const double value : normal({9, 7, 11}, 1)) filter.push_back(static_cast<float>(value));
  const auto conv = device->make_conv_filter({7, 11, filter, std::vector<float>(11)});
  const Numbers x = normal(shape, 2), dy = normal(out, 3);
  const auto y = device.empty_activation(out), dx = device.empty_activation(shape);
  device->conv2d_forward(y, device.activation(shape, x), *conv, padding, Relu::kNo, {});
  device->conv2d_backward_data(dx, device.activation(out, dy), *conv, padding, Accumulate::kOverwrite, {},
                               {});
  CHECK(dot(device.read(y), dy) == Approx(dot(x, device.read(dx))).epsilon(1e-12));
}

TEST_CASE("conv2d_forward is the sum over the window") {
  TestDevice device("reference");
  const int bits = GENERATE(range(0, 16));
  const Padding padding{bits & 1, bits >> 1 & 1, bits >> 2 & 1, bits >> 3 & 1};
  const Shape shape{4, 6, 5};
  const Shape out{4 + padding.top + padding.bottom - 2, 6 + padding.left + padding.right - 2, 3};
  const Numbers x = normal(shape, 1);
  std::vector<float> filter;
  for (const double value : normal({9, 5, 3}, 2)) filter.push_back(static_cast<float>(value));
  const std::vector<float> bias = {1, -2, 0.5F};
  Numbers expected;
  for (std::int64_t i = 0; i < out.h; ++i) {
    for (std::int64_t j = 0; j < out.w; ++j) {
      for (std::int64_t k = 0; k < out.c; ++k) {
        double sum = bias[static_cast<std::size_t>(k)];
        for (std::int64_t tap = 0; tap < 9; ++tap) {
          const std::int64_t row = i + tap / 3 - padding.top, column = j + tap % 3 - padding.left;
          if (row < 0 || row >= shape.h || column < 0 || column >= shape.w) continue;
          for (std::int64_t c = 0; c < shape.c; ++c) {
            sum += x[static_cast<std::size_t>((row * shape.w + column) * shape.c + c)] *
                   filter[static_cast<std::size_t>((tap * shape.c + c) * out.c + k)];
          }
        }
        expected.push_back(sum);
      }
    }
  }
  const auto y = device.empty_activation(out);
  const auto conv = device->make_conv_filter({shape.c, out.c, filter, bias});
  device->conv2d_forward(y, device.activation(shape, x), *conv, padding, Relu::kNo, {});
  test::require_close(device.read(y), expected, 1e-14);
}

TEST_CASE("pool_backward and relu_backward match finite differences") {
  TestDevice device("reference");
  const Pooling pooling = GENERATE(Pooling::kMax, Pooling::kAverage);
  const Shape shape{5, 7, 3}, half{2, 3, 3};
  const Numbers x = distinct(shape, 1), dy = normal(half, 2);
  const auto rectified = device.empty_activation(shape), y = device.empty_activation(half);
  const auto view = device.activation(shape, x), codes = device.empty_codes(shape);
  const auto loss = [&](const Numbers& at) {
    device->upload(view, std::span<const double>(at));
    device->relu_forward(rectified, view);
    device->pool_forward(y, codes, rectified, pooling);
    return dot(device.read(y), dy);
  };
  const Numbers expected = differences(loss, x, 1e-3);
  loss(x);
  const auto dx = device.empty_activation(shape), drectified = device.empty_activation(shape);
  const auto dy_view = device.activation(half, dy);
  device->pool_backward(drectified, dy_view, codes, pooling, Accumulate::kOverwrite, Relu::kNo);
  device->relu_backward(dx, drectified, rectified, Accumulate::kOverwrite);
  test::require_close(device.read(dx), expected, kBound);
  device->pool_backward(dx, dy_view, codes, pooling, Accumulate::kOverwrite, Relu::kYes);
  test::require_close(device.read(dx), expected, kBound);
}

TEST_CASE("the style gradient through gram and gram_loss matches finite differences") {
  TestDevice device("reference");
  const Shape shape{3, 4, 5}, square{1, 5, 5};
  const double scale = 1.0 / 12;
  const Numbers f = normal(shape, 1);
  const auto target = device.real(square, make_values(Values::kSymmetric, square, 2));
  const auto view = device.activation(shape, f), df = device.empty_activation(shape);
  const auto g = device.empty_real(square), dg = device.empty_real(square);
  const auto loss = [&](const Numbers& at) {
    device->upload(view, std::span<const double>(at));
    const auto slot = device.slots({0});
    device->gram(g, view, scale, Accumulate::kOverwrite, {});
    device->gram_loss(slot, dg, g, target, {3, 2 * 3});
    return device.read(slot)[0];
  };
  loss(f);
  device->gram_backward(df, view, dg, 2 * scale, Accumulate::kOverwrite, Relu::kNo, {});
  test::require_close(device.read(df), differences(loss, f), kBound);
}

TEST_CASE("the content gradient of squared_error matches finite differences") {
  TestDevice device("reference");
  const Shape shape{3, 2, 4};
  const Numbers x = normal(shape, 1);
  const auto target = device.activation(shape, normal(shape, 2));
  const auto view = device.activation(shape, x), d = device.empty_activation(shape);
  const auto loss = [&](const Numbers& at) {
    device->upload(view, std::span<const double>(at));
    const auto slot = device.slots({0});
    device->squared_error(slot, d, view, target, {0.7, 1.4}, Accumulate::kOverwrite, Relu::kNo);
    return device.read(slot)[0];
  };
  const Numbers expected = differences(loss, x);
  loss(x);
  test::require_close(device.read(d), expected, kBound);
}

TEST_CASE("total_variation matches finite differences, for each kind") {
  TestDevice device("reference");
  const auto kind = GENERATE(TotalVariation::kL2, TotalVariation::kL1, TotalVariation::kHalfSum);
  const Shape shape = GENERATE(Shape{4, 5, 3}, Shape{1, 6, 3}, Shape{6, 1, 3});
  Numbers x = distinct(shape, 1);
  for (double& value : x) value *= 100;
  const auto view = device.real(shape, x), d = device.real(shape, Numbers(x.size()));
  const auto loss = [&](const Numbers& at) {
    device->upload(view, std::span<const double>(at));
    const auto slot = device.slots({0});
    device->total_variation(slot, {}, view, kind, 1);
    return 2.5 * device.read(slot)[0];
  };
  const Numbers expected = differences(loss, x, 0.1);
  device->upload(view, std::span<const double>(x));
  device->total_variation(device.slots({0}), d, view, kind, 2.5);
  test::require_close(device.read(d), expected, kBound);
}
