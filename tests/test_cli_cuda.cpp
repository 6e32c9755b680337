// The program on a GPU: what it lists, plans, renders, refuses, resumes
// and tunes. Runs on the device that IMPASTO_TEST_DEVICE names.
#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>

#include "engine/style/checkpoint.h"
#include "tests/support/catch.h"
#include "tests/support/cli.h"
#include "tests/support/test_device.h"

using namespace impasto;
using namespace impasto::testing;
using Json = nlohmann::json;

namespace {

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// A small job on the GPU, which stops at relu2_1: of `command` and its arguments.
std::vector<std::string> small_job(const std::vector<std::string>& command,
                                   const std::vector<std::string>& more) {
  const BackendOptions device = test::other_device();
  return with(with(command, {"--weights", "random:1", "--size", "32", "--device", device.device,
                             "--precision", to_string(device.precision), "--content-layers", "relu2_1",
                             "--style-layers", "relu1_1,relu2_1", "--optimizer", "adam"}),
              more);
}
std::vector<std::string> on_gpu(const std::string& command, const std::vector<std::string>& more) {
  return small_job({command, "content.png", "style.png"}, more);
}
std::vector<std::string> render(const std::vector<std::string>& more) {
  return with(on_gpu("render", {"-o", "x.png", "--overwrite"}), more);
}

/// What a batch of so many renders, of two styles in turn, calls of the CUDA libraries.
std::map<std::string, std::int64_t> calls_of_batch(int renders, const std::string& jobs = "1:1:1") {
  const CliFolder folder;
  folder.write_picture("other.png", 40, 44, 5);
  std::ofstream manifest(folder / "m.jsonl");
  for (int n = 0; n < renders; ++n) {
    const char* const style = n % 2 == 0 ? "style.png" : "other.png";
    manifest << Json{{"content", "content.png"},
                     {"style", style},
                     {"output", std::to_string(n) + ".png"},
                     {"init", "noise"},
                     {"seed", n}}
             << '\n';
  }
  manifest.close();
  const auto words = small_job({"batch", "m.jsonl"}, {"--iterations", "2", "--jobs", jobs});
  ProcessOptions options = folder.options();
  const char* const others = std::getenv("LD_PRELOAD");
  options.environment.emplace_back("LD_PRELOAD",
                                   IMPASTO_CUDA_CALLS + (others ? ' ' + std::string(others) : ""));
  options.environment.emplace_back("IMPASTO_CUDA_CALLS", (folder / "calls").string());
  const ProcessResult result = run_process(CliFolder::command(words), options);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  std::map<std::string, std::int64_t> calls;
  std::ifstream lines(folder / "calls");
  for (std::string kind; lines >> kind;) lines >> calls[kind];
  return calls;
}

ProcessResult run(const CliFolder& folder, const std::vector<std::string>& words) {
  ProcessOptions options = folder.options();
  options.environment.emplace_back("XDG_CACHE_HOME", (folder / "cache").string());
  return run_process(CliFolder::command(words), options);
}

/// Runs a render that must succeed; returns what it wrote to standard error.
std::string require_render(const CliFolder& folder, const std::vector<std::string>& more) {
  const ProcessResult result = run(folder, render(more));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  return result.err;
}

/// A render stopped after its first iteration, with its checkpoint in c.
void interrupt(const CliFolder& folder, const std::vector<std::string>& more) {
  ProcessOptions options = folder.options();
  options.environment.emplace_back("XDG_CACHE_HOME", (folder / "cache").string());
  Process process(CliFolder::command(render(with(more, {"--checkpoint", "c", "--progress", "json"}))),
                  options);
  REQUIRE(process.wait_for_error_text("\"iteration\":1,"));
  process.send(SIGTERM);
  const ProcessResult result = process.wait();
  INFO(result.err);
  REQUIRE(result.exit_code == 75);
}

}  // namespace

