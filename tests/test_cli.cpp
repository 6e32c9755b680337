// The program's errors: an exit code and one line each, and nothing left behind.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/support/catch.h"
#include "tests/support/cli.h"

using namespace impasto;
using namespace impasto::testing;

TEST_CASE("a command line that makes no sense is refused with exit code 2") {
  const CliFolder folder;
  require_failure(folder, {"rendr"}, 2, "perhaps render");
  require_failure(folder, {"render"}, 2, "CONTENT");
  require_failure(folder, {"render", "content.png"}, 2, "STYLE");
  require_failure(folder, {"render", "content.png", "style.png"}, 2, "--output");
  require_failure(folder, {"devices", "more"}, 2, "more");
  require_failure(folder, {"weights", "lst"}, 2, "perhaps list");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--sice", "3"}), 2, "perhaps --size");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--seed"}), 2, "--seed: expected a value N");
  require_failure(folder, CliFolder::render({"-o", "x.png", "-q", "-v"}), 2, "-q, -v");
}

TEST_CASE("an option's value that makes no sense is refused with exit code 2") {
  const CliFolder folder;
  const auto refused = [&](const std::string& option, const std::string& value) {
    require_failure(folder, CliFolder::render({"-o", "x.png", option, value}), 2, option + ": expected");
    require_failure(folder, CliFolder::render({"-o", "x.png", option, value}), 2, "'" + value + "'");
  };
  for (const char* option :
       {"--size", "--iterations", "--history", "--seed", "--threads", "--scales", "--content-weight",
        "--learning-rate", "--memory", "--save-every", "--max-pixels"}) {
    refused(option, "-1");
  }
  for (const char* option : {"--style-size", "--tv-weight", "--style-blend", "--quality"})
    refused(option, "12x");
  for (const char* option : {"--preset", "--optimizer", "--pooling", "--scaling", "--tv", "--line-search",
                             "--precision", "--progress", "--style-layers", "--content-layers"}) {
    refused(option, "unheard-of");
  }
  refused("--quality", "101");
  refused("--output-bits", "12");
  refused("--content-weight", "nan");
  refused("--size", "");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--device", "abacus"}), 2, "abacus");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--style-layers", "relu9_9"}), 2, "relu9_9");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--style-blend", "1,2"}), 2, "--style-blend");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--scales", "2", "--min-size", "16"}), 2,
                  "--min-size");
}

TEST_CASE("an input that cannot be used is refused with exit code 3") {
  const CliFolder folder;
  std::ofstream(folder / "words.png") << "not a picture";
  require_failure(folder, {"render", "gone.png", "style.png", "-o", "x.png"}, 3, "gone.png");
  require_failure(folder, {"render", "content.png", "gone.png", "-o", "x.png"}, 3, "gone.png");
  require_failure(folder, {"render", "content.png", ".", "-o", "x.png"}, 3, "found a folder");
  require_failure(folder, {"render", "words.png", "style.png", "-o", "x.png"}, 3, "words.png");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--init", "gone.png"}), 3, "gone.png");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--resume", "gone.ckpt"}), 3, "gone.ckpt");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--resume", "words.png"}), 3, "words.png");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--max-pixels", "100"}), 3, "content.png");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--weights", "words.png"}), 3, "words.png");
  require_failure(folder, {"weights", "inspect", "words.png"}, 3, "words.png");
  require_failure(folder, {"plan", "gone.png", "style.png"}, 3, "gone.png");
}

TEST_CASE("missing weights are an error that names the fetch command") {
  const CliFolder folder;
  require_failure(folder, {"render", "content.png", "style.png", "-o", "x.png"}, 3,
                  "impasto weights fetch vgg16");
  require_failure(folder, {"render", "content.png", "style.png", "-o", "x.png", "--weights", "vgg16"}, 3,
                  "impasto weights fetch vgg16");
}

