// Where the program writes and what it does about it: long names, links, names that are no text, suffixes,
// streams whose reader has gone.
#include <sys/stat.h>

#include "tests/support/catch.h"
#include "tests/support/cli.h"

using namespace impasto;
using namespace impasto::testing;

namespace fs = std::filesystem;

namespace {

std::string long_name(std::size_t bytes, const std::string& end) {
  return std::string(bytes - end.size(), 'x') + end;
}

/// One iteration, which must succeed.
ProcessResult require_render(const CliFolder& folder, const std::vector<std::string>& more) {
  std::vector<std::string> words = quick_render({"--iterations", "1"});
  words.insert(words.end(), more.begin(), more.end());
  ProcessResult result = folder.run(words);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result;
}

void require_refused(const CliFolder& folder, const std::vector<std::string>& more,
                     const std::string& message) {
  require_failure(folder, quick_render(more), 3, message);
}

}  // namespace

TEST_CASE("any name that the file system allows is written, for every kind of output") {
  const CliFolder folder;
  const std::string picture = long_name(255, ".png"), trace = long_name(255, ".t"),
                    state = long_name(255, ".c");
  require_render(folder, {"-o", picture, "--trace", trace, "--checkpoint", state, "--save-every", "2"});
  CHECK(folder.made() == std::set<std::string>{picture, trace});
  require_render(folder, {"-o", picture, "--overwrite", "--checkpoint", state, "--iterations", "50"});
  CHECK(folder.made() == std::set<std::string>{picture, trace, state});
}

TEST_CASE("a longer name is refused before the work, with the numbered names counted in") {
  const CliFolder folder;
  require_refused(folder, {"-o", long_name(257, ".png")},
                  "expected a name of at most 255 bytes, found one of 257");
  require_refused(folder, {"-o", "x.png", "--trace", long_name(256, "")}, "found one of 256");
  require_refused(folder, {"-o", "x.png", "--checkpoint", long_name(256, "")}, "found one of 256");
  const std::vector<std::string> numbered{"-o", long_name(254, ".png"), "--iterations",
                                          "4",  "--save-every",         "2"};
  require_refused(folder, numbered, "found one of 261");
  std::vector<std::string> replaced = numbered;
  replaced.emplace_back("--overwrite");
  require_refused(folder, replaced, "found one of 261");
  std::string deep = "x.png";
  for (int i = 0; i < 20; ++i) deep = long_name(250, "/") + deep;
  require_refused(folder, {"-o", deep}, "expected a path of at most 4095 bytes");
}

TEST_CASE("a numbered name that cannot be written, or is one of the inputs, is found before the work") {
  const CliFolder folder;
  fs::create_directory(folder / "x-000002.png");
  require_refused(folder, {"-o", "x.png", "--save-every", "2", "--iterations", "5", "--overwrite"},
                  "found a folder");
  fs::copy_file(folder / "content.png", folder / "y-000002.png");
  const std::string content = folder.read("content.png");
  require_failure(folder,
                  {"render", "y-000002.png", "style.png", "--weights", "random:1", "--size", "32",
                   "--iterations", "4", "--save-every", "2", "--overwrite", "-o", "y.png"},
                  2, "found the same");
  CHECK(folder.read("y-000002.png") == content);
}

TEST_CASE("through a link that leads nowhere yet, its target is made and the link stays") {
  const CliFolder folder;
  fs::create_directories(folder / "real/deep");
  fs::create_directory(folder / "links");
  const auto link = [&](const std::string& from, const std::string& to) {
    fs::create_symlink(to, folder / from);
  };
  link("links/a.png", "../real/middle.png");
  link("real/middle.png", "deep/new.png");
  link("links/t", (folder / "real/new.jsonl").string());
  link("links/c", "../real/new.checkpoint");
  link("links/a-000050.png", "../real/numbered.png");
  require_render(folder, {"-o", "links/a.png", "--trace", "links/t", "--checkpoint", "links/c",
                          "--save-every", "50", "--iterations", "51"});
  for (const char* made :
       {"real/deep/new.png", "real/new.jsonl", "real/new.checkpoint", "real/numbered.png"}) {
    INFO(made);
    CHECK(fs::is_regular_file(fs::symlink_status(folder / made)));
  }
  for (const char* kept : {"links/a.png", "links/t", "links/c", "links/a-000050.png", "real/middle.png"}) {
    INFO(kept);
    CHECK(fs::is_symlink(folder / kept));
  }
  CHECK(read_image(folder / "real/deep/new.png").width == 32);
}

