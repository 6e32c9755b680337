// Time and memory of large pictures: one is written from a source of rows, read at a smaller size, or read as
// a whole and then resized. One line: seconds, and the most memory that the process had.
//   picture_rows write FILE WIDTH HEIGHT [BITS]
//   picture_rows read FILE LONG_SIDE            (0: as it is)
//   picture_rows read-whole FILE LONG_SIDE
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "engine/image/image.h"

namespace {

using impasto::PixelSize;

/// Smooth, with noise in it, as photographs are: neither all zeros nor incompressible.
void paint(std::int64_t row, std::span<float> values) {
  auto noise = static_cast<std::uint32_t>(row) * 2654435761U;
  const float down = static_cast<float>(row) / 997.0F;
  for (std::size_t i = 0; i < values.size(); ++i) {
    noise = noise * 1664525U + 1013904223U;
    const float across = static_cast<float>(i / 3) / 1531.0F;
    const float wave = std::sin(across + static_cast<float>(i % 3)) * std::cos(down - across);
    values[i] = 0.5F + 0.4F * wave + 0.02F * static_cast<float>(noise >> 16) / 65536.0F;
  }
}

PixelSize with_long_side(PixelSize size, std::int64_t long_side) {
  if (long_side == 0) return size;
  const auto scaled = [&](std::int64_t side) {
    return std::max<std::int64_t>(1, side * long_side / size.long_side());
  };
  return {scaled(size.width), scaled(size.height)};
}

int run(const std::vector<std::string>& arguments) {
  const auto number = [&](std::size_t i) { return std::atoll(arguments.at(i).c_str()); };
  const std::string &what = arguments.at(0), &file = arguments.at(1);
  const auto start = std::chrono::steady_clock::now();
  if (what == "write") {
    impasto::WriteOptions options;
    if (arguments.size() > 4) options.bits = static_cast<int>(number(4));
    impasto::write_image_rows(file, {{number(2), number(3)}, false, paint}, options);
  } else if (what == "read") {
    const auto choose = [&](PixelSize own) { return std::vector{with_long_side(own, number(2))}; };
    (void)impasto::read_image_at(file, choose, impasto::Overshoot::kClip);
  } else if (what == "read-whole") {
    const impasto::Image whole = impasto::read_image(file);
    (void)impasto::resize(whole, with_long_side(whole.size(), number(2)), impasto::Overshoot::kClip);
  } else {
    return 2;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf("%s %s: %.2f s, %ld MB\n", what.c_str(), file.c_str(), seconds.count(), usage.ru_maxrss / 1024);
  return 0;
}

}  // namespace

int main(int count, char** values) {
  try {
    const std::vector<std::string> arguments(values + 1, values + count);
    if (arguments.size() >= 3) return run(arguments);
  } catch (const impasto::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.exit_code();
  }
  std::fputs(
      "picture_rows write FILE WIDTH HEIGHT [BITS] | read FILE LONG_SIDE | read-whole FILE LONG_SIDE\n",
      stderr);
  return 2;
}