TEST_CASE("an output place that cannot be used is found before the work") {
  const CliFolder folder;
  std::ofstream(folder / "old.png") << "old";
  require_failure(folder, CliFolder::render({"-o", "old.png"}), 3, "--overwrite");
  CHECK(folder.read("old.png") == "old");
  require_failure(folder, CliFolder::render({"-o", "none/x.png"}), 3, "folder 'none'");
  require_failure(folder, CliFolder::render({"-o", "old.png/x.png"}), 3, "folder 'old.png'");
  require_failure(folder, CliFolder::render({"-o", "/proc/x.png"}), 3, "a folder that can be written");
  require_failure(folder, CliFolder::render({"-o", "x.gif"}), 2, ".png");
  require_failure(folder, CliFolder::render({"-o", "x"}), 2, ".png");
  require_failure(folder, CliFolder::render({"-o", "x.jpg", "--output-bits", "16"}), 2, "--output-bits");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--trace", "none/t"}), 3, "trace 'none/t'");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--checkpoint", "none/c"}), 3,
                  "checkpoint 'none/c'");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--checkpoint", "old.png"}), 3, "--overwrite");
  if (::geteuid() != 0) {
    std::filesystem::create_directory(folder / "locked");
    std::filesystem::permissions(folder / "locked",
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    require_failure(folder, CliFolder::render({"-o", "locked/x.png"}), 3, "Permission denied");
  }
}

TEST_CASE("an intermediate picture that exists is found before the work") {
  const CliFolder folder;
  std::ofstream(folder / "x-000004.png") << "old";
  require_failure(folder, CliFolder::render({"-o", "x.png", "--save-every", "2", "--iterations", "5"}), 3,
                  "x-000004.png");
}

TEST_CASE("one file is never both input and output, or two outputs") {
  const CliFolder folder;
  const std::string content = folder.read("content.png");
  std::filesystem::create_symlink(folder / "content.png", folder / "link.png");
  for (const char* name : {"content.png", "style.png", "./content.png", "link.png"}) {
    require_failure(folder, CliFolder::render({"-o", name, "--overwrite"}), 2, "found the same");
  }
  require_failure(folder, CliFolder::render({"-o", "x.png", "--trace", "content.png", "--overwrite"}), 2,
                  "found the same");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--checkpoint", "style.png", "--overwrite"}), 2,
                  "found the same");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--trace", "x.png"}), 2, "found the same");
  CHECK(folder.read("content.png") == content);
}

TEST_CASE("a device, precision or memory that is not there gives exit code 4") {
  const CliFolder folder;
  require_failure(folder, CliFolder::render({"-o", "x.png", "--precision", "bf16"}), 4, "bf16");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--memory", "1M"}), 4, "memory");
  require_failure(folder, CliFolder::render({"-o", "x.png", "--device", "cuda:99"}), 4, "cuda");
}

TEST_CASE("a plan that does not fit shows its figures and gives exit code 4") {
  const CliFolder folder;
  const ProcessResult result = folder.run(
      {"plan", "content.png", "style.png", "--weights", "random:1", "--size", "64", "--memory", "1M"});
  CHECK(result.exit_code == 4);
  CHECK(lines_of(result.err).size() == 1);
  CHECK_THAT(result.out, ContainsSubstring("device peak"));
}

TEST_CASE("a disk that fills leaves exit code 3 and no file") {
  const CliFolder folder;
  ProcessOptions options = folder.options();
  options.file_size_limit = 600;  // bytes: less than the picture with its metadata
  for (const char* name : {"x.png", "x.jpg", "x.webp", "x.tif"}) {
    const ProcessResult result =
        run_process(CliFolder::command(CliFolder::render({"-o", name, "--iterations", "1", "-q"})), options);
    INFO(result.err);
    CHECK(result.exit_code == 3);
    CHECK(lines_of(result.err).size() == 1);
    CHECK_THAT(result.err, ContainsSubstring(name));
    CHECK(folder.made().empty());
  }
}