TEST_CASE("through a link to a file, the file is replaced only when asked for, and the link stays") {
  const CliFolder folder;
  fs::create_directory(folder / "real");
  std::ofstream(folder / "real/old.png") << "old";
  fs::create_symlink("real/old.png", folder / "link.png");
  require_refused(folder, {"-o", "link.png"}, "--overwrite");
  CHECK(folder.read("real/old.png") == "old");
  require_render(folder, {"-o", "link.png", "--overwrite"});
  CHECK(fs::is_symlink(folder / "link.png"));
  CHECK(read_image(folder / "real/old.png").width == 32);
  fs::create_symlink("link.png", folder / "second.png");
  require_failure(folder, quick_render({"-o", "second.png", "--trace", "link.png", "--overwrite"}), 2,
                  "found the same");
}

TEST_CASE("links that lead in a circle, into no folder or to a device are refused before the work") {
  const CliFolder folder;
  fs::create_symlink("b.png", folder / "a.png");
  fs::create_symlink("a.png", folder / "b.png");
  fs::create_symlink("none/x.png", folder / "out.png");
  fs::create_symlink("/dev/null", folder / "null.png");
  for (const char* option : {"-o", "--trace", "--checkpoint"}) {
    const bool picture = std::string(option) == "-o";
    const auto refused = [&](const std::string& name, const std::string& message) {
      if (picture) return require_refused(folder, {"-o", name, "--overwrite"}, message);
      require_refused(folder, {"-o", "x.png", option, name, "--overwrite"}, message);
    };
    refused("a.png", "links that lead in a circle");
    refused("out.png", "expected a folder 'none', found none");
    if (std::string(option) != "--trace") refused("null.png", "found a device");
  }
}

TEST_CASE("a folder that is none is refused, and said so") {
  const CliFolder folder;
  std::ofstream(folder / "file") << "words";
  require_refused(folder, {"-o", "file/x.png"}, "expected a folder 'file', found a file");
  require_refused(folder, {"-o", "gone/x.png"}, "expected a folder 'gone', found none");
  require_refused(folder, {"-o", "file/more/x.png"}, "expected a folder 'file/more', found none");
}

TEST_CASE("names that are no text give metadata that is, and that still repeats the render") {
  const CliFolder folder;
  const std::string odd = "a\xff' \\ \n\xc3\xa9<&]]>\".png";  // 0xff is no UTF-8; then an e with an accent
  fs::copy_file(folder / "content.png", folder / odd);
  fs::copy_file(folder / "style.png", folder / "-s.png");
  const auto words = [&](const std::string& output) {
    return std::vector<std::string>{"render",
                                    "-o",
                                    output,
                                    "--weights",
                                    "random-vgg16:1",
                                    "--size",
                                    "32",
                                    "--style-layers",
                                    "relu1_1",
                                    "--content-layers",
                                    "relu1_1",
                                    "--iterations",
                                    "1",
                                    "-q",
                                    "--",
                                    odd,
                                    "-s.png"};
  };
  for (const char* output : {"x.png", "x.jpg", "x.webp", "x.tif"}) {
    const ProcessResult result = folder.run(words(output));
    INFO(output << ": " << result.err);
    REQUIRE(result.exit_code == 0);
    const std::string file = folder.read(output);
    const std::string quoted = R"($'a\377\' \\ \012)"
                               "\xc3\xa9";
    if (std::string(output) != "x.webp")
      CHECK_THAT(file, ContainsSubstring(quoted + "<&]]>\".png' ./-s.png"));
    if (std::string(output) != "x.png")
      CHECK_THAT(file, ContainsSubstring(quoted + "&lt;&amp;]]&gt;\".png' ./-s.png"));
  }
  const std::string first = folder.read("x.png");
  const std::size_t begin = first.find("impasto render ") + 7;
  const std::string command =
      "'" + std::string(IMPASTO_PROGRAM) + "'" + first.substr(begin, first.find(" # ") - begin);
  const ProcessResult again = run_process({"bash", "-c", command + " --overwrite -q"}, folder.options());
  INFO(command << "\n" << again.err);
  CHECK(again.exit_code == 0);
  CHECK(folder.read("x.png") == first);
}

