// A batch through the program: what its manifest may say, what is left out, what fails, and how it goes on.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/catch.h"
#include "tests/support/cli.h"

using namespace impasto;
using namespace impasto::testing;

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

using Words = std::vector<std::string>;

/// The least of a render of each entry.
Words batch(const Words& more) {
  Words words{"batch", "--weights",        "random-vgg16:1", "--size",         "32",      "--device",
              "cpu",   "--content-layers", "relu1_1",        "--style-layers", "relu1_1", "--iterations",
              "3"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// The same picture by `render`.
Words single(const std::string& content, const std::string& style, const Words& more) {
  Words words = batch({});
  words[0] = "render";
  words.insert(words.begin() + 1, {content, style});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

struct Line {
  std::string output;
  Json options = Json::object();
  std::string content = "content.png", style = "style.png";
};

void write_manifest(const CliFolder& folder, const std::vector<Line>& lines) {
  std::ofstream file(folder / "m.jsonl");
  for (const Line& line : lines) {
    Json object{{"content", line.content}, {"style", line.style}, {"output", line.output}};
    object.update(line.options);
    file << object.dump() << "\n";
  }
}

std::vector<Line> numbered(int count) {
  std::vector<Line> lines;
  for (int i = 0; i < count; ++i) {
    lines.push_back({std::to_string(i) + ".png", {{"seed", i}, {"init", "noise"}}});
  }
  return lines;
}

std::vector<Json> objects(const std::string& text) {
  std::vector<Json> all;
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with('{')) all.push_back(Json::parse(line));
  }
  return all;
}

Json last_event(const ProcessResult& result) {
  Json last;
  for (const Json& object : objects(result.err)) {
    if (object.at("event") == "end") last = object;
  }
  return last;
}

/// Of the report, by output; each stands there once.
std::map<std::string, Json> report_of(const CliFolder& folder) {
  std::map<std::string, Json> lines;
  for (const Json& line : objects(folder.read("r.jsonl"))) {
    const std::string output = line.at("output");
    CHECK(lines.insert({output, line}).second);
  }
  return lines;
}

ProcessResult require_exit(const CliFolder& folder, const Words& words, int code) {
  ProcessResult result = folder.run(words);
  INFO(result.err);
  CHECK(result.exit_code == code);
  CHECK(result.out.empty());
  return result;
}

/// No temporary file, lock or checkpoint is there.
void require_nothing_hidden(const CliFolder& folder) {
  for (const std::string& name : folder.made()) {
    INFO(name);
    CHECK_FALSE(name.starts_with('.'));
  }
}

}  // namespace

TEST_CASE("a batch makes the bytes that single renders make, and skips what it or they made") {
  const CliFolder folder;
  folder.write_picture("b.png", 30, 44, 5);
  write_manifest(folder, {{"0.png", Json::object()},
                          {"1.jpg", {{"quality", 80}, {"size", 40}}},
                          {"2.png", {{"init", "noise"}, {"seed", 4}, {"output-bits", 16}}},
                          {"3.webp", {{"style", {"style.png", "b.png"}}, {"style-blend", "2,1"}}},
                          {"4.tif", {{"init", "b.png"}}, "b.png"}});
  const ProcessResult result = require_exit(folder, batch({"m.jsonl", "--report", "r.jsonl"}), 0);
  CHECK_THAT(result.err, ContainsSubstring("impasto: 5 done, 0 skipped, 0 failed of 5 in "));
  fs::create_directory(folder / "single");
  const std::vector<std::string> names{"0.png", "1.jpg", "2.png", "3.webp", "4.tif"};
  const std::vector<Words> alone{
      single("content.png", "style.png", {"-o", "single/0.png"}),
      single("content.png", "style.png", {"-o", "single/1.jpg", "--quality", "80", "--size", "40"}),
      single("content.png", "style.png",
             {"-o", "single/2.png", "--init", "noise", "--seed", "4", "--output-bits", "16"}),
      single("content.png", "style.png", {"b.png", "-o", "single/3.webp", "--style-blend", "2,1"}),
      single("b.png", "style.png", {"-o", "single/4.tif", "--init", "b.png"})};
  for (const Words& words : alone) require_exit(folder, words, 0);
  for (const std::string& name : names) {
    INFO(name);
    CHECK(folder.read(name) == folder.read("single/" + name));
    CHECK(report_of(folder).at(name).at("status") == "done");
  }
  require_nothing_hidden(folder);
  for (const std::string& name : names) fs::rename(folder / ("single/" + name), folder / name);
  const Json end = last_event(require_exit(folder, batch({"m.jsonl", "--progress", "json"}), 0));
  CHECK(end.at("skipped") == 5);
}