TEST_CASE("a loss that is not finite leaves the last good picture and exit code 3") {
  const CliFolder folder;
  const ProcessResult result =
      folder.run(CliFolder::render({"-o", "x.png", "--optimizer", "gd", "--learning-rate", "1e30", "-q"}));
  CHECK(result.exit_code == 3);
  CHECK(lines_of(result.err).size() == 1);
  CHECK_THAT(result.err,
             ContainsSubstring("finite loss, found inf (by content relu4_2) at iteration 2 of scale 1;"));
  CHECK_THAT(result.err, ContainsSubstring("the last good picture is in 'x.png'"));
  CHECK(read_image(folder / "x.png").width == 32);
}

TEST_CASE("a closed standard output is an error, not a lost answer") {
  const CliFolder folder;
  for (const char* arguments : {"devices", "--help", "--version", "render --help"}) {
    INFO(arguments);
    const ProcessResult result =
        run_process({"sh", "-c", std::string("exec '") + IMPASTO_PROGRAM + "' " + arguments + " > /dev/full"},
                    folder.options());
    CHECK(result.exit_code == 3);
    CHECK(lines_of(result.err).size() == 1);
    CHECK_THAT(result.err, ContainsSubstring("standard output"));
  }
}

TEST_CASE("help fits a screen, is quick to read and names every command") {
  const CliFolder folder;
  const ProcessResult result = folder.run({"--help"});
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  CHECK(lines_of(result.out).size() <= 30);
  for (const std::string command : {"render", "plan", "weights", "devices", "bench", "selftest"}) {
    CHECK_THAT(result.out, ContainsSubstring("\n  " + command + " "));
    const ProcessResult help = folder.run({command, "--help"});
    CHECK(help.exit_code == 0);
    CHECK_THAT(help.out, ContainsSubstring("Usage: impasto " + command));
    for (const std::string& line : lines_of(help.out)) CHECK(line.size() <= 110);
  }
  CHECK(folder.run({"-h"}).out == result.out);
  CHECK_THAT(folder.run({"--version"}).out, ContainsSubstring("impasto 0."));
}

TEST_CASE("a program or command of commands that is given none shows its help") {
  const CliFolder folder;
  for (const std::vector<std::string>& words : {std::vector<std::string>{}, {"weights"}}) {
    const ProcessResult result = folder.run(words);
    std::vector<std::string> asked = words;
    asked.emplace_back("--help");
    CHECK(result.exit_code == 0);
    CHECK(result.err.empty());
    CHECK(result.out == folder.run(asked).out);
  }
}

TEST_CASE("help of render states a default for every option that has one") {
  const CliFolder folder;
  const std::string help = folder.run({"render", "--help"}).out;
  std::string entry;
  for (const std::string& line : lines_of(help + "\n  --end")) {
    const bool begins = line.rfind("  -", 0) == 0;
    if ((begins || line.empty()) && entry.rfind("  -", 0) == 0 &&
        entry.find("--output FILE") == std::string::npos && entry.find("--help") == std::string::npos) {
      INFO(entry);
      CHECK(entry.back() == ')');
    }
    entry = begins || line.empty() ? line : entry + line;
  }
  for (const char* option :
       {"--size PX", "--learning-rate RATE", "--memory BYTES", "--trace FILE", "--clamp"}) {
    CHECK_THAT(help, ContainsSubstring(option));
  }
}

TEST_CASE("the manual page describes every command and exit code") {
  const CliFolder folder;
  const ProcessResult result = folder.run({"man"});
  CHECK(result.exit_code == 0);
  for (const char* text :
       {".TH IMPASTO 1", "impasto weights fetch", "\\-\\-style\\-blend", ".B 75", ".B 130"}) {
    CHECK_THAT(result.out, ContainsSubstring(text));
  }
}

TEST_CASE("weights can be listed and inspected") {
  const CliFolder folder;
  const ProcessResult list = folder.run({"weights", "list"});
  CHECK(list.exit_code == 0);
  for (const char* name : {"vgg19", "vgg16", "hed-vgg16", "found: no"})
    CHECK_THAT(list.out, ContainsSubstring(name));
  const ProcessResult inspect = folder.run({"weights", "inspect", "random:5"});
  CHECK(inspect.exit_code == 0);
  for (const char* text : {"random:5", "conv1_1", "(3,3,3,64)", "BGR"})
    CHECK_THAT(inspect.out, ContainsSubstring(text));
}

