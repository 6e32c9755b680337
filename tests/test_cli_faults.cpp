// What goes wrong around a render: places that are no files, inputs in the way, full disks, readers that
// leave, others at the same files, another machine.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <thread>

#include "engine/core/message.h"
#include "engine/style/checkpoint.h"
#include "tests/support/catch.h"
#include "tests/support/cli.h"

using namespace impasto;
using namespace impasto::testing;

namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

enum class When { kBeforeIterations, kAmongIterations };

/// Runs a render to "x.png" that waits for `meanwhile`: its trace is a pipe, which nobody reads before, or no
/// further than its first line, of more than a pipe holds.
ProcessResult run_with(const CliFolder& folder, const Words& words, When when,
                       const std::function<void(Process&)>& meanwhile) {
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  Process process(CliFolder::command(words + Words{"--trace", "pipe"}), folder.options());
  if (when == When::kBeforeIterations) {
    while (process.running() && !fs::exists(folder / ".x.png.lock")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // all its checks
    meanwhile(process);
  }
  {
    std::ifstream pipe(folder / "pipe");
    std::string line;
    std::getline(pipe, line);
    if (when == When::kAmongIterations) meanwhile(process);
    while (std::getline(pipe, line)) {
    }
  }
  fs::remove(folder / "pipe");
  return process.wait();
}

/// But for the times.
Words trace_of(const CliFolder& folder, const std::string& name) {
  Words lines = lines_of(folder.read(name));
  for (std::string& line : lines) line.resize(line.find(",\"seconds\""));
  return lines;
}

}  // namespace

TEST_CASE("no input is written over, under whatever name, numbered ones too") {
  const CliFolder folder;
  fs::copy_file(folder / "content.png", folder / "out-000004.png");
  fs::create_hard_link(folder / "style.png", folder / "out-000008.png");
  fs::create_symlink("init.png", folder / "out-000012.png");
  fs::copy_file(folder / "content.png", folder / "init.png");
  const Words every{"-o", "out.png", "--save-every", "4", "--iterations", "12", "--overwrite"};
  const Words least{"--weights", "random-vgg16:1", "--size", "32"};
  const auto refused = [&](const Words& words) { require_failure(folder, words, 2, "found the same"); };
  refused(Words{"render", "out-000004.png", "content.png"} + least + every);
  refused(Words{"render", "content.png", "out-000004.png"} + least + every);
  refused(Words{"render", "content.png", "style.png"} + least + every);  // by its other name
  fs::remove(folder / "out-000008.png");
  refused(Words{"render", "content.png", "style.png", "--init", "init.png"} + least + every);
  refused(quick_render({"-o", "x.png", "--checkpoint", "x-000003.png", "--save-every", "3"}));
  refused(quick_render({"-o", "x.png", "--trace", "./x-000006.png", "--save-every", "3"}));
  fs::create_symlink(".", folder / "here");
  refused(quick_render({"-o", "here/x.png", "--trace", "x-000006.png", "--save-every", "3"}));
  std::ofstream(folder / "w.h5") << "weights";
  for (const char* option : {"--trace", "--checkpoint"}) {
    refused(quick_render({"--weights", "w.h5", "-o", "x.png", option, "w.h5", "--overwrite"}));
  }
  const std::string known = "data/impasto/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5";
  fs::create_directories(folder / "data/impasto");
  std::ofstream(folder / known) << "weights";
  refused({"render", "content.png", "style.png", "-o", "x.png", "--trace", known, "--overwrite"});
  CHECK(folder.read(known) == "weights");
  std::ofstream(folder / "vgg16") << "of the same name";
  refused({"render", "content.png", "style.png", "-o", "x.png", "--weights", "vgg16", "--trace", known,
           "--overwrite"});
  fs::copy_file(folder / "content.png", folder / ".x.png.lock");
  require_failure(folder, quick_render({"-o", "x.png"}), 3, "found something else of that name");
  fs::remove(folder / ".x.png.lock");
  CHECK(folder.read("w.h5") == "weights");
  // Numbers that are not written are nobody's.
  const ProcessResult result = folder.run(quick_render(
      {"-o", "x.png", "--checkpoint", "x-000003.png", "--save-every", "2", "--iterations", "3", "-q"}));
  INFO(result.err);
  CHECK(result.exit_code == 0);
}

TEST_CASE("a numbered run of any length begins at once") {
  const CliFolder folder;
  ProcessOptions options = folder.options();
  options.time_limit_seconds = 120;
  Process process(CliFolder::command(quick_render({"-o", "x.png", "--save-every", "1000", "--iterations",
                                                   "1000000000", "--tolerance", "0", "--progress", "json"})),
                  options);
  REQUIRE(process.wait_for_error_text("\"iteration\":1,"));
  process.send(SIGINT);
  CHECK(process.wait().exit_code == 130);
}

