// Whole renders through the program: pictures, traces, progress, plans.
#include <nlohmann/json.hpp>

#include "engine/core/text.h"
#include "engine/options/options.h"
#include "engine/style/checkpoint.h"
#include "tests/support/catch.h"
#include "tests/support/cli.h"
#include "tests/support/weights_files.h"

using namespace impasto;
using namespace impasto::testing;
using Json = nlohmann::json;

namespace {

std::vector<Json> json_lines(const std::string& text) {
  std::vector<Json> objects;
  for (const std::string& line : lines_of(text)) objects.push_back(Json::parse(line));
  return objects;
}

/// Runs a small render that must succeed.
ProcessResult require_render(const CliFolder& folder, const std::vector<std::string>& more) {
  ProcessResult result = folder.run(CliFolder::render(more));
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  CHECK(result.out.empty());
  return result;
}

}  // namespace

TEST_CASE("a render writes a picture of the asked size, quietly") {
  const CliFolder folder;
  const ProcessResult result = require_render(folder, {"-o", "x.png", "--iterations", "3"});
  const Image picture = read_image(folder / "x.png");
  CHECK(picture.width == 32);
  CHECK(picture.height == 24);
  CHECK(folder.made() == std::set<std::string>{"x.png"});
  const auto lines = lines_of(result.err);  // not a terminal: a line at start and end
  REQUIRE(lines.size() == 2);
  CHECK_THAT(lines[0], ContainsSubstring("rendering 32x24"));
  CHECK_THAT(lines[0], ContainsSubstring("on cpu"));
  CHECK_THAT(lines[1], ContainsSubstring("wrote x.png, 32x24, loss "));
  CHECK_THAT(lines[1], ContainsSubstring(", 3 iterations in "));
  CHECK_THAT(lines[1], ContainsSubstring(" s, device peak ") && ContainsSubstring("B, process peak "));
}

TEST_CASE("the same render gives the same bytes") {
  const CliFolder folder;
  require_render(folder, {"-o", "x.png", "--iterations", "4", "--init", "noise", "--seed", "3"});
  const std::string first = folder.read("x.png");
  require_render(folder,
                 {"-o", "x.png", "--iterations", "4", "--init", "noise", "--seed", "3", "--overwrite"});
  CHECK(folder.read("x.png") == first);
  require_render(folder, {"-o", "x.png", "--iterations", "4", "--init", "noise", "--seed", "3", "--overwrite",
                          "--threads", "1"});
  CHECK(folder.read("x.png") == first);
  require_render(folder,
                 {"-o", "x.png", "--iterations", "4", "--init", "noise", "--seed", "4", "--overwrite"});
  CHECK(folder.read("x.png") != first);
}

TEST_CASE("a trace has a line for each evaluation at every scale, and its numbers read back") {
  const CliFolder folder;
  require_render(folder, {"-o", "x.png", "--size", "64", "--scales", "2", "--iterations", "3",
                          "--content-weight", "0.05", "--tv-weight", "0.1", "--content-layers",
                          "relu3_1,relu4_2", "--style-layers", "relu1_1", "--trace", "t.jsonl"});
  const std::string text = folder.read("t.jsonl");
  const auto lines = json_lines(text);
  REQUIRE(lines.size() == 6);
  double seconds = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Json& line = lines[i];
    INFO(line.dump());
    CHECK(line.at("scale") == i / 3);
    CHECK(line.at("iteration") == i % 3 + 1);
    CHECK(line.at("width") == (i < 3 ? 32 : 64));
    CHECK(line.at("height") == (i < 3 ? 24 : 48));
    CHECK(line.at("content").size() == 2);
    CHECK(line.at("style").size() == 1);
    CHECK(line.at("seconds").get<double>() >= seconds);
    seconds = line.at("seconds");
    const double content =
        (line.at("content").at("relu3_1").get<double>() + line.at("content").at("relu4_2").get<double>()) / 2;
    const double loss =
        0.05 * content + line.at("style").at("relu1_1").get<double>() + 0.1 * line.at("tv").get<double>();
    CHECK(line.at("loss").get<double>() == Approx(loss).epsilon(1e-6));
  }
  CHECK(text.rfind("{\"scale\":0,\"iteration\":1,\"width\":32,\"height\":24,\"loss\":", 0) == 0);
}

