// The file of measured choices: shared by processes, in a folder of the user's own, and never in the way.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/backend/choice_cache.h"
#include "engine/core/environment.h"
#include "engine/core/message.h"
#include "tests/support/catch.h"

namespace fs = std::filesystem;
using namespace impasto;
using namespace std::chrono_literals;

namespace {

class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* held = std::getenv(name)) held_ = held;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() { held_ ? setenv(name_, held_->c_str(), 1) : unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> held_;
};

/// A home that is empty, and the cache in it.
class Home {
 public:
  [[nodiscard]] fs::path folder() const { return path_ / "cache" / "impasto"; }
  [[nodiscard]] fs::path file() const { return folder() / "convolutions-one_thing.txt"; }
  [[nodiscard]] const fs::path& path() const { return path_; }
  ~Home() { fs::remove_all(path_); }
  Home() = default;
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

 private:
  static fs::path make() {
    std::string name = (fs::temp_directory_path() / "impasto-home-XXXXXX").string();
    return mkdtemp(name.data());
  }
  fs::path path_ = make();
  Variable home_{"HOME", path_.string()}, cache_{"XDG_CACHE_HOME", (path_ / "cache").string()};
};

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void measure(const std::string& key, const std::string& choice) {
  ChoiceCache("one thing", true).keep(key, choice);
}

std::optional<std::string> measured(const std::string& key) {
  return ChoiceCache("one thing", true).measured(key);
}

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("twenty that measure at one time lose none of each other's choices") {
  const Home home;
  constexpr int kCaches = 20, kKeys = 3;
  std::vector<std::unique_ptr<ChoiceCache>> caches;  // each has read the empty file before any writes
  caches.reserve(kCaches);
  for (int i = 0; i < kCaches; ++i) caches.push_back(std::make_unique<ChoiceCache>("one thing", true, 0ms));
  std::vector<std::thread> threads;
  threads.reserve(kCaches);
  for (int i = 0; i < kCaches; ++i) {
    threads.emplace_back([&cache = *caches[static_cast<std::size_t>(i)], i] {
      for (int key = 0; key < kKeys; ++key) cache.keep(fmt::format("{} {}", i, key), std::to_string(i + key));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const ChoiceCache all("one thing", true);
  for (int i = 0; i < kCaches; ++i) {
    for (int key = 0; key < kKeys; ++key)
      CHECK(all.measured(fmt::format("{} {}", i, key)) == std::to_string(i + key));
  }
  CHECK(std::distance(fs::directory_iterator(home.folder()), fs::directory_iterator()) == 1);
}

TEST_CASE("choices are written when measuring ends, and before where a pause has passed") {
  const Home home;
  {
    ChoiceCache cache("one thing", true);
    cache.keep("a", "1");
    CHECK_FALSE(fs::exists(home.file()));
    cache.save();
    CHECK(text_of(home.file()) == "one thing\na = 1\n");
    cache.keep("b", "2");
    CHECK(text_of(home.file()) == "one thing\na = 1\n");
  }
  CHECK(text_of(home.file()) == "one thing\na = 1\nb = 2\n");
  ChoiceCache cache("one thing", true, 0ms);
  cache.keep("c", "3");
  CHECK(text_of(home.file()) == "one thing\na = 1\nb = 2\nc = 3\n");
}

TEST_CASE("a process keeps to the choices that it began with while others add theirs") {
  const Home home;
  ChoiceCache first("one thing", true);
  measure("b", "2");
  first.keep("a", "1");
  first.save();
  CHECK_FALSE(first.measured("b"));
  CHECK(measured("b") == "2");
}

TEST_CASE("files that are damaged, another's, huge or none count as empty and are written anew") {
  const Home home;
  fs::create_directories(home.folder());
  const auto stands = [&](const std::string& text) { std::ofstream(home.file()) << text; };
  SECTION("damaged") { stands("\x01\xff = \n"); }
  SECTION("of another thing") { stands("another thing\na = 1\n"); }
  SECTION("huge") {
    stands("one thing\na = 1\n");
    fs::resize_file(home.file(), std::uintmax_t{1} << 40);
  }
  SECTION("a pipe") { REQUIRE(::mkfifo(home.file().c_str(), 0600) == 0); }
  CHECK_FALSE(measured("a"));
  measure("b", "2");
  CHECK(text_of(home.file()) == "one thing\nb = 2\n");
}

TEST_CASE("nothing is read or written through a link in the cache folder") {
  const Home home;
  fs::create_directories(home.folder());
  const fs::path other = home.path() / "other";
  std::ofstream(other) << "one thing\na = 1\n";
  fs::create_symlink(other, home.file());
  CHECK_FALSE(measured("a"));
  measure("b", "2");
  CHECK(text_of(other) == "one thing\na = 1\n");
  CHECK(fs::symlink_status(home.file()).type() == fs::file_type::regular);
  CHECK(measured("b") == "2");
}

TEST_CASE("a cache folder that is a link is not used") {
  const Home home;
  const fs::path other = home.path() / "other";
  fs::create_directories(other);
  fs::create_directories(home.folder().parent_path());
  fs::create_symlink(other, home.folder());
  measure("a", "1");
  CHECK(fs::is_empty(other));
  CHECK_FALSE(measured("a"));
}

TEST_CASE("the cache folder is the user's alone, also one that others could write to") {
  const Home home;
  measure("a", "1");
  CHECK(mode_of(home.folder()) == 0700);
  fs::permissions(home.folder(), fs::perms(0777));
  measure("b", "2");
  CHECK(mode_of(home.folder()) == 0700);
  if (::geteuid() != 0) return;
  REQUIRE(::chown(home.folder().c_str(), 65534, 65534) == 0);  // another's
  measure("c", "3");
  CHECK_FALSE(measured("a"));
  CHECK(text_of(home.file()) == "one thing\na = 1\nb = 2\n");
}

TEST_CASE("a cache folder that cannot be made is no harm") {
  const Home home;
  std::ofstream(home.path() / "cache") << "a file";
  measure("a", "1");
  CHECK_FALSE(measured("a"));
}

TEST_CASE("folders of the environment that are relative count as not set") {
  const Home home;
  const Variable cache("XDG_CACHE_HOME", "cache");
  measure("a", "1");
  CHECK_FALSE(fs::exists("cache/impasto"));
  CHECK(fs::exists(home.path() / ".cache/impasto/convolutions-one_thing.txt"));
  CHECK(environment_folder("XDG_CACHE_HOME").empty());
  CHECK(environment_path("XDG_CACHE_HOME") == "cache");
  const Variable relative("HOME", "home");
  measure("b", "2");
  CHECK_FALSE(fs::exists("home"));
}
