// Signals, checkpoints and resumed renders.
#include <thread>

#include "engine/style/checkpoint.h"
#include "tests/support/catch.h"
#include "tests/support/cli.h"

using namespace impasto;
using namespace impasto::testing;

namespace {

constexpr const char* kFirstIteration = "\"iteration\":1,";

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Starts a render, sends the signal after its first iteration and waits.
ProcessResult interrupt(const CliFolder& folder, const std::vector<std::string>& more, int signal) {
  Process process(CliFolder::command(CliFolder::render(with({"--progress", "json"}, more))),
                  folder.options());
  REQUIRE(process.wait_for_error_text(kFirstIteration));
  process.send(signal);
  return process.wait();
}

}  // namespace

TEST_CASE("an interrupted render writes the picture so far and gives exit code 130") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const CliFolder folder;
    const ProcessResult result = interrupt(folder, {"-o", "x.png", "--iterations", "100000"}, signal);
    INFO(result.err);
    CHECK(result.exit_code == 130);
    CHECK(last_line(result.err).rfind("impasto: error: ", 0) == 0);
    CHECK_THAT(last_line(result.err), ContainsSubstring("of 100000 iterations is in 'x.png'"));
    CHECK(folder.made() == std::set<std::string>{"x.png"});
    CHECK(read_image(folder / "x.png").width == 32);
  }
}

TEST_CASE("an interrupted render with a checkpoint gives exit code 75, and goes on to the same bytes") {
  const std::vector<std::string> job{"-o", "x.png", "--size", "48", "--scales", "2", "--iterations", "30"};
  const CliFolder whole, parts;
  REQUIRE(whole.run(CliFolder::render(with(job, {"-q", "--trace", "t"}))).exit_code == 0);

  const ProcessResult first = interrupt(parts, with(job, {"--checkpoint", "c", "--trace", "t"}), SIGTERM);
  INFO(first.err);
  REQUIRE(first.exit_code == 75);
  CHECK_THAT(last_line(first.err), ContainsSubstring("--resume c"));
  CHECK(parts.made() == std::set<std::string>{"c", "t", "x.png"});
  const auto lines_before = lines_of(parts.read("t")).size();
  CHECK(lines_before < 60);

  // Interrupted again, from the checkpoint into the same one.
  Process second(
      CliFolder::command(CliFolder::render(with(
          job, {"--resume", "c", "--checkpoint", "c", "--trace", "t", "--overwrite", "--progress", "json"}))),
      parts.options());
  REQUIRE(second.wait_for_error_text("\"scale\":1,\"iteration\":1,"));
  second.send(SIGINT);
  const ProcessResult stopped = second.wait();
  INFO(stopped.err);
  REQUIRE(stopped.exit_code == 75);

  const ProcessResult third =
      parts.run(CliFolder::render(with(job, {"--resume", "c", "--trace", "t", "--overwrite", "-q"})));
  INFO(third.err);
  REQUIRE(third.exit_code == 0);
  CHECK(parts.read("x.png") == whole.read("x.png"));

  // The three traces make one, but for the times.
  const auto without_seconds = [](const std::string& line) {
    return line.substr(0, line.find(",\"seconds\""));
  };
  const auto expected = lines_of(whole.read("t")), found = lines_of(parts.read("t"));
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    CHECK(without_seconds(found[i]) == without_seconds(expected[i]));
}

TEST_CASE("a checkpoint is kept on the way, and a killed render goes on from it") {
  const std::vector<std::string> job{"-o", "x.png", "--iterations", "12", "--save-every", "4"};
  const CliFolder whole, parts;
  REQUIRE(whole.run(CliFolder::render(with(job, {"-q"}))).exit_code == 0);
  {
    Process process(
        CliFolder::command(CliFolder::render(with(job, {"--checkpoint", "c", "--progress", "json"}))),
        parts.options());
    REQUIRE(process.wait_for_error_text("\"iteration\":5,"));
    process.send(SIGKILL);
    (void)process.wait();
  }
  const Checkpoint kept = load_checkpoint(parts / "c");
  CHECK(kept.iteration >= 4);
  const ProcessResult result =
      parts.run(CliFolder::render(with(job, {"--resume", "c", "-q", "--overwrite"})));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  for (const char* name : {"x.png", "x-000004.png", "x-000008.png", "x-000012.png"}) {
    CHECK(parts.read(name) == whole.read(name));
  }
}

TEST_CASE("a second signal ends the render at once and leaves nothing half-written") {
  const CliFolder folder;
  // At this size the first iteration is far away when both signals arrive.
  Process process(
      CliFolder::command({"render", "content.png", "style.png", "--weights", "random:1", "--size", "768",
                          "--scales", "1", "-o", "x.png", "--checkpoint", "c", "--progress", "json"}),
      folder.options());
  REQUIRE(process.wait_for_error_text("\"event\":\"start\""));
  process.send(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  REQUIRE(process.running());
  const auto begin = std::chrono::steady_clock::now();
  process.send(SIGINT);
  const ProcessResult result = process.wait();
  INFO(result.err);
  CHECK(result.exit_code == 130);
  CHECK_THAT(last_line(result.err), ContainsSubstring("impasto: error: "));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(1));
  CHECK(folder.made().empty());
}

TEST_CASE("a checkpoint is refused with other options, pictures or weights, and the difference is named") {
  const CliFolder folder;
  const std::vector<std::string> job{"-o", "x.png", "--overwrite"};
  REQUIRE(interrupt(folder, with(job, {"--checkpoint", "c", "--iterations", "1000"}), SIGINT).exit_code ==
          75);
  const auto refused = [&](const std::vector<std::string>& more, const std::string& message) {
    const ProcessResult result =
        folder.run(CliFolder::render(with(with(job, {"--resume", "c", "-q"}), more)));
    INFO(result.err);
    CHECK(result.exit_code == 3);
    CHECK(lines_of(result.err).size() == 1);
    CHECK_THAT(result.err, ContainsSubstring(message));
  };
  refused({"--iterations", "1000", "--style-weight", "2"}, "style-weight");
  refused({"--iterations", "500"}, "iterations");
  refused({"--iterations", "1000", "--weights", "random:2"}, "weights");
  folder.write_picture("style.png", 40, 44, 5);
  refused({"--iterations", "1000"}, "style 1");
}

TEST_CASE("a checkpoint that cannot be written ends the render with the picture so far and exit code 3") {
  const CliFolder folder;
  ProcessOptions options = folder.options();
  options.file_size_limit = 6000;  // bytes: room for the picture, not for the state
  const ProcessResult result = run_process(
      CliFolder::command(CliFolder::render({"-o", "x.png", "--checkpoint", "c", "--save-every", "3", "-q"})),
      options);
  INFO(result.err);
  CHECK(result.exit_code == 3);
  CHECK(lines_of(result.err).size() == 1);
  CHECK_THAT(result.err, ContainsSubstring("the picture after 3 of at most 115 iterations is in 'x.png'"));
  CHECK(folder.made() == std::set<std::string>{"x-000003.png", "x.png"});
}
