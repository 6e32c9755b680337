#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "engine/core/digest.h"
#include "engine/core/error.h"
#include "engine/options/option_table.h"
#include "engine/options/options.h"
#include "engine/style/checkpoint.h"
#include "tests/support/catch.h"

using namespace impasto;
namespace fs = std::filesystem;

namespace {

/// An empty folder that goes with the test.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("impasto_checkpoint_" + std::to_string(::getpid()))) {
    fs::remove_all(path_);
    fs::create_directory(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  [[nodiscard]] fs::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] long num_files() const {
    return static_cast<long>(std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }

 private:
  fs::path path_;
};

template <class T>
Checkpoint::Tensor tensor(const std::string& name, Shape shape, DType dtype, T first) {
  Checkpoint::Tensor t{name, shape, dtype, {}};
  t.data.resize(static_cast<std::size_t>(shape.elements()) * sizeof(T));
  for (std::int64_t i = 0; i < shape.elements(); ++i) {
    const T value = first + static_cast<T>(i) / 3;
    std::memcpy(t.data.data() + static_cast<std::size_t>(i) * sizeof(T), &value, sizeof(T));
  }
  return t;
}

Checkpoint example() {
  Checkpoint c;
  c.options = describe(make_preset("impasto"));
  c.inputs = {{"content", "3f7a"}, {"style 1", "00"}, {"init", ""}, {"weights", "é \"\\"}};
  c.device = {{"tuning", "forward 3x3 = F4 own 8 8\nbackward 3x3 = F2 own 4 4\n"},
              {"gradient_scale", "0.125"}};
  c.scale = 2;
  c.iteration = 41;
  c.seconds = 0.1 + 0.2;
  c.host_state = {1.0 / 3, -0.0, 5e-324, std::numeric_limits<double>::infinity(), NAN, 1e308};
  c.best_losses = {std::numeric_limits<double>::infinity(), 0.1 + 0.2, 0.3};
  // Not in the order of their names: the order is kept, but that the wider types come first.
  c.tensors = {tensor<double>("state", {1, 1, 7}, DType::kFloat64, -1.0),
               tensor<float>("x", {3, 5, 3}, DType::kFloat32, 1e-40F),
               tensor<float>("history", {22, 1, 45}, DType::kFloat32, NAN)};
  return c;
}

void require_equal(const Checkpoint& a, const Checkpoint& b) {
  CHECK(a.options == b.options);
  CHECK(a.inputs == b.inputs);
  CHECK(a.device == b.device);
  CHECK(a.scale == b.scale);
  CHECK(a.iteration == b.iteration);
  CHECK(a.seconds == b.seconds);
  REQUIRE(a.host_state.size() == b.host_state.size());
  CHECK(std::equal(a.host_state.begin(), a.host_state.end(), b.host_state.begin(), [](double u, double v) {
    return std::bit_cast<std::uint64_t>(u) == std::bit_cast<std::uint64_t>(v);
  }));
  CHECK(a.best_losses == b.best_losses);
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    CHECK(a.tensors[i].name == b.tensors[i].name);
    CHECK(a.tensors[i].shape == b.tensors[i].shape);
    CHECK(a.tensors[i].dtype == b.tensors[i].dtype);
    CHECK(a.tensors[i].data == b.tensors[i].data);
  }
}

std::string bad_input(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kBadInput);
    return error.what();
  }
  return "no error";
}
std::string load_error(const fs::path& path) {
  return bad_input([&] { static_cast<void>(load_checkpoint(path)); });
}

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// A file of this header, whose digest is made right if it has one.
std::string sealed(std::string header, const std::string& data) {
  const std::string name = "\"sha256\":\"";
  const std::size_t at = header.find(name), digits = 64;
  const bool has_digest = at != std::string::npos && header.size() - at >= name.size() + digits;
  if (has_digest) header.replace(at + name.size(), digits, std::string(digits, '0'));
  const std::uint64_t length = header.size();
  header.insert(0, std::string(reinterpret_cast<const char*>(&length), sizeof length));
  std::string whole = header + data;
  if (!has_digest) return whole;
  Sha256 digest;
  digest.update(whole);
  whole.replace(sizeof length + at + name.size(), digits, digest.hex());
  return whole;
}

}  // namespace

