// A program of someone else's: renders a tiny picture with generated weights, and meets an error.
#include <cstdio>
#include <memory>

#include "engine/impasto.h"

int main() {
  impasto::Image picture{64, 48, std::vector<float>(64 * 48 * 3, 0.5f), {}};
  for (std::size_t i = 0; i < picture.rgb.size(); ++i)
    picture.rgb[i] = static_cast<float>(i * 37 % 101) / 100;
  impasto::StyleOptions options = impasto::make_preset("impasto");
  options.size = 64;
  options.iterations = 2;
  options.device = "cpu";
  const auto weights = std::make_shared<impasto::Weights>(impasto::random_weights("vgg16", 7));
  impasto::Stylizer stylizer(options, weights);
  const impasto::RenderResult result = stylizer.run(picture, std::span(&picture, 1));
  impasto::write_image("consumer.png", result.image);
  impasto::Session session(options, weights);
  impasto::Render render(session, options, {&picture, {{&picture}}});
  while (render.step()) std::printf("J %g\n", render.progress().loss);
  if (render.picture().rgb != result.image.rgb) return 1;
  try {
    (void)impasto::read_image("no such picture.png");
  } catch (const impasto::Error& error) {
    std::printf("%lld x %lld, then: %s\n", static_cast<long long>(result.image.width),
                static_cast<long long>(result.image.height), error.what());
    return result.image.width == 64 && result.image.height == 48 ? 0 : 1;
  }
  return 1;
}
