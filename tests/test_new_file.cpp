// Files that appear whole or not at all, and whose they are while they are written.
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "engine/core/message.h"
#include "engine/core/new_file.h"
#include "tests/support/catch.h"
#include "tests/support/forked.h"
#include "tests/support/weights_files.h"

namespace {

using namespace impasto;
namespace fs = std::filesystem;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

std::string text_in(const fs::path& file) {
  const auto bytes = read_file(file.string(), file);
  return {bytes.begin(), bytes.end()};
}

void put(NewFile& file, const std::string& text) { file.write_at(0, text.data(), text.size()); }

void write(const fs::path& place, const std::string& text, Existing existing = Existing::kReplace) {
  NewFile file("words", place, existing);
  put(file, text);
  file.commit();
}

/// Runs in a process of its own, and kills it then: nothing is cleaned up.
void in_killed_process(const std::function<void()>& work) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    work();
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(pid, nullptr, 0);
}

unsigned mode_of(const fs::path& file) {
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("a new file appears with its name when it is whole, and nothing is left of one that is given up") {
  const test::TempFolder folder;
  {
    NewFile file("words", folder / "a");
    put(file, "one");
    CHECK(!fs::exists(folder / "a"));
    file.commit();
  }
  CHECK(text_in(folder / "a") == "one");
  {
    NewFile file("words", folder / "a");
    put(file, "two");
  }
  CHECK(text_in(folder / "a") == "one");
  write(folder / "a", "two");
  CHECK(text_in(folder / "a") == "two");
  CHECK(names_in(folder.path()) == std::set<std::string>{"a"});
}

TEST_CASE("a file that came meanwhile is kept where it is to be kept, and the new one lies beside it") {
  const test::TempFolder folder;
  for (const char* beside : {"a-new.txt", "a-new-2.txt"}) {
    NewFile file("words", folder / "a.txt", Existing::kKeep);
    put(file, "mine");
    std::ofstream(folder / "a.txt") << "theirs";
    CHECK_THROWS_WITH(file.commit(),
                      "words: expected no file there still, found one that came meanwhile; what was to go "
                      "there is in '" +
                          (folder / beside).string() + "'");
    CHECK(text_in(folder / "a.txt") == "theirs");
    CHECK(text_in(folder / beside) == "mine");
  }
  write(folder / "b.txt", "mine", Existing::kKeep);
  CHECK(names_in(folder.path()) == std::set<std::string>{"a.txt", "a-new.txt", "a-new-2.txt", "b.txt"});
}

TEST_CASE("a link that comes under the name of a new file is replaced, not followed") {
  const test::TempFolder folder;
  std::ofstream(folder / "victim") << "secret";
  NewFile file("words", folder / "a");
  put(file, "mine");
  fs::create_symlink("victim", folder / "a");
  file.commit();
  CHECK(text_in(folder / "victim") == "secret");
  CHECK(!fs::is_symlink(folder / "a"));
  CHECK(text_in(folder / "a") == "mine");
}

TEST_CASE("a replaced file hands on its permissions, a new one has the usual") {
  const test::TempFolder folder;
  const mode_t mask = ::umask(022);
  write(folder / "a", "one");
  CHECK(mode_of(folder / "a") == 0644);
  for (const mode_t mode : {0600, 0640, 0666}) {
    REQUIRE(::chmod((folder / "a").c_str(), mode) == 0);
    write(folder / "a", "two");
    CHECK(mode_of(folder / "a") == mode);
  }
  REQUIRE(::chmod((folder / "a").c_str(), 04755) == 0);
  write(folder / "a", "three");
  CHECK(mode_of(folder / "a") == 0755);  // not the rights of its owner
  ::umask(mask);
}

TEST_CASE("a place is one process's until it lets go of it or ends") {
  const test::TempFolder folder;
  const auto refused = [&] {  // as another process
    return testing::in_fork([&] {
      try {
        { const Claim claim("words", folder / "a"); }
        return 0;
      } catch (const Error& error) {
        const std::string expected = fmt::format(
            "words: expected to be the only one that writes it, found process {} at it", ::getppid());
        return error.what() == expected ? 3 : 1;
      }
    });
  };
  {
    const Claim claim("words", folder / "a");
    CHECK(claim.lock_file() == folder / ".a.lock");
    CHECK(refused() == 3);
    write(folder / "a", "one");  // the name is another file now
    CHECK(refused() == 3);
    const Claim other("words", folder / "b");
  }
  CHECK(refused() == 0);
  CHECK(names_in(folder.path()) == std::set<std::string>{"a"});
  in_killed_process([&] { new Claim("words", folder / "a"); });
  CHECK(names_in(folder.path()) == std::set<std::string>{"a", ".a.lock"});
  CHECK(refused() == 0);
  CHECK(names_in(folder.path()) == std::set<std::string>{"a"});
}

TEST_CASE("what killed processes left goes with the next claim, and nothing else does") {
  const test::TempFolder folder;
  const std::string left = ".impasto-01234567-a.tmp", other = ".impasto-01234567-b.tmp",
                    held = ".impasto-89abcdef-a.tmp", no_file = ".impasto-0123456x-a.tmp",
                    linked = ".impasto-00000000-a.tmp", numbered = ".impasto-01234567-a-000050.tmp";
  for (const std::string& name : {left, other, held, no_file, numbered})
    std::ofstream(folder / name) << "part";
  fs::create_symlink(other, folder / linked);
  const Descriptor holder = Descriptor::open(folder / held, Access::kRead);
  REQUIRE(::flock(holder.number(), LOCK_EX) == 0);
  { const Claim claim("words", folder / "a"); }
  CHECK(names_in(folder.path()) == std::set<std::string>{other, held, no_file, linked});
  in_killed_process([&] {
    auto* const file = new NewFile("words", folder / "c");
    put(*file, "part");
  });
  { const Claim claim("words", folder / "c"); }
  CHECK(names_in(folder.path()) == std::set<std::string>{other, held, no_file, linked});
}

TEST_CASE("what is planted under the name of a lock is neither followed nor written to nor removed") {
  const test::TempFolder folder;
  std::ofstream(folder / "victim") << "secret";
  fs::create_symlink("victim", folder / ".a.lock");
  CHECK_THROWS_WITH(Claim("words", folder / "a"), ContainsSubstring("something else of that name"));
  fs::remove(folder / ".a.lock");
  REQUIRE(::mkfifo((folder / ".a.lock").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(Claim("words", folder / "a"), ContainsSubstring("something else of that name"));
  fs::remove(folder / ".a.lock");
  fs::create_hard_link(folder / "victim", folder / ".a.lock");
  CHECK_THROWS_WITH(Claim("words", folder / "a"), ContainsSubstring("something else of that name"));
  fs::remove(folder / ".a.lock");
  std::ofstream(folder / ".a.lock") << "a letter";
  CHECK_THROWS_WITH(Claim("words", folder / "a"), ContainsSubstring("something else of that name"));
  CHECK(text_in(folder / ".a.lock") == "a letter");
  CHECK(text_in(folder / "victim") == "secret");
}

TEST_CASE("names as long as names may be are claimed and written, and what does not fit is cut") {
  const test::TempFolder folder;
  const std::string name = std::string(251, 'x') + ".png";
  {
    const Claim claim("words", folder / name);
    write(folder / name, "one");
    CHECK_THROWS_AS(write(folder / name, "two", Existing::kKeep), KeptBeside);
  }
  CHECK(names_in(folder.path()) == std::set<std::string>{name, std::string(247, 'x') + "-new.png"});
}