TEST_CASE(
    "done is what has the same inputs and options; another file is kept, or replaced with --overwrite") {
  const CliFolder folder;
  write_manifest(folder, {{"0.png"}});
  require_exit(folder, batch({"m.jsonl"}), 0);
  const std::string first = folder.read("0.png");
  const auto skipped = [&](const Words& more) {
    Words words = batch({"m.jsonl", "--progress", "json", "--overwrite"});
    words.insert(words.end(), more.begin(), more.end());
    return last_event(require_exit(folder, words, 0)).at("skipped") == 1;
  };
  CHECK(skipped({"--threads", "1", "--memory", "1G", "--jobs", "1:1:1"}));  // no part of the result
  const ProcessResult refused = require_exit(folder, batch({"m.jsonl", "--seed", "1"}), 5);
  CHECK_THAT(refused.err,
             ContainsSubstring("failed with exit code 3: manifest 'm.jsonl' line 1: output '0.png': "
                               "expected no file there, or --overwrite"));
  CHECK(folder.read("0.png") == first);
  CHECK_FALSE(skipped({"--iterations", "2"}));
  CHECK(folder.read("0.png") != first);
  CHECK_FALSE(skipped({}));
  folder.write_picture("style.png", 40, 44, 9);
  CHECK_FALSE(skipped({}));
  folder.write_picture("content.png", 48, 36, 9);
  CHECK_FALSE(skipped({}));
  for (const bool there : {false, true}) CHECK(skipped({"--weights", "random-vgg16:2"}) == there);
}

TEST_CASE("a picture's recipe is read whatever bytes follow it in the file") {
  const CliFolder folder;
  write_manifest(folder, numbered(60));
  const Words words = batch({"m.jsonl", "--iterations", "1", "--progress", "json"});
  for (const char* how : {"done", "skipped"}) CHECK(last_event(require_exit(folder, words, 0)).at(how) == 60);
}

TEST_CASE("without metadata a hidden file says what a picture is made of") {
  const CliFolder folder;
  write_manifest(folder, {{"0.png"}});
  const Words words = batch({"m.jsonl", "--no-metadata", "--progress", "json", "--overwrite"});
  const auto status = [&] {
    const Json end = last_event(require_exit(folder, words, 0));
    return end.at("done") == 1 ? "done" : "skipped";
  };
  CHECK(status() == std::string("done"));
  CHECK(folder.made() == std::set<std::string>{"m.jsonl", "0.png", ".0.png.recipe"});
  CHECK(folder.read("0.png").find("random-vgg16") == std::string::npos);
  CHECK(status() == std::string("skipped"));
  const std::string picture = folder.read("0.png");
  fs::copy_file(folder / "content.png", folder / "0.png", fs::copy_options::overwrite_existing);
  CHECK(status() == std::string("done"));  // another picture came
  CHECK(folder.read("0.png") == picture);
  fs::remove(folder / ".0.png.recipe");
  CHECK(status() == std::string("done"));

  // Killed before the picture was there, and behind it: the recipe goes for another file than that one.
  std::istringstream in(folder.read(".0.png.recipe"));
  std::string recipe, goes_for, digest;
  in >> recipe >> goes_for >> digest;
  const auto announce = [&](const std::string& other_than) {
    std::ofstream(folder / ".0.png.recipe") << recipe << " other-than " << other_than << "\n";
  };
  announce(digest);
  CHECK(status() == std::string("done"));
  announce("none");
  CHECK(status() == std::string("skipped"));
}