TEST_CASE("only files are written, but a trace goes to pipes, terminals and standard streams") {
  const CliFolder folder;
  REQUIRE(::mkfifo((folder / "pipe.png").c_str(), 0600) == 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (folder / "socket.png").c_str(), sizeof address.sun_path - 1);
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  fs::create_symlink("/dev/full", folder / "full.png");
  for (const char* name : {"pipe.png", "socket.png", "full.png"}) {
    require_failure(folder, quick_render({"-o", name, "--overwrite"}), 3, "found a device or a pipe");
    require_failure(folder, quick_render({"-o", "x.png", "--checkpoint", name, "--overwrite"}), 3,
                    "found a device or a pipe");
  }
  require_failure(folder, quick_render({"-o", "x.png", "--trace", "socket.png"}), 3, "found a socket");
  require_failure(folder, quick_render({"-o", "x.png", "--trace", "/dev/fd/99"}), 3,
                  "found one that is closed");
  const ProcessResult out =
      folder.run(quick_render({"-o", "x.png", "--trace", "/dev/stdout", "--iterations", "3"}));
  INFO(out.err);
  CHECK(out.exit_code == 0);
  CHECK(lines_of(out.out).size() == 3);
  fs::create_symlink("/dev/stdout", folder / "stdout");
  CHECK(lines_of(folder.run(quick_render({"-o", "y.png", "--trace", "stdout", "--iterations", "3"})).out)
            .size() == 3);
  ::close(socket);
}

TEST_CASE("a trace that cannot be written is told of once, and the render goes on") {
  const CliFolder folder;
  const Words job{"-o", "x.png", "--iterations", "6"};
  const auto warned_once = [&](const ProcessResult& result) {
    INFO(result.err);
    CHECK(result.exit_code == 0);
    const Words lines = lines_of(result.err);
    CHECK(std::count_if(lines.begin(), lines.end(), [](const std::string& line) {
            return line.find("warning: trace '") != std::string::npos &&
                   line.find("the render goes on without it") != std::string::npos;
          }) == 1);
  };
  warned_once(folder.run(quick_render(job + Words{"--trace", "/dev/full"})));
  const std::string finished = folder.read("x.png");
  fs::remove(folder / "x.png");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  Process process(CliFolder::command(quick_render(job + Words{"--trace", "pipe"})), folder.options());
  { const std::ifstream reader(folder / "pipe"); }  // comes and leaves
  warned_once(process.wait());
  CHECK(folder.read("x.png") == finished);
  // A full disk, which a limit stands for, cuts no line in half.
  ProcessOptions options = folder.options();
  options.file_size_limit = 4000;
  const ProcessResult full =
      run_process(CliFolder::command(quick_render({"-o", "y.png", "--size", "16", "--iterations", "60",
                                                   "--tolerance", "0", "--trace", "t"})),
                  options);
  warned_once(full);
  CHECK(folder.read("t").size() > 3000);
  CHECK(folder.read("t").back() == '\n');
}

TEST_CASE("a picture that cannot be written at the end costs no work: the state is kept, and goes on") {
  const CliFolder folder;
  const Words job = quick_render({"--iterations", "5", "--checkpoint", "c"});
  REQUIRE(folder.run(job + Words{"-o", "whole.png", "-q"}).exit_code == 0);
  fs::remove(folder / "c");
  fs::create_directory(folder / "gone");
  fs::create_symlink("gone/.x.png.lock", folder / ".x.png.lock");
  const ProcessResult result = run_with(folder, job + Words{"-o", "gone/x.png"}, When::kBeforeIterations,
                                        [&](Process&) { fs::remove_all(folder / "gone"); });
  fs::remove(folder / ".x.png.lock");
  INFO(result.err);
  CHECK(result.exit_code == 3);
  CHECK_THAT(last_line(result.err),
             ContainsSubstring("gone/x.png: expected ") && ContainsSubstring("; go on with --resume c"));
  CHECK(folder.made() == std::set<std::string>{"c", "whole.png"});
  const ProcessResult again = folder.run(job + Words{"-o", "x.png", "--resume", "c", "-q"});
  INFO(again.err);
  CHECK(again.exit_code == 0);
  CHECK(folder.read("x.png").substr(200) != "");
  CHECK(read_image(folder / "x.png").rgb == read_image(folder / "whole.png").rgb);
}