TEST_CASE("a checkpoint reads back with the same bits") {
  const Folder folder;
  const Checkpoint saved = example();
  save_checkpoint(folder / "a.checkpoint", saved);
  require_equal(load_checkpoint(folder / "a.checkpoint"), saved);
  Checkpoint other_order = saved;
  std::swap(other_order.tensors[0], other_order.tensors[1]);
  save_checkpoint(folder / "a.checkpoint", other_order);
  require_equal(load_checkpoint(folder / "a.checkpoint"), saved);
  Checkpoint small;
  save_checkpoint(folder / "a.checkpoint", small);  // over the old one
  require_equal(load_checkpoint(folder / "a.checkpoint"), small);
  CHECK(folder.num_files() == 1);
}

TEST_CASE("a device's choices of many layers and sizes are kept whole") {
  const Folder folder;
  Checkpoint c = example();
  while (c.device["tuning"].size() < 100'000) c.device["tuning"] += "forward 3x3 = F4 own 8 8\n";
  save_checkpoint(folder / "c.checkpoint", c);
  CHECK(load_checkpoint(folder / "c.checkpoint").device == c.device);
}

TEST_CASE("a checkpoint written by another program to the described format is read") {
  const Checkpoint c = load_checkpoint(std::string(IMPASTO_TEST_DATA) + "/checkpoint/sound.checkpoint");
  CHECK(c.scale == 1);
  CHECK(c.iteration == 7);
  CHECK(c.seconds == 0.1);
  CHECK(c.options == std::map<std::string, std::string>{{"content-weight", "0.05"}});
  CHECK(c.inputs == std::map<std::string, std::string>{{"style 1", "abc"}});
  CHECK(c.host_state == std::vector<double>{1.5, std::numeric_limits<double>::infinity()});
  CHECK(c.best_losses.empty());
  REQUIRE(c.tensors.size() == 2);
  CHECK(c.tensors[0].name == "a state");
  CHECK(c.tensors[0].dtype == DType::kFloat64);
  CHECK(c.tensors[1].name == "x");
  CHECK(c.tensors[1].shape == Shape{2, 4, 3});
  float last = 0;
  std::memcpy(&last, c.tensors[1].data.data() + 23 * 4, 4);
  CHECK(last == 23);
}

TEST_CASE("every hostile checkpoint is refused, though its digest is right") {
  const fs::path folder = std::string(IMPASTO_TEST_DATA) + "/checkpoint";
  const auto refusals = nlohmann::json::parse(read_bytes(folder / "refusals.json"));
  CHECK(refusals.size() == 59);
  for (const auto& [name, refusal] : refusals.items()) {
    const fs::path path = folder / (name + ".checkpoint");
    CHECK(load_error(path) == path.string() + ": " + refusal.get<std::string>());
  }
}

TEST_CASE(
    "two thousand mutants, those of the header with a right digest, are loaded or refused in one line") {
  const Folder folder;
  const fs::path path = folder / "a.checkpoint";
  save_checkpoint(path, example());
  const std::string sound = read_bytes(path);
  constexpr std::size_t kLengthBytes = 8;
  std::uint64_t length = 0;
  std::memcpy(&length, sound.data(), kLengthBytes);
  const std::string data = sound.substr(kLengthBytes + length);
  std::mt19937 random(1);
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  // What a header is made of, and numbers at the ends of their types.
  std::istringstream words(
      R"({ } [ ] , : " 0 -1 1e9 18446744073709551615 9223372036854775808 4294967296 null true \ \u0000
         F64 F32 shape x state host/state __metadata__)");
  std::vector<std::string> parts{std::istream_iterator<std::string>(words), {}};
  parts.insert(parts.end(), {" ", "\n", "\xff"});
  int loaded = 0, refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string mutant = sound;
    if (i % 4 == 0) {
      mutant[below(mutant.size())] ^= static_cast<char>(1 << below(8));
    } else if (i % 4 == 1) {
      mutant.resize(below(mutant.size()));
    } else {
      std::string header = sound.substr(kLengthBytes, length);
      for (std::size_t changes = 1 + below(2); changes > 0; --changes) {
        const std::size_t at = below(header.size()), n = below(3) == 0 ? below(40) : below(4);
        const std::string part =
            below(2) == 0 ? parts[below(parts.size())] : header.substr(below(header.size()), n);
        header.replace(at, n, part);
      }
      mutant = sealed(header, data);
    }
    write_bytes(path, mutant);
    try {
      static_cast<void>(load_checkpoint(path));
      ++loaded;
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kBadInput);
      CHECK_THAT(std::string(error.what()),
                 ContainsSubstring("a.checkpoint: expected ") && !ContainsSubstring("\n"));
      ++refused;
    }
  }
  CHECK(loaded > 50);  // of changed names and texts: the digest was right
  CHECK(refused > 1000);
}

