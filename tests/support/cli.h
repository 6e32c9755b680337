#pragma once
// A folder with small pictures, and the program run in it.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "engine/image/image.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"

namespace impasto::testing {

/// A folder that goes with the test, holding content.png (48x36) and style.png (40x44).
class CliFolder {
 public:
  CliFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "impasto-cli-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
    write_picture("content.png", 48, 36, 3);
    write_picture("style.png", 40, 44, 7);
  }
  ~CliFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  CliFolder(const CliFolder&) = delete;
  CliFolder& operator=(const CliFolder&) = delete;

  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  /// A pattern that differs with `period`; with alpha where asked for.
  void write_picture(const std::string& name, std::int64_t width, std::int64_t height, std::int64_t period,
                     bool alpha = false) const {
    Image image{width, height, {}, {}};
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        for (std::int64_t c = 0; c < 3; ++c) {
          image.rgb.push_back(static_cast<float>((x * (c + 1) + y * period) % 17) / 16.0F);
        }
        if (alpha) image.alpha.push_back(x < width / 2 ? 1.0F : 0.5F);
      }
    }
    write_image(path_ / name, image);
  }

  /// Environment in which no weights are found and nothing of the user's is seen.
  [[nodiscard]] ProcessOptions options() const {
    ProcessOptions options;
    options.folder = path_.string();
    options.environment = {{"IMPASTO_WEIGHTS", ""},
                           {"XDG_DATA_HOME", (path_ / "data").string()},
                           {"HOME", (path_ / "home").string()}};
    return options;
  }

  [[nodiscard]] ProcessResult run(const std::vector<std::string>& arguments) const {
    return run_process(command(arguments), options());
  }

  [[nodiscard]] static std::vector<std::string> command(const std::vector<std::string>& arguments) {
    std::vector<std::string> words{IMPASTO_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
  }

  /// A small render on generated weights: render content.png style.png --weights random:1 --size 32 ...
  [[nodiscard]] static std::vector<std::string> render(const std::vector<std::string>& more) {
    std::vector<std::string> words{"render", "content.png", "style.png", "--weights", "random:1",
                                   "--size", "32",          "--device",  "cpu"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  /// Names of all files but the two pictures.
  [[nodiscard]] std::set<std::string> made() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      names.insert(entry.path().filename().string());
    names.erase("content.png");
    names.erase("style.png");
    return names;
  }

  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  std::filesystem::path path_;
};

[[nodiscard]] inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

[[nodiscard]] inline std::string last_line(const std::string& text) {
  const auto lines = lines_of(text);
  return lines.empty() ? "" : lines.back();
}

/// The least of a render: one layer of a small network, --size 32.
[[nodiscard]] inline std::vector<std::string> quick_render(const std::vector<std::string>& more) {
  std::vector<std::string> words = CliFolder::render(
      {"--weights", "random-vgg16:1", "--content-layers", "relu1_1", "--style-layers", "relu1_1"});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// One line on standard error that holds `message`, that exit code, and no new file.
inline void require_failure(const CliFolder& folder, const std::vector<std::string>& arguments, int exit_code,
                            const std::string& message) {
  const auto before = folder.made();
  const ProcessResult result = folder.run(arguments);
  std::string words;
  for (const std::string& argument : arguments) words += argument + " ";
  INFO("impasto " << words << "\n" << result.err);
  CHECK(result.exit_code == exit_code);
  CHECK(lines_of(result.err).size() == 1);
  CHECK(result.err.rfind("impasto: error: ", 0) == 0);
  CHECK_THAT(result.err, ContainsSubstring(message));
  CHECK(result.out.empty());
  CHECK(folder.made() == before);
}

}  // namespace impasto::testing
