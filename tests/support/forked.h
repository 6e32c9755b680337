#pragma once
// Work in a process of its own, forked from the test's.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <fstream>
#include <functional>
#include <string>

#include "tests/support/catch.h"

namespace impasto::testing {

/// What `work` returned there; 99 if it threw. Fails the test if a signal ended it.
template <class Work>
[[nodiscard]] int in_fork(const Work& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      ::_exit(work());
    } catch (...) {
      ::_exit(99);
    }
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  INFO("status " << status);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/// From here on this process may map so many bytes more than it has.
[[nodiscard]] inline bool limit_memory(rlim_t bytes) {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0) return false;
  limit.rlim_cur = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + bytes;
  return ::setrlimit(RLIMIT_AS, &limit) == 0;
}

/// What `work` gives back, or the exception that it throws says, in a process that may map so many bytes more
/// than it has.
inline std::string said_with_memory(rlim_t bytes, const std::function<std::string()>& work) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  CHECK(in_fork([&] {
          if (!limit_memory(bytes)) return 1;
          std::string said;
          try {
            said = work();
          } catch (const std::exception& error) {
            said = error.what();
          }
          return ::write(ends[1], said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1;
        }) == 0);
  ::close(ends[1]);
  std::string said(4096, '\0');
  const ssize_t got = ::read(ends[0], said.data(), said.size());
  said.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  ::close(ends[0]);
  return said;
}

}  // namespace impasto::testing