TEST_CASE("the way on that a message names is taken as it stands") {
  const CliFolder folder;
  const Words job =
      quick_render({"-o", "x.png", "--iterations", "100000", "--tolerance", "0", "--checkpoint", "c"});
  const auto interrupt = [&](const Words& more) {
    const ProcessResult result =
        run_with(folder, job + more, When::kAmongIterations, [](Process& process) { process.send(SIGTERM); });
    INFO(result.err);
    CHECK(result.exit_code == 75);
    CHECK_THAT(last_line(result.err), ContainsSubstring("x.png'; go on with --resume c"));
  };
  interrupt({});
  interrupt({"--resume", "c"});
  CHECK(folder.made() == std::set<std::string>{"c", "x.png"});
}

TEST_CASE("a picture that came during the render is not replaced without --overwrite") {
  const CliFolder folder;
  const ProcessResult result =
      run_with(folder, quick_render({"-o", "x.png", "--iterations", "4"}), When::kBeforeIterations,
               [&](Process&) { std::ofstream(folder / "x.png") << "theirs"; });
  INFO(result.err);
  CHECK(result.exit_code == 3);
  CHECK_THAT(last_line(result.err), ContainsSubstring("what was to go there is in 'x-new.png'"));
  CHECK(folder.read("x.png") == "theirs");
  CHECK(read_image(folder / "x-new.png").width == 32);
  CHECK(folder.made() == std::set<std::string>{"x.png", "x-new.png"});
}

TEST_CASE("an interrupted render replaces a picture of one that was interrupted, but no finished one") {
  const CliFolder folder;
  const auto interrupt = [&](const Words& more) {
    return run_with(folder,
                    quick_render({"-o", "x.png", "--iterations", "100000", "--tolerance", "0"}) + more,
                    When::kAmongIterations, [](Process& process) { process.send(SIGINT); });
  };
  CHECK_THAT(interrupt({}).err, ContainsSubstring("is in 'x.png'"));
  CHECK_THAT(interrupt({"--overwrite"}).err, ContainsSubstring("is in 'x.png'"));
  REQUIRE(folder.run(quick_render({"-o", "x.png", "--iterations", "3", "--overwrite", "-q"})).exit_code == 0);
  const std::string finished = folder.read("x.png");
  const ProcessResult result = interrupt({"--overwrite"});
  CHECK(result.exit_code == 130);
  CHECK_THAT(last_line(result.err), ContainsSubstring("is in 'x-partial.png'"));
  CHECK(folder.read("x.png") == finished);
  CHECK(read_image(folder / "x-partial.png").width == 32);
  // Neither another finished one nor an input.
  REQUIRE(
      folder.run(quick_render({"-o", "x-partial.png", "--iterations", "3", "--overwrite", "-q"})).exit_code ==
      0);
  CHECK_THAT(interrupt({"--overwrite"}).err, ContainsSubstring("is in 'x-partial-2.png'"));
  CHECK_THAT(interrupt({"--overwrite", "--init", "x-partial-2.png"}).err,
             ContainsSubstring("is in 'x-partial-3.png'"));
}

TEST_CASE("who writes to a file that another render has is told who that is") {
  const CliFolder folder;
  const Words job = quick_render({"--iterations", "4", "--overwrite"});
  const ProcessResult first =
      run_with(folder, job + Words{"-o", "x.png", "--checkpoint", "c"}, When::kBeforeIterations,
               [&](Process& process) {
                 const std::string has_it = fmt::format("found process {} at it", process.id());
                 const auto refused = [&](const Words& more, const std::string& what) {
                   const ProcessResult second = folder.run(job + more);
                   INFO(second.err);
                   CHECK(second.exit_code == 3);
                   CHECK(lines_of(second.err).size() == 1);
                   CHECK_THAT(second.err, ContainsSubstring(what) && ContainsSubstring(has_it));
                 };
                 refused({"-o", "x.png"}, "output 'x.png': expected to be the only one that writes it");
                 refused({"-o", "y.png", "--checkpoint", "c"}, "checkpoint 'c'");
                 CHECK(folder.run(job + Words{"-o", "z.png", "--checkpoint", "d", "-q"}).exit_code == 0);
               });
  INFO(first.err);
  CHECK(first.exit_code == 0);
  CHECK(folder.made() == std::set<std::string>{"x.png", "z.png"});
  Process tracing(
      CliFolder::command(quick_render({"-o", "x.png", "--overwrite", "--trace", "t", "--iterations", "100000",
                                       "--tolerance", "0", "--progress", "json"})),
      folder.options());
  REQUIRE(tracing.wait_for_error_text("\"iteration\":1,"));
  require_failure(folder, quick_render({"-o", "y.png", "--overwrite", "--trace", "t"}), 3,
                  fmt::format("trace 't': expected to be the only one that writes it, found process {} at it",
                              tracing.id()));
  tracing.send(SIGINT);
  CHECK(tracing.wait().exit_code == 130);
}