TEST_CASE("the numbers of a trace are the shortest that read back, as in the progress lines") {
  const CliFolder folder;
  const auto progress = json_lines(
      require_render(folder, {"-o", "x.png", "--iterations", "3", "--trace", "t", "--progress", "json"}).err);
  const auto trace = lines_of(folder.read("t"));
  REQUIRE(trace.size() == 3);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    INFO(trace[i]);
    CHECK(Json::parse(trace[i]).at("loss") == progress[i + 1].at("loss"));
    for (std::size_t at = trace[i].find(':'); at != std::string::npos; at = trace[i].find(':', at + 1)) {
      const std::string number = trace[i].substr(at + 1, trace[i].find_first_of(",}", at) - at - 1);
      if (number.front() != '{') CHECK(number == format_number(std::stod(number)));
    }
  }
}

TEST_CASE("an option that is given wins over the preset, in whatever order") {
  const CliFolder folder;
  const auto loss_names = [&](const std::vector<std::string>& words) {
    require_render(folder, words);
    return json_lines(folder.read("t")).size();
  };
  CHECK(loss_names({"-o", "x.png", "--overwrite", "--trace", "t", "--iterations", "2", "--preset",
                    "gatys-notebook"}) == 2);
  CHECK(loss_names({"-o", "x.png", "--overwrite", "--trace", "t", "--preset", "gatys-notebook",
                    "--iterations", "2"}) == 2);
  const std::string one = folder.read("x.png");
  CHECK_THAT(one, ContainsSubstring("--preset=gatys-notebook"));
  CHECK_THAT(one, ContainsSubstring("--history=100"));
  CHECK(loss_names(
            {"-o", "x.png", "--overwrite", "--trace", "t", "--iterations", "9", "--iterations", "2"}) == 2);
}

TEST_CASE("a picture carries the command that repeats it") {
  const CliFolder folder;
  require_render(folder,
                 {"-o", "x.png", "--iterations", "2", "--style-weight", "3", "--clamp", "--tv", "l1"});
  const std::string first = folder.read("x.png");
  const std::size_t begin = first.find("impasto render ");
  REQUIRE(begin != std::string::npos);
  std::string command = first.substr(begin, first.find(" # ", begin) - begin);
  command.replace(0, 7, std::string("'") + IMPASTO_PROGRAM + "'");
  const ProcessResult again =
      run_process({"sh", "-c", command + " --overwrite --device cpu -q"}, folder.options());
  INFO(command << "\n" << again.err);
  CHECK(again.exit_code == 0);
  CHECK(folder.read("x.png") == first);
}

TEST_CASE("progress as JSON lines ends with what was counted, which is what the plan says") {
  const CliFolder folder;
  const std::vector<std::string> same{"--size", "64", "--scales", "2", "--iterations", "2"};
  std::vector<std::string> words{"-o", "x.png", "--progress", "json"};
  words.insert(words.end(), same.begin(), same.end());
  const auto lines = json_lines(require_render(folder, words).err);
  REQUIRE(lines.size() == 6);
  CHECK(lines.front().at("event") == "start");
  for (std::size_t i = 1; i < 5; ++i) {
    CHECK(lines[i].at("event") == "progress");
    CHECK(lines[i].at("num_scales") == 2);
    CHECK(lines[i].at("iterations") == 2);
    CHECK(lines[i].contains("seconds_left"));
  }
  const Json& end = lines.back();
  CHECK(end.at("event") == "end");
  CHECK(end.at("finished") == true);
  CHECK(end.at("output") == "x.png");

  std::vector<std::string> plan{"plan",     "content.png", "style.png", "--weights",
                                "random:1", "--device",    "cpu",       "--json"};
  plan.insert(plan.end(), same.begin(), same.end());
  const ProcessResult planned = folder.run(plan);
  REQUIRE(planned.exit_code == 0);
  const Json figures = Json::parse(planned.out);
  CHECK(figures.at("device_bytes") == end.at("counted_bytes"));
  CHECK(figures.at("device_bytes") == lines.front().at("plan").at("device_bytes"));
  REQUIRE(figures.at("scales").size() == 2);
  CHECK(figures.at("scales")[1].at("width") == 64);
  CHECK(figures.at("scales")[1].at("seconds") > 0);
}

TEST_CASE("plans for several budgets stand side by side") {
  const CliFolder folder;
  const auto plan = [&](const std::string& budgets) {
    return folder.run({"plan", "content.png", "style.png", "--weights", "random:1", "--size", "128",
                       "--scales", "1", "--device", "cpu", "--threads", "2", "--json", "--budgets", budgets});
  };
  const ProcessResult result = plan("1G,70M,1M");
  REQUIRE(result.exit_code == 0);
  const Json plans = Json::parse(result.out);
  REQUIRE(plans.size() == 3);
  CHECK(plans[0].at("scales")[0].at("way") == "at once");
  CHECK(plans[0].at("seconds") > 0);
  CHECK(plans[1].at("scales")[0].at("way") != "at once");
  CHECK(plans[1].at("device_bytes") <= 70 << 20);
  CHECK_FALSE(plans[2].contains("seconds"));
  for (const char* bad : {"1G,", "1G,,2G", "much", "1G;2G"}) CHECK(plan(bad).exit_code == 2);
}