TEST_CASE("weights cannot be fetched without python3, and the error says so") {
  const CliFolder folder;
  ProcessOptions options = folder.options();
  options.environment.emplace_back("PATH", folder.operator/("").string());
  const ProcessResult result = run_process(CliFolder::command({"weights", "fetch", "vgg19"}), options);
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.err, ContainsSubstring("python3"));
}

TEST_CASE("fetching passes its options on, and its exit code back") {
  const CliFolder folder;
  std::ofstream(folder / "wrong.h5") << "not weights";
  const ProcessResult result =
      folder.run({"weights", "fetch", "vgg19", "--from", "wrong.h5", "--to", "here"});
  INFO(result.err);
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.err, ContainsSubstring("found 11"));
  CHECK(folder.run({"weights", "fetch", "abacus"}).exit_code == 2);
}

TEST_CASE("converting is handed to convert.py, exit code and all") {
  const CliFolder folder;
  std::ofstream(folder / "page.pth") << "<!DOCTYPE html>";
  const ProcessResult result = folder.run({"weights", "convert", "page.pth", "out.h5", "--source", "caffe"});
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.err, ContainsSubstring("page.pth"));
  CHECK(folder.made().count("out.h5") == 0);
  CHECK(folder.run({"weights", "convert", "page.pth"}).exit_code == 2);
}

TEST_CASE("devices lists the CPU as usable and says why CUDA is not") {
  const CliFolder folder;
  const ProcessResult result = folder.run({"devices"});
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.out, ContainsSubstring("\ncpu "));
  CHECK_THAT(result.out, ContainsSubstring("\nreference "));
  CHECK_THAT(result.out, ContainsSubstring("cuda"));
}

TEST_CASE("why there is no GPU is said by devices and by --device cuda, and auto takes the CPU") {
  const CliFolder folder;
  std::filesystem::copy_file(IMPASTO_PROGRAM, folder / "impasto");  // without a module beside it
  for (const std::string& program : {std::string(IMPASTO_PROGRAM), (folder / "impasto").string()}) {
    ProcessOptions options = folder.options();
    options.environment.emplace_back("CUDA_VISIBLE_DEVICES", "-1");
    const auto run = [&](std::vector<std::string> words) {
      words.insert(words.begin(), program);
      return run_process(words, options);
    };
    const auto devices = nlohmann::json::parse(run({"devices", "--json"}).out);
    const auto& cuda = devices.at(1);
    CHECK(cuda.at("name") == "cuda");
    CHECK(cuda.at("usable") == false);
    const std::string reason = cuda.at("unusable_because");
    INFO(reason);
    bool known = false;
    const std::vector<std::string> reasons =
        program == IMPASTO_PROGRAM
            ? std::vector<std::string>{"no NVIDIA driver", "no NVIDIA GPU was found",
                                       "the CUDA runtime is missing", "this build has no CUDA module"}
            : std::vector<std::string>{"libimpasto_cuda.so is not installed",
                                       "this build has no CUDA module"};
    for (const std::string& text : reasons) known = known || reason.find(text) != std::string::npos;
    CHECK(known);
    const ProcessResult refused = run(CliFolder::render({"-o", "x.png", "--overwrite", "--device", "cuda"}));
    CHECK(refused.exit_code == 4);
    CHECK(refused.err == "impasto: error: device 'cuda': expected a CUDA device, but " + reason + "\n");
    const ProcessResult rendered =
        run(CliFolder::render({"-o", "x.png", "--device", "auto", "--iterations", "1", "--overwrite"}));
    CHECK(rendered.exit_code == 0);
    CHECK_THAT(rendered.err, ContainsSubstring(" on cpu: "));
  }
}
