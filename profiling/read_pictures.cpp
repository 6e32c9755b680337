// Reads the pictures named on standard input, one path a line, for against_pillow.py. For each it writes one
// line, "picture WIDTH HEIGHT CHANNELS" or "refused MESSAGE", and behind "picture" the samples of 8 bits.
#include <cmath>
#include <iostream>
#include <string>

#include "engine/core/error.h"
#include "engine/image/image.h"

int main() {
  for (std::string path; std::getline(std::cin, path);) {
    try {
      const impasto::Image image = impasto::read_image(path, 100'000'000);
      const auto pixels = static_cast<std::size_t>(image.pixels());
      const std::size_t channels = image.has_alpha() ? 4 : 3;
      std::string samples(pixels * channels, '\0');
      for (std::size_t i = 0; i < samples.size(); ++i) {
        const std::size_t pixel = i / channels, c = i % channels;
        const float value = c == 3 ? image.alpha[pixel] : image.rgb[3 * pixel + c];
        samples[i] = static_cast<char>(std::lround(value * 255));
      }
      std::cout << "picture " << image.width << ' ' << image.height << ' ' << channels << '\n' << samples;
    } catch (const impasto::Error& error) {
      std::cout << "refused " << error.what() << '\n';
    }
    std::cout.flush();
  }
}