TEST_CASE("what is wrong with one entry is its failure, told with its line, and the rest is done") {
  const CliFolder folder;
  std::ofstream(folder / "broken.png") << "no picture";
  const std::string files = R"("content":"content.png","style":"style.png")";
  std::ofstream(folder / "m.jsonl") << "{" << files << R"(,"output":"0.png"})"
                                    << "\n\n"
                                    << R"({"content":"broken.png","style":"style.png","output":"3.png"})"
                                    << "\n"
                                    << R"({"content":"none.png","style":"style.png","output":"4.png"})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"5.png","sice":3})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"6.png","size":[3]})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"7.png","iterations":-3})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"8.png","size":32,"size":32})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"./0.png"})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"style.png"})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"11.gif"})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"12.png","threads":1})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"13.png","checkpoint":"c"})"
                                    << "\n"
                                    << R"({"content":"content.png","style":[],"output":"14.png"})"
                                    << "\n"
                                    << R"({"content":3,"style":"style.png","output":"15.png"})"
                                    << "\n"
                                    << R"({"style":"style.png","output":"16.png"})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"17.png","overwrite":"yes"})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"18.png","style-layers":"relu9_1"})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"none/19.png"})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"20.png","memory":1000})"
                                    << "\n"
                                    << "{" << files << R"(,"output":"21.png"})";
  const std::string content = folder.read("content.png"), style = folder.read("style.png");
  const ProcessResult result = require_exit(folder, batch({"m.jsonl", "--report", "r.jsonl"}), 5);
  CHECK_THAT(last_line(result.err),
             ContainsSubstring("impasto: error: batch: expected every entry to be done, "
                               "found 18 of 20 that failed"));
  const std::map<int, std::pair<int, std::string>> expected{
      {3, {3, "broken.png"}},
      {4, {3, "content picture 'none.png': expected a readable file"}},
      {5, {2, "'sice': expected content, style, output or an option of a render"}},
      {6, {2, "option 'size': expected a text or a number, found array"}},
      {7, {2, "option --iterations: expected a whole number"}},
      {8, {2, "'size': expected it once, found it twice"}},
      {9, {2, "output './0.png': expected another file than the output of manifest 'm.jsonl' line 1"}},
      {10, {2, "output 'style.png': expected another file than the style picture of"}},
      {11, {2, ".gif"}},
      {12, {2, "option 'threads': expected one that an entry can have, found one of the whole batch"}},
      {13, {2, "option 'checkpoint': expected one that an entry can have, found one of `impasto render`"}},
      {14, {2, "'style': expected at least one file, found none"}},
      {15, {2, "'content': expected the name of a file, found number"}},
      {16, {2, "'content': expected a file, found none"}},
      {17, {2, "option 'overwrite': expected true or false, found string"}},
      {18, {2, "relu9_1"}},
      {19, {3, "expected a folder 'none', found none"}},
      {20, {4, "memory: expected a render within"}}};
  std::map<int, Json> lines;
  for (const Json& line : objects(folder.read("r.jsonl"))) lines[line.at("line")] = line;
  CHECK(lines.size() == 20);
  for (const auto& [line, code_and_text] : expected) {
    INFO(line << ": " << lines[line].dump());
    CHECK(lines[line].at("status") == "failed");
    CHECK(lines[line].at("exit_code") == code_and_text.first);
    const std::string error = lines[line].at("error");
    CHECK(error.starts_with("manifest 'm.jsonl' line " + std::to_string(line) + ": "));
    CHECK_THAT(error, ContainsSubstring(code_and_text.second));
    CHECK_THAT(result.err,
               ContainsSubstring("exit code " + std::to_string(code_and_text.first) + ": " + error));
  }
  for (const int line : {1, 21}) CHECK(lines[line].at("status") == "done");
  CHECK(lines[1].at("width") == 32);
  CHECK(lines[1].at("height") == 24);
  CHECK(lines[1].at("loss").is_number());
  CHECK(folder.made() == std::set<std::string>{"0.png", "21.png", "broken.png", "m.jsonl", "r.jsonl"});
  CHECK(folder.read("content.png") == content);
  CHECK(folder.read("style.png") == style);
}