TEST_CASE("suffixes are read without regard to case") {
  const CliFolder folder;
  require_render(folder, {"-o", "x.Png", "--output-bits", "16", "-q"});
  CHECK(folder.read("x.Png")[24] == 16);  // the header's bit depth
  require_failure(folder, quick_render({"-o", "x.JPG", "--output-bits", "16"}), 2,
                  "expected 8 for '.JPG' files");
}

TEST_CASE("a render goes on when the reader of its messages has gone") {
  const CliFolder folder;
  const std::string render =
      std::string("'") + IMPASTO_PROGRAM +
      "' render content.png style.png --weights random-vgg16:1 --size 32 --device cpu --iterations 20 "
      "--content-layers relu1_1 --style-layers relu1_1 ";
  for (const char* more : {"-o a.png --progress json", "-o b.png --progress bar", "-o c.png -v"}) {
    INFO(more);
    // The reader is gone before the second line: it is waited for.
    const ProcessResult result = run_process({"bash", "-c",
                                              "{ " + render + more +
                                                  " 2>&1; echo $? > code; } | { read -r line; }; wait; while "
                                                  "! [ -s code ]; do sleep 0.01; done; cat code; rm code"},
                                             folder.options());
    CHECK(result.out == "0\n");
  }
  CHECK(folder.made() == std::set<std::string>{"a.png", "b.png", "c.png"});
  const ProcessResult closed =
      run_process({"bash", "-c", render + "-o d.png -v --trace t 2>&-"}, folder.options());
  CHECK(closed.exit_code == 0);
  CHECK(read_image(folder / "d.png").width == 32);
  CHECK(lines_of(folder.read("t")).size() == 20);
  const ProcessResult list = run_process(
      {"bash", "-c", std::string("set -o pipefail; '") + IMPASTO_PROGRAM + "' man | head -1 > /dev/null"},
      folder.options());
  CHECK(list.err.empty());
}

TEST_CASE("a grey photograph and grey paintings give a file without colour") {
  const CliFolder folder;
  for (const char* name : {"content.png", "style.png"}) {
    Image image = read_image(folder / name);
    for (std::size_t p = 0; p < image.rgb.size(); p += 3) image.rgb[p + 1] = image.rgb[p + 2] = image.rgb[p];
    write_image(folder / name, image);
  }
  for (const std::vector<std::string>& output : {std::vector<std::string>{"-o", "x.png"},
                                                 {"-o", "y.png", "--output-bits", "16", "--init", "noise"},
                                                 {"-o", "x.jpg"}}) {
    std::vector<std::string> words = output;
    words.insert(words.end(), {"--iterations", "3", "-q"});
    require_render(folder, words);
    const Image image = read_image(folder / output[1]);
    std::size_t coloured = 0;
    for (std::size_t p = 0; p < image.rgb.size(); p += 3) {
      coloured += image.rgb[p] == image.rgb[p + 1] && image.rgb[p] == image.rgb[p + 2] ? 0 : 1;
    }
    INFO(output[1]);
    CHECK(coloured == 0);
  }
}

TEST_CASE("a wholly transparent picture is refused, a partly transparent one is not") {
  const CliFolder folder;
  Image style = read_image(folder / "style.png");
  style.alpha.assign(static_cast<std::size_t>(style.pixels()), 0);
  write_image(folder / "style.png", style);
  require_refused(folder, {"-o", "x.png"},
                  "style picture 'style.png': expected a part that is not transparent, found none");
  require_refused(folder, {"-o", "x.png", "--init", "style.png"}, "expected a part that is not transparent");
  require_failure(folder,
                  {"render", "style.png", "content.png", "-o", "x.png", "--weights", "random-vgg16:1"}, 3,
                  "content picture 'style.png': expected a part that is not transparent, found none");
  for (std::size_t i = 0; i < style.alpha.size() / 2; ++i) style.alpha[i] = 1;
  write_image(folder / "style.png", style);
  require_render(folder, {"-o", "x.png", "-q"});
}
