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

/// A process with this library in front of CUDA's.
ProcessOptions preloading(const CliFolder& folder, const std::string& library) {
  ProcessOptions options = folder.options();
  const char* const others = std::getenv("LD_PRELOAD");
  options.environment.emplace_back("LD_PRELOAD", library + (others ? ' ' + std::string(others) : ""));
  return options;
}

/// The program with CUDA's libraries as tests/support/cuda_faults.cpp makes them.
ProcessResult run_with(const std::string& fault, const CliFolder& folder,
                       const std::vector<std::string>& words, bool wait_for_each = false) {
  ProcessOptions options = preloading(folder, IMPASTO_CUDA_FAULTS);
  options.environment.emplace_back("IMPASTO_CUDA_FAULT", fault);
  if (wait_for_each) options.environment.emplace_back("CUDA_LAUNCH_BLOCKING", "1");
  return run_process(CliFolder::command(words), options);
}

/// What a command, which must succeed, calls of the CUDA libraries.
std::map<std::string, std::int64_t> calls_of(const CliFolder& folder, const std::vector<std::string>& words) {
  ProcessOptions options = preloading(folder, IMPASTO_CUDA_CALLS);
  options.environment.emplace_back("IMPASTO_CUDA_CALLS", (folder / "calls").string());
  const ProcessResult result = run_process(CliFolder::command(words), options);
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  std::map<std::string, std::int64_t> calls;
  std::ifstream lines(folder / "calls");
  for (std::string kind; lines >> kind;) lines >> calls[kind];
  return calls;
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
  return calls_of(folder, small_job({"batch", "m.jsonl"}, {"--iterations", "2", "--jobs", jobs}));
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

TEST_CASE("a plan is held against the memory that is free when the libraries' handles have theirs") {
  const CliFolder folder;
  const auto budget = [&](const std::string& fault) {
    const ProcessResult result = run_with(fault, folder, on_gpu("plan", {"--json"}));
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return Json::parse(result.out).at("budget_bytes").get<std::int64_t>();
  };
  CHECK(budget("") - budget("handles") >= (std::int64_t{256} << 20) / 20 * 19);
}

TEST_CASE("a GPU whose memory others have is told of as one") {
  const CliFolder folder;
  const ProcessResult result = run_with("full", folder, render({"--iterations", "1"}));
  CHECK(result.exit_code == 4);
  const std::string said = lines_of(result.err).back();  // after what a runner says
  CHECK_THAT(said,
             ContainsSubstring("device 'cuda:0': expected a usable GPU, but cublas: expected cublasCreate "
                               "to succeed, found CUBLAS_STATUS_ALLOC_FAILED, where "));
  CHECK_THAT(said, ContainsSubstring(" are free"));
}

TEST_CASE("a batch makes its handles and plans, sends its weights and measures each style once") {
  auto two = calls_of_batch(2), six = calls_of_batch(6), ten = calls_of_batch(10);
  CHECK(ten["cudnn_handles"] == 1);
  CHECK(ten["cublas_handles"] == 1);
  CHECK(ten["full_sums"] == 1);  // no sum in the output's type
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

TEST_CASE(
    "an iteration of an optimiser that decides by the loss is one graph, and the host waits for none of it") {
  const CliFolder folder;
  const auto calls = [&](const std::vector<std::string>& optimizer, const char* iterations) {
    return calls_of(
        folder,
        render(with(optimizer, {"--tolerance", "0.0001", "--scales", "1", "--iterations", iterations})));
  };
  for (const std::vector<std::string>& optimizer : {std::vector<std::string>{"--optimizer", "lbfgs"},
                                                    {"--optimizer", "lbfgs", "--line-search", "none"},
                                                    {"--optimizer", "gd"},
                                                    {"--optimizer", "gd", "--momentum", "0.9", "--clamp"}}) {
    INFO(optimizer.back());
    auto few = calls(optimizer, "4"), more = calls(optimizer, "9");
    CHECK(more["graphs"] - few["graphs"] == 5);
    CHECK(few["kernels"] > 0);
    CHECK(more["kernels"] == few["kernels"]);  // none beside the graph
    CHECK(more["stream_waits"] == few["stream_waits"]);
    CHECK(more["event_waits"] - few["event_waits"] == 5);  // for the losses, of the iteration before
    CHECK(more["bytes_sent"] == few["bytes_sent"]);
  }
}

TEST_CASE(
    "auto takes the GPU with the most free memory, the first of equal ones, and says why it passes any "
    "over") {
  const CliFolder folder;
  const auto planned = [&](const std::string& library, const std::string& name, const std::string& value) {
    ProcessOptions options = preloading(folder, library);
    options.environment.emplace_back(name, value);
    options.environment.emplace_back("SOFTGPU_DEVICES", "2");  // a runner without a GPU shows as many
    return run_process(CliFolder::command(with(on_gpu("plan", {"--json"}), {"--device", "auto"})), options);
  };
  const auto taken = [&](const std::string& free) {
    const ProcessResult result = planned(IMPASTO_NVML_STUB, "IMPASTO_NVML_FREE", free);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return Json::parse(result.out).at("device").get<std::string>();
  };
  CHECK(taken("20,10") == "cuda:0");
  CHECK(taken("10,10") == "cuda:0");
  const bool two = taken("10,20") == "cuda:1";
  const bool one = run(folder, {"devices"}).out.find("cuda:1") == std::string::npos;
  CHECK((two || one));
  // No runtime but a refusal of both.
  const std::string why =
      ": expected a usable GPU, but cuDNN: expected version 9.8 or a newer 9, found 9.0.0; ";
  const std::string said = planned(IMPASTO_CUDA_FAULTS, "IMPASTO_CUDA_FAULT", "cudnn=90000").err;
  CHECK_THAT(said, ContainsSubstring("device 'cuda:0'" + why));
  if (two) CHECK_THAT(said, ContainsSubstring("; device 'cuda:1'" + why));
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
  CHECK_THAT(require_render(folder, job), ContainsSubstring("; timed 9 convolutions\n"));
  const std::string picture = folder.read("x.png");
  const auto entry = std::filesystem::directory_iterator(folder / "cache" / "impasto");
  const std::string file = "cache/impasto/" + entry->path().filename().string();
  const std::string kept = folder.read(file);
  CHECK(lines_of(kept).size() == 10);
  CHECK_THAT(kept, ContainsSubstring("\nforward_relu "));
  CHECK_THAT(require_render(folder, job), ContainsSubstring("; timed 0 convolutions\n"));
  CHECK(folder.read("x.png") == picture);
  CHECK(folder.read(file) == kept);

  // One engine that is none, then files that are no cache at all.
  const std::size_t engine = kept.find(" = ") + 3;
  std::ofstream(folder / file) << kept.substr(0, engine) + "eng9999\n" +
                                      kept.substr(kept.find('\n', engine) + 1);
  CHECK_THAT(require_render(folder, job), ContainsSubstring("; timed 1 convolutions\n"));
  CHECK(lines_of(folder.read(file)).size() == 10);
  for (const std::string& damaged : {std::string(), std::string(5000, '\xff'), kept.substr(0, 20),
                                     "another GPU\n" + kept.substr(kept.find('\n') + 1)}) {
    std::ofstream(folder / file) << damaged;
    CHECK_THAT(require_render(folder, job), ContainsSubstring("; timed 9 convolutions\n"));
    CHECK(lines_of(folder.read(file)).size() == 10);
  }
}

TEST_CASE("an interrupted render goes on to the same bytes, on the engines of its checkpoint") {
  const CliFolder whole, parts;
  const std::vector<std::string> job{"--iterations", "200", "--autotune"};
  require_render(whole, job);
  std::filesystem::copy(whole / "cache", parts / "cache", std::filesystem::copy_options::recursive);
  interrupt(parts, job);
  const std::string engines = load_checkpoint(parts / "c").device.at("tuning");
  CHECK(lines_of(engines).size() == 10);
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

TEST_CASE("where iterations cannot be recorded they run one operation after another, to the same bytes") {
  const CliFolder folder;
  const std::vector<std::string> words = render({"--iterations", "4", "-v"});
  const auto picture_with = [&](const std::string& fault, const std::string& said) {
    const ProcessResult result = run_with(fault, folder, words);
    INFO(fault << ": " << result.err);
    REQUIRE(result.exit_code == 0);
    CHECK_THAT(result.err, ContainsSubstring(said));
    return folder.read("x.png");
  };
  const std::string recorded = picture_with("", " captured 1, replayed 2, plain 1 times\n");
  for (const auto& [fault, said] : std::map<std::string, std::string>{
           {"begin",
            "no graph, since cudaStreamBeginCapture: cudaErrorStreamCaptureUnsupported: plain 4 times\n"},
           {"work",
            "no graph, since cudnn: expected a convolution to succeed, found CUDNN_STATUS_NOT_SUPPORTED"},
           {"end",
            "no graph, since cudaStreamEndCapture: cudaErrorStreamCaptureInvalidated: plain 4 times\n"},
           {"instantiate",
            "no graph, since cudaGraphInstantiate: cudaErrorMemoryAllocation: plain 4 times\n"},
           {"launch", " captured 1, replayed 1, plain 2 times; then none, since cudaGraphLaunch: "}}) {
    CHECK(picture_with(fault, said) == recorded);
  }
}

TEST_CASE("work that fails on the GPU ends with a line that says how far it was, or in which operation") {
  const CliFolder folder;
  const auto failed = [&](bool wait_for_each) {
    const ProcessResult result =
        run_with("kernel", folder, render({"--iterations", "3", "-q"}), wait_for_each);
    CHECK(result.exit_code == 1);
    return lines_of(result.err).back();  // after what a runner says
  };
  CHECK_THAT(failed(false),
             ContainsSubstring(", at or before it; CUDA_LAUNCH_BLOCKING=1 names the operation"));
  const std::string named = failed(true);
  CHECK_THAT(named, ContainsSubstring("error: cuda: expected pool_forward to succeed, found cudaError"));
  CHECK_THAT(named, !ContainsSubstring("before it"));
}

TEST_CASE("an older cuDNN is refused, and a newer one is used whose notes are not all known") {
  const CliFolder folder;
  const ProcessResult old = run_with("cudnn=90701", folder, render({"--iterations", "1"}));
  CHECK(old.exit_code == 4);
  CHECK(lines_of(old.err).size() == 1);
  const std::string why = "cuDNN: expected version 9.8 or a newer 9, found 9.7.1; install one";
  CHECK_THAT(old.err, ContainsSubstring("expected a usable GPU, but " + why));
  CHECK_THAT(run_with("cudnn=90701", folder, {"devices"}).out, ContainsSubstring("not usable: " + why));
  CHECK(run_with("cudnn=99900", folder, render({"--iterations", "1"})).exit_code == 0);
  CHECK(run_with("notes", folder, render({"--iterations", "1"})).exit_code == 0);
}