TEST_CASE("a resumed render goes on with its trace where it begins, and with no other text") {
  const CliFolder folder;
  const Words job = quick_render({"-o", "x.png", "--size", "48", "--scales", "2", "--iterations", "9",
                                  "--tolerance", "0", "-q", "--overwrite"});
  REQUIRE(folder.run(job + Words{"--trace", "whole"}).exit_code == 0);
  const std::string whole = folder.read("whole"), picture = folder.read("x.png");
  const Words expected = trace_of(folder, "whole");
  REQUIRE(expected.size() == 18);
  REQUIRE(folder.run(job + Words{"--checkpoint", "c", "--save-every", "7"}).exit_code == 0);
  const Checkpoint checkpoint = load_checkpoint(folder / "c");
  REQUIRE(checkpoint.scale == 1);
  const auto goes_on_from = [&](const std::string& text) {
    std::ofstream(folder / "t") << text;
    const ProcessResult result = folder.run(job + Words{"--resume", "c", "--trace", "t"});
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(trace_of(folder, "t") == expected);
    CHECK(folder.read("x.png") == picture);
  };
  goes_on_from(whole);
  goes_on_from(whole.substr(0, whole.size() - 40));  // half a line
  std::size_t end = 0;                               // of the lines that the checkpoint has
  for (std::int64_t n = 0; n < 9 + checkpoint.iteration; ++n) end = whole.find('\n', end) + 1;
  goes_on_from(whole.substr(0, end));
  goes_on_from(whole.substr(0, end + 5));
  std::ofstream(folder / "t") << "a letter\nto a friend\n";
  require_failure(folder, job + Words{"--resume", "c", "--trace", "t"}, 3,
                  "trace 't': expected the trace of the render that goes on, found another line 1");
  CHECK(folder.read("t") == "a letter\nto a friend\n");
  std::ofstream(folder / "t") << "words without an end of line";
  require_failure(folder, job + Words{"--resume", "c", "--trace", "t"}, 3, "found another line 1");
  CHECK(folder.read("t") == "words without an end of line");
}

TEST_CASE("a checkpoint of another instruction set is gone on with only when asked for") {
  const CliFolder folder;
  const Words job = quick_render({"-o", "x.png", "--iterations", "8", "--overwrite"});
  const auto on = [&](const std::string& isa, const Words& more) {
    ProcessOptions options = folder.options();
    options.environment.emplace_back("IMPASTO_CPU_ISA", isa);
    return run_process(CliFolder::command(job + more), options);
  };
  REQUIRE(on("baseline", {"--checkpoint", "c", "--save-every", "4", "-q"}).exit_code == 0);
  if (on("avx2", {"-q"}).exit_code != 0) return;  // a processor with one alone
  const ProcessResult refused = on("avx2", {"--resume", "c"});
  CHECK(refused.exit_code == 3);
  CHECK(lines_of(refused.err).size() == 1);
  CHECK_THAT(refused.err, ContainsSubstring("cpu avx2, fp32, found one by impasto ") &&
                              ContainsSubstring("cpu baseline, fp32") &&
                              ContainsSubstring("--resume-inexact"));
  const ProcessResult precise = on("baseline", {"--resume", "c", "--precision", "exact"});
  CHECK(precise.exit_code == 3);
  CHECK_THAT(precise.err, ContainsSubstring("cpu baseline, exact, found one by"));
  const ProcessResult asked = on("avx2", {"--resume", "c", "--resume-inexact"});
  INFO(asked.err);
  CHECK(asked.exit_code == 0);
  CHECK_THAT(asked.err, ContainsSubstring("warning: checkpoint: made by"));
  CHECK(on("baseline", {"--resume", "c", "-q"}).exit_code == 0);
}

TEST_CASE("with --no-metadata no name, option or weight stands in any picture") {
  const CliFolder folder;
  for (const char* output : {"x.png", "x.jpg", "x.webp", "x.tif"}) {
    const Words job = quick_render({"-o", output, "--iterations", "2", "-q"});
    REQUIRE(folder.run(job).exit_code == 0);
    CHECK_THAT(folder.read(output), ContainsSubstring("content.png") && ContainsSubstring("random"));
    REQUIRE(folder.run(job + Words{"--no-metadata", "--overwrite"}).exit_code == 0);
    CHECK_THAT(folder.read(output), !ContainsSubstring("content.png") && !ContainsSubstring("random") &&
                                        !ContainsSubstring("mpasto"));
  }
}

TEST_CASE("names of files cannot move the terminal's cursor") {
  const CliFolder folder;
  const ProcessResult result =
      folder.run(quick_render({"-o", "a\x1b[31m\xc2\x9b\n.png", "--iterations", "1"}));
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, ContainsSubstring("wrote a [31m") && !ContainsSubstring("\x1b") &&
                             !ContainsSubstring("\xc2\x9b"));
}
