// What the program says of pictures: one line for what it reads all the same, one for what it cannot read.
#include <nlohmann/json.hpp>

#include "tests/support/catch.h"
#include "tests/support/cli.h"

using namespace impasto;
using namespace impasto::testing;

TEST_CASE("a picture that is read all the same gives one line of warning, in plan if its header says it") {
  const CliFolder folder;
  write_image(folder / "content.jpg", read_image(folder / "content.png"));
  std::string jpeg = folder.read("content.jpg");
  jpeg.resize(jpeg.size() - 2);
  std::ofstream(folder / "content.jpg", std::ios::binary) << jpeg;

  std::string png = folder.read("style.png");
  const std::string profile = "iCCPa";  // its checksum is not 0
  png.insert(33, std::string("\0\0\0\1", 4) + profile + std::string(4, '\0'));
  std::ofstream(folder / "style.png", std::ios::binary) << png;

  const std::string of_pixels =
      "impasto: warning: content.jpg: expected an end marker, found the end of the file";
  const std::string of_header = "impasto: warning: style.png: expected whole chunks";
  const std::vector<std::string> options = {"content.jpg", "style.png", "--weights", "random:1",
                                            "--size",      "32",        "--device",  "cpu"};
  std::vector<std::string> render = {"render"}, plan = {"plan"};
  render.insert(render.end(), options.begin(), options.end());
  render.insert(render.end(), {"-o", "x.png", "--iterations", "1", "--progress", "none"});
  plan.insert(plan.end(), options.begin(), options.end());
  for (const std::vector<std::string>& command : {render, plan}) {
    const ProcessResult result = folder.run(command);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    const std::vector<std::string> lines = lines_of(result.err);
    const auto count = [&](const std::string& text) {
      return std::count_if(lines.begin(), lines.end(),
                           [&](const std::string& line) { return line.find(text) != std::string::npos; });
    };
    CHECK(count(of_header) == 1);
    CHECK(count(of_pixels) == (command == render ? 1 : 0));
  }
  render.insert(render.end(), {"--overwrite", "-q"});
  CHECK(folder.run(render).err.empty());
}

TEST_CASE("a picture of another format ends with its name and the next step") {
  const CliFolder folder;
  std::ofstream(folder / "style.png", std::ios::binary) << "GIF89a\x01";
  const ProcessResult result = folder.run(CliFolder::render({"-o", "x.png"}));
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.err,
             ContainsSubstring("style.png: expected a JPEG, PNG, WebP or TIFF picture, found a GIF "
                               "picture; convert it: magick"));
  CHECK(lines_of(result.err).size() == 1);
  CHECK(folder.made().empty());
}

TEST_CASE("a result that its format cannot hold is refused before the work") {
  const CliFolder folder;
  require_failure(folder, CliFolder::render({"-o", "x.webp", "--size", "16384"}), 3,
                  "x.webp: expected sides of at most 16383 pixels for WebP, found 16384 x");
  require_failure(folder, CliFolder::render({"-o", "x.jpg", "--size", "65501"}), 3,
                  "x.jpg: expected sides of at most 65500 pixels for JPEG, found 65501 x");
}