TEST_CASE("what is no manifest, and a command line that makes no sense, end a batch before the work") {
  const CliFolder folder;
  require_failure(folder, batch({}), 2, "MANIFEST: expected it, or --contents and --styles, found neither");
  require_failure(folder, batch({"none.jsonl"}), 3, "manifest 'none.jsonl': expected a readable file");
  require_failure(folder, batch({"."}), 3, "manifest '.'");
  const auto refused = [&](const std::string& text, const std::string& message) {
    std::ofstream(folder / "m.jsonl") << text;
    require_failure(folder, batch({"m.jsonl"}), 3, message);
  };
  const std::string good = R"({"content":"content.png","style":"style.png","output":"0.png"})"
                           "\n";
  refused("", "manifest 'm.jsonl': expected at least one entry, found none");
  refused("\n \n", "expected at least one entry");
  refused(good + "content.png style.png x.png\n",
          "manifest 'm.jsonl' line 2: expected a JSON object, found an error");
  refused(good + "[1, 2]", "line 2: expected a JSON object, found array");
  refused(good + good.substr(0, 30), "line 2: expected a JSON object");
  refused(folder.read("content.png"), "line 1: expected a JSON object");
  refused(good + R"({"content":)" + std::string(100, '[') + std::string(100, ']') + "}", "line 2: ");
  std::ofstream(folder / "m.jsonl") << good;
  const auto misused = [&](const Words& more, int code, const std::string& message) {
    Words words = batch({"m.jsonl"});
    words.insert(words.end(), more.begin(), more.end());
    require_failure(folder, words, code, message);
  };
  misused({"--shard", "2/2"}, 2, "option --shard, i: expected an integer from 0 to 1, found '2'");
  misused({"--shard", "1"}, 2, "option --shard: expected i/n");
  misused({"--jobs", "1:2"}, 2, "option --jobs: expected auto or load:render:save");
  misused({"--device", "cpu,cpu"}, 2, "option --device: expected each device once, found cpu twice");
  misused({"--device", "gpu"}, 2, "gpu");
  misused({"--output", "x.png"}, 2, "option --output: expected it with --contents and --styles");
  misused({"--contents", "."}, 2, "MANIFEST: expected it, or --contents and --styles, found both");
  misused({"--report", "content.png"}, 2, "report 'content.png': expected another file");
  misused({"--weights", "none.h5", "--report", "r.jsonl"}, 3, "none.h5");
  std::ofstream(folder / "notes.txt") << "mine\n";
  misused({"--report", "notes.txt"}, 3, "report 'notes.txt': expected the report of a batch");
  CHECK(folder.read("notes.txt") == "mine\n");
}

