#pragma once
// Work in a process of its own, forked from the test's.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <fstream>

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

}  // namespace impasto::testing