TEST_CASE("the GPU is listed, planned for and rendered on, within what was planned") {
  const CliFolder folder;
  const Json devices = Json::parse(run(folder, {"devices", "--json"}).out);
  CHECK(devices.at(1).at("name") == "cuda:0");
  CHECK(devices.at(1).at("usable") == true);
  CHECK(devices.at(1).at("free_memory_bytes") > 0);

  const ProcessResult planned = run(folder, on_gpu("plan", {"--json"}));
  INFO(planned.err);
  REQUIRE(planned.exit_code == 0);
  const Json figures = Json::parse(planned.out);
  CHECK(figures.at("precision") == to_string(test::other_device().precision));

  const auto lines = lines_of(require_render(folder, {"--iterations", "3", "--progress", "json"}));
  CHECK(Json::parse(lines.back()).at("counted_bytes") == figures.at("device_bytes"));
  CHECK(read_image(folder / "x.png").width == 32);
}

TEST_CASE("a batch makes its handles and plans, sends its weights and measures each style once") {
  auto two = calls_of_batch(2), six = calls_of_batch(6), ten = calls_of_batch(10);
  CHECK(ten["cudnn_handles"] == 1);
  CHECK(ten["cublas_handles"] == 1);
  CHECK(two["plans"] > 0);
  CHECK(ten["plans"] == two["plans"]);
  // Two passes of the styles, three convolutions each, come before what every render does.
  const std::int64_t each = (ten["runs"] - two["runs"]) / 8;
  CHECK(ten["runs"] == 10 * each + 2 * 3);
  CHECK(two["runs"] == 2 * each + 2 * 3);
  // A render sends pictures and two styles' statistics; the weights go before the first.
  const std::int64_t sent = (ten["bytes_sent"] - six["bytes_sent"]) / 4;
  CHECK(six["bytes_sent"] - two["bytes_sent"] == 4 * sent);
  const Precision precision = test::other_device().precision;
  const bool half = precision == Precision::kFp16 || precision == Precision::kBf16;
  const std::int64_t weights = (half ? 2 : 4) * (64 * 3 + 64 * 64 + 128 * 64) * 9;
  const std::int64_t once = two["bytes_sent"] - 2 * sent;
  CHECK(once >= weights);
  CHECK(once < 2 * weights);

  // Two at a time have a stream and plans each, and share the rest.
  auto beside = calls_of_batch(10, "1:2:1");
  CHECK(beside["cudnn_handles"] == 2);
  CHECK(beside["plans"] <= 2 * ten["plans"]);
  CHECK(beside["runs"] == ten["runs"]);
  CHECK(beside["bytes_sent"] == ten["bytes_sent"]);
}

TEST_CASE("selftest --gradient holds on the GPU") {
  const CliFolder folder;
  const BackendOptions device = test::other_device();
  const ProcessResult result =
      run(folder, {"selftest", "--gradient", "--device", device.device, "--precision",
                   to_string(device.precision), "--size", "40", "--directions", "3", "--content-layers",
                   "relu2_1", "--style-layers", "relu1_1,relu2_1", "--tv-weight", "1"});
  INFO(result.out << result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.out, ContainsSubstring("\n10 comparisons, 0 failed\n"));
}

TEST_CASE("with IMPASTO_CUDA_RECORD=0 nothing is recorded, and the picture is the same") {
  const CliFolder folder;
  const std::vector<std::string> job{"--iterations", "4", "-v"};
  CHECK_THAT(require_render(folder, job), ContainsSubstring("captured 1, replayed 2, plain 1 times"));
  const std::string picture = folder.read("x.png");
  ProcessOptions options = folder.options();
  options.environment.emplace_back("IMPASTO_CUDA_RECORD", "0");
  const ProcessResult result = run_process(CliFolder::command(render(job)), options);
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, !ContainsSubstring("captured"));
  CHECK(folder.read("x.png") == picture);
}

TEST_CASE("auto takes the first GPU") {
  const CliFolder folder;
  CHECK_THAT(require_render(folder, {"--iterations", "1", "--device", "auto"}),
             ContainsSubstring(" on cuda:0: "));
}

