// How much a Gram matrix loses to rounding on a device, with many positions: its elements against sums in
// double of the same stored values. Beside it what float sums one after another lose: over all positions, as
// a single product does that is not split, and over parts of 4096 that are added up in double.
//
//   build/bin/gram_error --device cuda --precision fp32 --size 2048 --channels 32
//
// Values are normal around a mean that grows with the channel, after a ReLU: nothing cancels, so that float
// sums grow and round more and more. Errors are relative to each element.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <random>

#include "engine/backend/devices.h"
#include "profiling/arguments.h"

namespace impasto::profiling {
namespace {

struct Errors {
  double largest = 0, squares = 0, signed_sum = 0;
  void add(double found, double exact) {
    const double error = found / exact - 1;
    largest = std::max(largest, std::abs(error));
    squares += error * error;
    signed_sum += error;
  }
};

void print(const char* what, const Errors& errors, std::size_t count) {
  const auto n = static_cast<double>(count);
  std::printf("%-22s max %.2g, root mean square %.2g, mean %+.2g\n", what, errors.largest,
              std::sqrt(errors.squares / n), errors.signed_sum / n);
}

/// Values (n, c) that are nearly normal around a mean that grows with the channel, after a ReLU.
void fill_row(std::vector<float>& values, std::size_t c, std::mt19937& random) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    // The sum of four bytes is nearly normal.
    const std::uint32_t bits = random();
    const auto sum = static_cast<float>((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
    const float mean = static_cast<float>(i % c) / static_cast<float>(c);
    values[i] = std::max(0.0F, mean + (sum - 510) / 148);
  }
}

/// A Gram matrix (c, c), added up position by position in three ways.
struct Sums {
  explicit Sums(std::size_t channels) : c(channels), exact(c * c), parts(c * c), plain(c * c), part(c * c) {}
  void add(const float* position);
  void end_part();

  std::size_t c;
  std::vector<double> exact;  ///< in double
  std::vector<double> parts;  ///< in float over 4096 positions, in double over these
  std::vector<float> plain;   ///< in float
  std::vector<float> part;    ///< the part that is not in `parts` yet
  std::int64_t in_part = 0;
};

void Sums::add(const float* position) {
  for (std::size_t a = 0; a < c; ++a) {
    double* const sums = exact.data() + a * c;
    float* const floats = plain.data() + a * c;
    float* const part_floats = part.data() + a * c;
    const float left = position[a];
    for (std::size_t b = 0; b < c; ++b) {
      const float product = left * position[b];
      sums[b] += static_cast<double>(left) * static_cast<double>(position[b]);
      floats[b] += product;
      part_floats[b] += product;
    }
  }
  if (++in_part == 4096) end_part();
}

void Sums::end_part() {
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i] += static_cast<double>(part[i]);
  std::fill(part.begin(), part.end(), 0.0F);
  in_part = 0;
}

void print_errors(const std::vector<double>& found, const Sums& sums) {
  Errors of_device, of_plain, of_parts;
  for (std::size_t i = 0; i < found.size(); ++i) {
    of_device.add(found[i], sums.exact[i]);
    of_plain.add(static_cast<double>(sums.plain[i]), sums.exact[i]);
    of_parts.add(sums.parts[i], sums.exact[i]);
  }
  print("the device", of_device, found.size());
  print("parts of 4096 in order", of_parts, found.size());
  print("one sum in order", of_plain, found.size());
}

void run(const Arguments& arguments) {
  const auto backend =
      make_backend({.device = arguments.text("--device"), .precision = arguments.precision("--precision")});
  const std::int64_t size = arguments.integer("--size", 16, 8192);
  const std::int64_t channels = arguments.integer("--channels", 1, 512);
  const Shape shape{size, size, channels};
  const auto c = static_cast<std::size_t>(channels);
  const DType dtype = backend->traits().activation;
  const Buffer memory = backend->allocate(static_cast<std::size_t>(shape.elements()) * size_of(dtype));

  // A row of positions at a time: what the device then holds of it is read back and added up here.
  Sums sums(c);
  std::vector<float> values(static_cast<std::size_t>(size) * c);
  std::mt19937 random(1);
  for (std::int64_t y = 0; y < size; ++y) {
    fill_row(values, c, random);
    const TensorView row =
        memory.view(static_cast<std::size_t>(y * size) * c * size_of(dtype), {1, size, channels}, dtype);
    backend->upload(row, std::span<const float>(values));
    backend->download(std::span<float>(values), row);
    for (const float* at = values.data(); at != values.data() + values.size(); at += c) sums.add(at);
  }
  sums.end_part();

  const Buffer workspace = backend->allocate(backend->traits().gram_workspace_bytes(shape));
  const DType real = backend->traits().real;
  const Buffer result = backend->allocate(c * c * size_of(real));
  const TensorView g = result.view(0, {1, channels, channels}, real);
  backend->gram(g, memory.view(0, shape, dtype), 1, Accumulate::kOverwrite,
                {workspace.data(), workspace.bytes()});
  std::vector<double> found(c * c);
  backend->download(std::span<double>(found), g);
  std::printf("%s, %s: %lldx%lld positions, %lld channels\n", backend->info().name.c_str(),
              to_string(backend->traits().precision), static_cast<long long>(size),
              static_cast<long long>(size), static_cast<long long>(channels));
  print_errors(found, sums);
}

}  // namespace
}  // namespace impasto::profiling

int main(int argc, char** argv) {
  try {
    impasto::profiling::run(
        {argc,
         argv,
         {{"--device", "auto"}, {"--precision", "auto"}, {"--size", "2048"}, {"--channels", "32"}},
         {}});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gram_error: %s\n", error.what());
    return 1;
  }
}