TEST_CASE("a plan's table shows each scale and the peak") {
  const CliFolder folder;
  const ProcessResult result = folder.run(
      {"plan", "content.png", "style.png", "--weights", "random:1", "--size", "128", "--scales", "2"});
  CHECK(result.exit_code == 0);
  CHECK(result.err.empty());
  for (const char* text :
       {"64x48", "128x96", "device peak", "device budget", "scale 1: at once", "for all iterations"}) {
    CHECK_THAT(result.out, ContainsSubstring(text));
  }
  CHECK(folder.made().empty());
}

TEST_CASE("a bar is drawn when asked for, and -v shows the plan, and -q nothing") {
  const CliFolder folder;
  const ProcessResult bar = require_render(folder, {"-o", "x.png", "--iterations", "2", "--progress", "bar"});
  CHECK_THAT(bar.err, ContainsSubstring("\r32x24 ["));
  CHECK_THAT(bar.err, ContainsSubstring("1/2"));
  const ProcessResult verbose =
      require_render(folder, {"-o", "x.png", "--iterations", "1", "-v", "--progress", "none", "--overwrite"});
  CHECK_THAT(verbose.err, ContainsSubstring("device peak"));
  CHECK(require_render(folder, {"-o", "x.png", "--iterations", "1", "-q", "--overwrite"}).err.empty());
}

TEST_CASE("every output format is written, with alpha where it can be kept") {
  const CliFolder folder;
  folder.write_picture("content.png", 48, 36, 3, true);
  for (const char* name : {"x.png", "x.webp", "x.tif"}) {
    require_render(folder, {"-o", name, "--iterations", "1", "-q"});
    const Image picture = read_image(folder / name);
    REQUIRE(picture.has_alpha());
    CHECK(picture.alpha.front() == Approx(1).margin(0.01));
    CHECK(picture.alpha.back() == Approx(0.5).margin(0.01));
  }
  const ProcessResult jpeg = require_render(folder, {"-o", "x.jpg", "--iterations", "1", "--quality", "80"});
  CHECK_THAT(jpeg.err, ContainsSubstring("impasto: warning: output 'x.jpg'"));
  CHECK(!read_image(folder / "x.jpg").has_alpha());
  require_render(folder, {"-o", "y.png", "--iterations", "1", "--output-bits", "16"});
  CHECK(folder.read("y.png")[24] == 16);  // the header's bit depth
}

TEST_CASE("several styles are blended, and a picture can be the start") {
  const CliFolder folder;
  folder.write_picture("second.png", 30, 30, 11);
  const auto render = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"render",       "content.png", "style.png", "second.png",
                                   "--weights",    "random:1",    "--size",    "32",
                                   "--iterations", "2",           "-q",        "-o",
                                   "x.png",        "--overwrite", "--device",  "cpu"};
    words.insert(words.end(), more.begin(), more.end());
    const ProcessResult result = folder.run(words);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return read_image(folder / "x.png").rgb;
  };
  CHECK(render({}) == render({"--style-blend", "2,2"}));
  CHECK(render({}) != render({"--style-blend", "1,3"}));
  CHECK(render({}) == render({"--init", "content.png"}));
  CHECK(render({}) != render({"--init", "second.png"}));
}