TEST_CASE("a checkpoint cut short or damaged at any place is refused") {
  const Folder folder;
  const fs::path path = folder / "a.checkpoint";
  save_checkpoint(path, example());
  const std::string bytes = read_bytes(path);
  for (std::size_t size = 0; size < bytes.size(); size += size < 600 ? 37 : 997) {
    write_bytes(path, bytes.substr(0, size));
    INFO("cut to " << size);
    CHECK_THAT(load_error(path), ContainsSubstring("a.checkpoint: expected"));
  }
  for (std::size_t at = 0; at < bytes.size(); at += at < 600 ? 13 : 499) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_bytes(path, damaged);
    INFO("damaged at " << at);
    CHECK_THAT(load_error(path), ContainsSubstring("a.checkpoint: expected"));
  }
  write_bytes(path, bytes + "x");
  CHECK_THAT(load_error(path), ContainsSubstring("damaged or cut short"));
  write_bytes(path, bytes);
  CHECK_NOTHROW(load_checkpoint(path));
}

TEST_CASE("what is no checkpoint is refused by name") {
  const Folder folder;
  CHECK_THAT(load_error(folder / "none"),
             ContainsSubstring("none: expected a checkpoint, found No such file"));
  CHECK_THAT(load_error(folder / "."), ContainsSubstring("no regular file"));
  CHECK_THAT(load_error("/dev/null"), ContainsSubstring("no regular file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THAT(load_error(folder / "pipe"), ContainsSubstring("no regular file"));
  write_bytes(folder / "b", "\x89PNG\r\n\x1a\n");
  CHECK_THAT(load_error(folder / "b"), ContainsSubstring("b: expected a checkpoint, found a PNG picture"));
  write_bytes(folder / "c", "");
  CHECK_THAT(load_error(folder / "c"), ContainsSubstring("c: expected a checkpoint, found an empty file"));
  write_bytes(folder / "d", "\x01\x02\x03");
  CHECK_THAT(load_error(folder / "d"), ContainsSubstring("d: expected a checkpoint, found another file"));
}

TEST_CASE("a checkpoint that cannot be written leaves the old one and nothing else") {
  const Folder folder;
  CHECK_THAT(bad_input([&] { save_checkpoint(folder / "no/such", example()); }),
             ContainsSubstring("such: expected a folder '") && ContainsSubstring("no', found none"));
  fs::create_directory(folder / "taken");
  CHECK_THAT(bad_input([&] { save_checkpoint(folder / "taken", example()); }),
             ContainsSubstring("taken: expected a file, found a folder"));
  CHECK(folder.num_files() == 1);

  save_checkpoint(folder / "a", example());
  Checkpoint wrong = example();
  wrong.tensors[1].data.pop_back();
  CHECK_THROWS_AS(save_checkpoint(folder / "a", wrong), Error);
  wrong = example();
  wrong.tensors[0].name = wrong.tensors[1].name;
  CHECK_THROWS_AS(save_checkpoint(folder / "a", wrong), Error);
  wrong = example();
  wrong.options["size"] = std::string(100'000, '1');
  CHECK_THROWS_AS(save_checkpoint(folder / "a", wrong), Error);
  for (const auto& spoil : std::vector<std::function<void(Checkpoint&)>>{
           [](Checkpoint& c) { c.iteration = -1; }, [](Checkpoint& c) { c.scale = 64; },
           [](Checkpoint& c) { c.seconds = NAN; }, [](Checkpoint& c) { c.iteration = INT64_MAX; }}) {
    wrong = example();
    spoil(wrong);
    CHECK_THROWS_WITH(save_checkpoint(folder / "a", wrong), ContainsSubstring("checkpoint: expected "));
  }
  require_equal(load_checkpoint(folder / "a"), example());
  CHECK(folder.num_files() == 2);
}

TEST_CASE("a disk without room is said so and leaves the old file") {
  const Folder folder;
  save_checkpoint(folder / "a", Checkpoint{});
  // A limit on the size of files stands for the full disk.
  struct rlimit before {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit limit { 100'000, before.rlim_max };
  ::setrlimit(RLIMIT_FSIZE, &limit);
  Checkpoint large = example();
  large.tensors.push_back(tensor<float>("large", {100, 100, 3}, DType::kFloat32, 0));
  const std::string message = bad_input([&] { save_checkpoint(folder / "a", large); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  CHECK_THAT(message, ContainsSubstring("a: expected room for"));
  require_equal(load_checkpoint(folder / "a"), Checkpoint{});
  CHECK(folder.num_files() == 1);
}

TEST_CASE("a checkpoint behind a symbolic link is replaced where it lies") {
  const Folder folder;
  save_checkpoint(folder / "real", Checkpoint{});
  fs::create_symlink("real", folder / "link");
  save_checkpoint(folder / "link", example());
  CHECK(fs::is_symlink(folder / "link"));
  require_equal(load_checkpoint(folder / "real"), example());
}

TEST_CASE("a run is continued only with what it was made with") {
  const Checkpoint c = example();
  CHECK_NOTHROW(require_same_run(c, c.options, c.inputs));
  auto options = c.options;
  options["content-weight"] = "0.1";
  CHECK(bad_input([&] { require_same_run(c, options, c.inputs); }) ==
        "checkpoint: option --content-weight: expected 0.004 (made with), found 0.1");
  auto inputs = c.inputs;
  inputs["style 1"] = "ff";
  CHECK(bad_input([&] { require_same_run(c, c.options, inputs); }) ==
        "checkpoint: style 1: expected 00 (made with), found ff");
  inputs = c.inputs;
  inputs["style 2"] = "ff";
  CHECK(bad_input([&] { require_same_run(c, c.options, inputs); }) ==
        "checkpoint: style 2: expected none (made with), found ff");
  inputs.erase("style 2");
  inputs.erase("content");
  CHECK(bad_input([&] { require_same_run(c, c.options, inputs); }) ==
        "checkpoint: content: expected 3f7a (made with), found none");
}

TEST_CASE("a checkpoint from before an option is continued where the option is off") {
  const std::array<std::array<std::string, 3>, 2> later{
      {{"tolerance", "0", "0.01"}, {"grain", "result", "style"}}};
  CHECK(std::count_if(option_table().begin(), option_table().end(), [](const StyleOption& o) {
          return !o.off.empty();
        }) == static_cast<std::ptrdiff_t>(later.size()));
  for (const auto& [name, off, on] : later) {
    Checkpoint c = example();
    auto options = c.options;
    c.options.erase(name);
    options[name] = off;
    CHECK_NOTHROW(require_same_run(c, options, c.inputs));
    options[name] = on;
    CHECK(bad_input([&] { require_same_run(c, options, c.inputs); }) ==
          "checkpoint: option --" + name + ": expected " + off + " (made with), found " + on);
  }
  Checkpoint c = example();
  const auto options = c.options;
  c.options.erase("handover");  // every checkpoint that can be resumed has it
  CHECK_THAT(bad_input([&] { require_same_run(c, options, c.inputs); }), ContainsSubstring("--handover"));
}