TEST_CASE("a render beyond the budget gives exit code 4 and leaves nothing") {
  const CliFolder folder;
  const ProcessResult result = run(folder, render({"--memory", "40M", "--size", "512"}));
  CHECK(result.exit_code == 4);
  CHECK(lines_of(result.err).size() == 1);
  CHECK_THAT(result.err, ContainsSubstring("expected a render within 40.0 MiB, found that 512x384 needs "));
  CHECK_THAT(result.err, ContainsSubstring(" would fit"));
  CHECK(folder.made().empty());
}

TEST_CASE("engines are timed once, kept in the user's cache folder, and used again without timing") {
  const CliFolder folder;
  const std::vector<std::string> job{"--iterations", "3", "--autotune", "-v"};
  CHECK_THAT(require_render(folder, job), ContainsSubstring("; timed 24 convolutions\n"));
  const std::string picture = folder.read("x.png");
  const auto entry = std::filesystem::directory_iterator(folder / "cache" / "impasto");
  const std::string file = "cache/impasto/" + entry->path().filename().string();
  const std::string kept = folder.read(file);
  CHECK(lines_of(kept).size() == 25);
  CHECK_THAT(kept, ContainsSubstring("\nforward_relu "));
  CHECK_THAT(require_render(folder, job), ContainsSubstring("; timed 0 convolutions\n"));
  CHECK(folder.read("x.png") == picture);
  CHECK(folder.read(file) == kept);

  // One engine that is none, then files that are no cache at all.
  const std::size_t engine = kept.find(" = ") + 3;
  std::ofstream(folder / file) << kept.substr(0, engine) + "eng9999\n" +
                                      kept.substr(kept.find('\n', engine) + 1);
  CHECK_THAT(require_render(folder, job), ContainsSubstring("; timed 1 convolutions\n"));
  CHECK(lines_of(folder.read(file)).size() == 25);
  for (const std::string& damaged : {std::string(), std::string(5000, '\xff'), kept.substr(0, 20),
                                     "another GPU\n" + kept.substr(kept.find('\n') + 1)}) {
    std::ofstream(folder / file) << damaged;
    CHECK_THAT(require_render(folder, job), ContainsSubstring("; timed 24 convolutions\n"));
    CHECK(lines_of(folder.read(file)).size() == 25);
  }
}

TEST_CASE("an interrupted render goes on to the same bytes, on the engines of its checkpoint") {
  const CliFolder whole, parts;
  const std::vector<std::string> job{"--iterations", "200", "--autotune"};
  require_render(whole, job);
  std::filesystem::copy(whole / "cache", parts / "cache", std::filesystem::copy_options::recursive);
  interrupt(parts, job);
  const std::string engines = load_checkpoint(parts / "c").device.at("tuning");
  CHECK(lines_of(engines).size() == 25);
  CHECK_THAT(engines, ContainsSubstring("\nforward_relu "));
  CHECK_THAT(engines, ContainsSubstring(" = eng"));

  std::filesystem::remove_all(parts / "cache");
  require_render(parts, with({"--iterations", "200"}, {"--resume", "c", "--checkpoint", "d"}));
  CHECK(parts.read("x.png") == whole.read("x.png"));
  CHECK_FALSE(std::filesystem::exists(parts / "cache"));
}

TEST_CASE("a module that is none, or a GPU that is not there, gives exit code 4 and the reason") {
  const CliFolder folder;
  const auto refused = [&](const std::string& module, const std::string& device) {
    ProcessOptions options = folder.options();
    options.environment.emplace_back("IMPASTO_CUDA_MODULE", module);
    const ProcessResult result = run_process(CliFolder::command(render({"--device", device})), options);
    CHECK(result.exit_code == 4);
    CHECK(lines_of(result.err).size() == 1);
    return result.err;
  };
  CHECK_THAT(refused("content.png", "cuda"),
             ContainsSubstring("the CUDA module cannot be opened (content.png"));
  CHECK_THAT(refused("./gone.so", "cuda"), ContainsSubstring("the CUDA module cannot be opened (./gone.so"));
  CHECK_THAT(refused("libm.so.6", "cuda"),
             ContainsSubstring("the CUDA module libm.so.6 is of another build"));
  CHECK_THAT(refused("", "cuda:99"), ContainsSubstring("device 'cuda:99': expected a usable GPU, but only "));
}
