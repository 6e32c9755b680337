// impasto-paint: writes one of the painter's pictures.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <new>

#include "apps/demo/paint.h"
#include "engine/core/message.h"

namespace {

int run(int argc, char** argv) {
  using namespace impasto;
  demo::PaintOptions options;
  std::string out, size = "640x480", kinds;
  for (const std::string& name : demo::paint_kinds()) {
    kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", &name - demo::paint_kinds().data(), name);
  }
  CLI::App app("Paints a picture that looks like an oil painting: a style for impasto render.",
               "impasto-paint");
  app.add_option("OUT", out, "Picture to write, format by suffix")->required();
  app.add_option("--kind", options.kind, "What is painted: " + kinds + " (0)");
  app.add_option("--seed", options.seed, "Another picture of the same kind (0)");
  app.add_option("--size", size, "Width x height in pixels (640x480)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ErrorCode::kUsage);
  }
  int read = 0;
  long long width = 0, height = 0;
  if (std::sscanf(size.c_str(), "%lldx%lld%n", &width, &height, &read) != 2 ||
      size[static_cast<std::size_t>(read)] != '\0') {
    throw make_error(ErrorCode::kUsage, "--size: expected WIDTHxHEIGHT, found '{}'", size);
  }
  options.width = width;
  options.height = height;
  write_image(out, demo::paint(options));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const impasto::Error& error) {
    std::fprintf(stderr, "impasto-paint: error: %s\n", error.what());
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    std::fputs("impasto-paint: error: memory: expected enough on the host, found none left\n", stderr);
    return static_cast<int>(impasto::ErrorCode::kResources);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "impasto-paint: error: %s\n", error.what());
    return static_cast<int>(impasto::ErrorCode::kInternal);
  }
}