TEST_CASE("weights that are not known are rendered with, and how they were understood is said") {
  const CliFolder folder;
  test::write_legacy(folder / "mine.h5", test::tiny_layers("vgg16"));
  const ProcessResult result =
      folder.run({"render", "content.png", "style.png", "-o", "x.png", "--weights", "mine.h5", "--size", "32",
                  "--iterations", "1", "--device", "cpu"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.err, ContainsSubstring("impasto: warning: weights 'mine.h5': unknown, taken for VGG-16"));
}

TEST_CASE("intermediate pictures are written beside the output") {
  const CliFolder folder;
  require_render(folder, {"-o", "x.png", "--iterations", "5", "--save-every", "2"});
  CHECK(folder.made() == std::set<std::string>{"x.png", "x-000002.png", "x-000004.png"});
  CHECK(read_image(folder / "x-000002.png").width == 32);
  CHECK(read_image(folder / "x-000002.png").rgb != read_image(folder / "x-000004.png").rgb);
}

TEST_CASE("intermediate pictures are numbered over scales of different length") {
  const CliFolder folder;
  const std::vector<std::string> job{
      "-o", "x.png",        "--size", "64",           "--scales", "2", "--coarse-iterations",
      "1",  "--iterations", "3",      "--save-every", "2"};
  require_render(folder, job);
  CHECK(folder.made() == std::set<std::string>{"x.png", "x-000002.png", "x-000004.png"});
  CHECK(read_image(folder / "x-000002.png").width == 64);
}

TEST_CASE("a tolerance ends scales early, which every count of evaluations says") {
  const CliFolder folder;
  const std::vector<std::string> job{"-o", "x.png",        "--size", "64",          "--scales",
                                     "2",  "--iterations", "22",     "--tolerance", "0.9999"};
  std::vector<std::string> words = job;
  words.insert(words.end(),
               {"--trace", "t", "--progress", "json", "--checkpoint", "c", "--save-every", "11"});
  const auto progress = json_lines(require_render(folder, words).err);
  const auto trace = json_lines(folder.read("t"));
  REQUIRE(trace.size() == 22);  // the eleventh evaluation of each scale is the first that may end it
  REQUIRE(progress.size() == 24);
  for (std::size_t i = 0; i < trace.size(); ++i) {
    CHECK(trace[i].at("scale") == i / 11);
    CHECK(trace[i].at("iteration") == i % 11 + 1);
    CHECK(progress[i + 1].at("iteration") == i % 11 + 1);
    CHECK(progress[i + 1].at("iterations") == 22);
  }
  CHECK(progress[21].at("seconds_left") > 0);
  CHECK(progress[22].at("seconds_left") == 0);
  CHECK(progress[23].at("finished") == true);
  const std::string picture = folder.read("x.png");
  CHECK_THAT(picture, ContainsSubstring("--tolerance=0.9999"));
  // Numbered as if the first scale had done all of its iterations.
  CHECK(folder.made() == std::set<std::string>{"x.png", "t", "c", "x-000011.png", "x-000033.png"});
  CHECK_THAT(folder.read("x-000033.png"), ContainsSubstring("11 of at most 22 iterations at scale 2 of 2"));

  // The checkpoint is of the evaluation that ended the last scale: nothing is left to do.
  CHECK(load_checkpoint(folder / "c").best_losses.size() == 11);
  words = job;
  words.insert(words.end(), {"--resume", "c", "--trace", "t", "--overwrite"});
  require_render(folder, words);
  CHECK(lines_of(folder.read("t")).size() == 22);
  CHECK(folder.read("x.png") == picture);
  words = job;
  words.emplace_back("--overwrite");
  const auto lines = lines_of(require_render(folder, words).err);
  CHECK_THAT(lines.back(), ContainsSubstring(", 22 iterations in "));
}

TEST_CASE("a tolerance that is no share is a usage error") {
  const CliFolder folder;
  for (const char* bad : {"-0.1", "nan", "1", "little"}) {
    require_failure(
        folder, CliFolder::render({"-o", "x.png", std::string("--tolerance=") + bad}), 2,
        "option --tolerance: expected a number from 0 to below 1, found '" + std::string(bad) + "'");
  }
}

TEST_CASE("names that look like options or hold spaces and quotes are only names") {
  const CliFolder folder;
  folder.write_picture("a 'b'.png", 48, 36, 3);
  const ProcessResult result = folder.run({"render", "-o", "-x y.png", "--weights", "random:1", "--size",
                                           "32", "--iterations", "1", "-q", "--", "a 'b'.png", "style.png"});
  INFO(result.err);
  CHECK(result.exit_code == 0);
  CHECK(folder.made().count("-x y.png") == 1);
  CHECK_THAT(folder.read("-x y.png"), ContainsSubstring("'a '\\''b'\\''.png'"));
}

TEST_CASE("bench times every layer and a whole iteration") {
  const CliFolder folder;
  const ProcessResult result = folder.run(
      {"bench", "--sizes", "32", "--repeats", "1", "--json", "--device", "cpu", "--network", "vgg16"});
  REQUIRE(result.exit_code == 0);
  std::set<std::string> operations;
  for (const Json& row : Json::parse(result.out)) {
    CHECK(row.at("seconds").get<double>() > 0);
    operations.insert(row.at("operation"));
  }
  for (const char* name : {"conv1_1", "conv5_1", "gram relu5_1", "pool4", "iteration"})
    CHECK(operations.count(name) == 1);
}

TEST_CASE("selftest prints a row for each operation and its verdict is the exit code") {
  const CliFolder folder;
  const ProcessResult result = folder.run({"selftest", "--device", "cpu"});
  CHECK_THAT(result.out, ContainsSubstring("conv2d_forward"));
  CHECK(result.exit_code == (result.out.find("FAILED") == std::string::npos ? 0 : 1));
}

TEST_CASE(
    "selftest --gradient has a row for each term and each kind of direction, and says what is missing") {
  const CliFolder folder;
  const auto lines_for = [&](std::vector<std::string> more, int code) {
    std::vector<std::string> words{"selftest", "--gradient", "--device", "cpu", "--directions", "3"};
    words.insert(words.end(), more.begin(), more.end());
    const ProcessResult result = folder.run(words);
    INFO(result.out << result.err);
    CHECK(result.exit_code == code);
    return result.out + result.err;
  };
  const std::string small =
      lines_for({"--size", "32", "--content-layers", "relu2_1", "--style-layers", "relu1_1=2,conv2_1",
                 "--tv-weight", "0.1", "--style-blend", "1,2", "--scaling", "paper"},
                0);
  for (const char* const term : {"content relu2_1", "style relu1_1", "style conv2_1", "tv  ", "J  "}) {
    CHECK_THAT(small, ContainsSubstring(std::string("\n") + term));
  }
  CHECK_THAT(small, ContainsSubstring("32x24, 3 directions of each kind"));
  CHECK_THAT(small, ContainsSubstring("\n10 comparisons, 0 failed\n"));
  const std::string own = lines_for({"content.png", "style.png", "--size", "48", "--precision", "exact",
                                     "--content-layers", "relu2_1", "--style-layers", "relu1_1,relu2_1"},
                                    0);
  CHECK_THAT(own, ContainsSubstring("48x36, 3 directions"));
  CHECK_THAT(lines_for({"content.png"}, 2),
             ContainsSubstring("expected a photograph and a painting or none"));
  CHECK_THAT(lines_for({"--size", "max"}, 2),
             ContainsSubstring("option --size: expected a number of pixels"));
  CHECK_THAT(lines_for({"--all"}, 2), ContainsSubstring("option --all: expected without --gradient"));
  CHECK_THAT(lines_for({"--memory", "40M", "--size", "900"}, 4),
             ContainsSubstring("expected a render within"));
  const ProcessResult without = folder.run({"selftest", "--tv-weight", "1"});
  CHECK(without.exit_code == 2);
  CHECK_THAT(without.err, ContainsSubstring("option --tv-weight: expected with --gradient, found without"));
}

TEST_CASE("selftest with --autotune checks what is timed, and keeps it") {
  const CliFolder folder;
  ProcessOptions options = folder.options();
  options.environment.emplace_back("XDG_CACHE_HOME", (folder / "cache").string());
  const std::vector<std::string> job{"selftest", "--device", "cpu", "--autotune"};
  CHECK(run_process(CliFolder::command(job), options).exit_code == 0);
  CHECK(std::filesystem::exists(folder / "cache" / "impasto"));
}

TEST_CASE("ways of convolution are timed once, kept, recorded in a checkpoint, and used again") {
  const CliFolder folder;
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"-o", "x.png", "--overwrite", "--iterations", "2", "--autotune", "-v"});
    ProcessOptions options = folder.options();
    options.environment.emplace_back("XDG_CACHE_HOME", (folder / "cache").string());
    const ProcessResult result = run_process(CliFolder::command(CliFolder::render(more)), options);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    const std::size_t at = result.err.find("timed ");
    REQUIRE(at != std::string::npos);
    return std::stoi(result.err.substr(at + 6));
  };
  const int all = run({});
  CHECK(all > 20);
  const std::string picture = folder.read("x.png");
  const auto entry = std::filesystem::directory_iterator(folder / "cache" / "impasto");
  const std::string file = "cache/impasto/" + entry->path().filename().string(), kept = folder.read(file);
  CHECK_THAT(kept, ContainsSubstring("\nbackward ") && ContainsSubstring(" = F"));
  CHECK(run({"--checkpoint", "c", "--save-every", "1"}) == 0);
  CHECK(folder.read("x.png") == picture);
  const std::string recorded = load_checkpoint(folder / "c").device.at("tuning");
  CHECK_THAT(kept, ContainsSubstring(recorded.substr(0, recorded.find('\n'))));
  // A choice that is none, and a file of another processor.
  const std::size_t choice = kept.find(" = ") + 3;
  std::ofstream(folder / file) << kept.substr(0, choice) + "F5 own 1 1" +
                                      kept.substr(kept.find('\n', choice));
  CHECK(run({}) == 1);
  std::ofstream(folder / file) << "another\n" + kept.substr(kept.find('\n') + 1);
  CHECK(run({}) == all);
}