TEST_CASE("two folders give every picture of the one in the style of every picture of the other") {
  const CliFolder folder;
  for (const char* name : {"c", "s"}) fs::create_directory(folder / name);
  folder.write_picture("c/a.png", 30, 24, 3);
  folder.write_picture("c/b.JPG.png", 24, 30, 5);
  folder.write_picture("s/x.png", 40, 40, 7);
  folder.write_picture("s/y.png", 40, 40, 9);
  std::ofstream(folder / "c/notes.txt") << "no picture";
  fs::copy_file(folder / "c/a.png", folder / "c/.hidden.png");
  fs::create_directory(folder / "out");
  const Words folders{"--contents", "c", "--styles", "s"};
  const auto words = [&](const std::string& output, const Words& more = {}) {
    Words all = batch(folders);
    all.insert(all.end(), {"-o", output});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  require_failure(folder, words("out/{content}.png"), 2, "option --output: expected {style} in it");
  require_failure(folder, batch(folders), 2, "option --output: expected it, found none");
  require_exit(folder, words("out/{content}-{style}.png"), 0);
  std::set<std::string> made;
  for (const auto& entry : fs::directory_iterator(folder / "out")) made.insert(entry.path().filename());
  CHECK(made == std::set<std::string>{"a-x.png", "a-y.png", "b.JPG-x.png", "b.JPG-y.png"});
  require_exit(folder, single("c/a.png", "s/y.png", {"-o", "a-y.png"}), 0);
  CHECK(folder.read("a-y.png") == folder.read("out/a-y.png"));
}

TEST_CASE("styles are measured once, however many renders go on at a time") {
  const CliFolder folder;
  folder.write_picture("other.png", 44, 40, 5);
  std::vector<Line> lines = numbered(10);
  for (std::size_t i = 0; i < lines.size(); i += 2) lines[i].style = "other.png";
  write_manifest(folder, lines);
  const Json end = last_event(
      require_exit(folder, batch({"m.jsonl", "--scales", "1", "--jobs", "2:3:2", "--progress", "json"}), 0));
  CHECK(end.at("done") == 10);
  CHECK(end.at("measured_styles") == 2);
}

TEST_CASE("the shards of a batch are its whole, each entry once, by option or by a scheduler's variables") {
  const CliFolder folder;
  write_manifest(folder, numbered(5));
  const auto shard = [&](const std::vector<std::pair<std::string, std::string>>& environment,
                         const Words& more) {
    ProcessOptions options = folder.options();
    options.environment.insert(options.environment.end(), environment.begin(), environment.end());
    Words words = CliFolder::command(batch({"m.jsonl", "--report", "r.jsonl"}));
    words.insert(words.end(), more.begin(), more.end());
    return run_process(words, options);
  };
  CHECK(shard({}, {"--shard", "0/3"}).exit_code == 0);
  CHECK(folder.made() == std::set<std::string>{"m.jsonl", "r.jsonl", "0.png", "3.png"});
  CHECK(shard({{"SLURM_ARRAY_TASK_ID", "5"}, {"SLURM_ARRAY_TASK_MIN", "4"}, {"SLURM_ARRAY_TASK_COUNT", "3"}},
              {})
            .exit_code == 0);
  CHECK(report_of(folder).size() == 4);
  CHECK(fs::exists(folder / "4.png"));
  CHECK(shard({{"JOB_COMPLETION_INDEX", "2"}, {"JOB_COMPLETIONS", "3"}}, {}).exit_code == 0);
  CHECK(report_of(folder).size() == 5);
  fs::remove(folder / "r.jsonl");
  CHECK(shard({{"PBS_ARRAY_INDEX", "2"}, {"PBS_ARRAY_COUNT", "2"}, {"PBS_ARRAY_FIRST", "1"}}, {}).exit_code ==
        0);
  CHECK(report_of(folder).size() == 2);  // skipped
  CHECK(shard({{"SLURM_ARRAY_TASK_ID", "5"}}, {"--shard", "0/1"}).exit_code == 0);
  const ProcessResult gap = shard(
      {{"SLURM_ARRAY_TASK_ID", "7"}, {"SLURM_ARRAY_TASK_MIN", "3"}, {"SLURM_ARRAY_TASK_COUNT", "2"}}, {});
  CHECK(gap.exit_code == 2);
  CHECK_THAT(gap.err, ContainsSubstring("SLURM_ARRAY_TASK_ID: expected a task of 2 that follow each other"));
  CHECK_THAT(shard({{"JOB_COMPLETION_INDEX", "2"}}, {}).err,
             ContainsSubstring("expected JOB_COMPLETIONS beside it"));
}

TEST_CASE("two batches at once share the work: no entry is rendered twice, and none fails for the other") {
  const CliFolder folder;
  write_manifest(folder, numbered(12));
  const Words words = CliFolder::command(batch({"m.jsonl", "--iterations", "12", "--report", "r.jsonl"}));
  Process first(words, folder.options()), second(words, folder.options());
  const ProcessResult one = first.wait(), other = second.wait();
  INFO(one.err << other.err);
  CHECK(one.exit_code == 0);
  CHECK(other.exit_code == 0);
  std::map<std::string, int> done, seen;
  for (const Json& line : objects(folder.read("r.jsonl"))) {
    ++seen[line.at("output")];
    if (line.at("status") == "done") ++done[line.at("output")];
  }
  CHECK(seen.size() == 12);
  for (const auto& [output, times] : seen) CHECK(times == 2);
  for (const auto& [output, times] : done) CHECK(times == 1);
  CHECK(done.size() == 12);
  require_nothing_hidden(folder);
}

TEST_CASE("SIGTERM keeps the state of what runs, and the same command ends with the bytes of one run") {
  const CliFolder folder;
  const Words more{"m.jsonl", "--size", "64", "--iterations", "600", "--tolerance", "0", "--jobs", "1:2:1"};
  write_manifest(folder, numbered(4));
  require_exit(folder, batch(more), 0);
  std::map<std::string, std::string> whole;
  for (const std::string name : {"0.png", "1.png", "2.png", "3.png"}) {
    whole[name] = folder.read(name);
    fs::remove(folder / name);
  }
  Words words = batch(more);
  words.insert(words.end(), {"--report", "r.jsonl", "--progress", "json"});
  Process process(CliFolder::command(words), folder.options());
  REQUIRE(process.wait_for_error_text("\"in_work\":"));
  process.send(SIGTERM);
  const ProcessResult result = process.wait();
  INFO(result.err);
  CHECK(result.exit_code == 75);
  CHECK_THAT(last_line(result.err),
             ContainsSubstring("batch: expected to finish, found an interruption with ") &&
                 ContainsSubstring("entries left; the same command goes on"));
  CHECK(folder.made().lower_bound(".0")->ends_with(".checkpoint"));
  require_exit(folder, words, 0);
  for (const auto& [name, bytes] : whole) {
    INFO(name);
    CHECK(folder.read(name) == bytes);
  }
  int done = 0;
  for (const Json& line : objects(folder.read("r.jsonl"))) done += line.at("status") == "done";
  CHECK(done == 4);
  require_nothing_hidden(folder);
}

TEST_CASE("a state that is there is gone on with where it fits, and replaced where it does not") {
  const CliFolder folder;
  write_manifest(folder, {{"0.png"}});
  const Words long_render = single("content.png", "style.png",
                                   {"-o", "x.png", "--iterations", "8", "--tolerance", "0", "--checkpoint",
                                    ".0.png.checkpoint", "--save-every", "5", "-q"});
  require_exit(folder, long_render, 0);  // its last state is that of iteration 5
  const std::string whole = folder.read("x.png");
  const auto state = folder.read(".0.png.checkpoint");
  const auto run = [&](const Words& more) {
    fs::remove(folder / "0.png");
    std::ofstream(folder / ".0.png.checkpoint", std::ios::binary) << state;
    Words words = batch({"m.jsonl", "--tolerance", "0", "--progress", "json"});
    words.insert(words.end(), more.begin(), more.end());
    const ProcessResult result = require_exit(folder, words, 0);
    CHECK_FALSE(fs::exists(folder / ".0.png.checkpoint"));
    return result;
  };
  CHECK(run({"--iterations", "8"}).err.find("warning") == std::string::npos);
  CHECK(read_image(folder / "0.png").rgb == read_image(folder / "x.png").rgb);
  const ProcessResult other = run({"--iterations", "9"});
  CHECK_THAT(other.err, ContainsSubstring("line 1: checkpoint: option --iterations") &&
                            ContainsSubstring("begun again"));
  const std::string nine = folder.read("0.png");
  for (const char* state_there : {"", "cut short"}) {
    fs::remove(folder / "0.png");
    std::ofstream(folder / ".0.png.checkpoint") << state_there;
    require_exit(folder, batch({"m.jsonl", "--iterations", "9", "--tolerance", "0"}), 0);
    CHECK(folder.read("0.png") == nine);
  }
}

TEST_CASE("a disk that is full for one picture fails that entry and leaves nothing half-written") {
  const CliFolder folder;
  write_manifest(folder, {{"large.png", {{"size", 256}, {"init", "noise"}}}, {"small.png", {{"size", 32}}}});
  ProcessOptions options = folder.options();
  options.file_size_limit = 20'000;
  const ProcessResult result = run_process(CliFolder::command(batch({"m.jsonl"})), options);
  INFO(result.err);
  CHECK(result.exit_code == 5);
  CHECK_THAT(result.err, ContainsSubstring("exit code 3: manifest 'm.jsonl' line 1: "));
  CHECK(folder.made() == std::set<std::string>{"m.jsonl", "small.png"});
  require_exit(folder, batch({"m.jsonl"}), 0);
}
