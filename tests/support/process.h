#pragma once
// Runs a program as a user would: arguments, environment and limits in; exit code, standard output and
// standard error out. A program that does not end in time is killed, and its result says so.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace impasto::testing {

struct ProcessOptions {
  /// Set on top of this process's environment; an empty value unsets.
  std::vector<std::pair<std::string, std::string>> environment;
  std::string folder;               ///< to run in; empty: this process's
  long long file_size_limit = -1;   ///< bytes that a file may grow to (RLIMIT_FSIZE); -1: none
  double time_limit_seconds = 600;  ///< sanitizers on a slow machine take minutes
};

struct ProcessResult {
  int exit_code = -1;  ///< 128 + N if signal N ended it
  std::string out, err;
  bool timed_out = false;
};

class Process {
 public:
  Process(std::vector<std::string> arguments, const ProcessOptions& options = {})
      : deadline_(Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(options.time_limit_seconds))) {
    std::array<int, 2> out{}, err{};
    if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0) {
      throw std::runtime_error("process: no pipe");
    }
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("process: no fork");
    if (pid_ == 0) run_child(argv, options, out[1], err[1]);
    ::close(out[1]);
    ::close(err[1]);
    streams_ = {{{out[0], POLLIN, 0}, {err[0], POLLIN, 0}}};
  }
  ~Process() {
    if (!reaped_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    for (const pollfd& stream : streams_) {
      if (stream.fd >= 0) ::close(stream.fd);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t id() const { return pid_; }
  void send(int signal) const { ::kill(pid_, signal); }
  [[nodiscard]] bool running() {
    if (!reaped_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) reaped_ = true;
    return !reaped_;
  }
  /// Until standard error holds the text; false if the program ended or its time was up before.
  [[nodiscard]] bool wait_for_error_text(const std::string& text) {
    while (result_.err.find(text) == std::string::npos) {
      if (!read_some()) return result_.err.find(text) != std::string::npos;
    }
    return true;
  }
  [[nodiscard]] ProcessResult wait() {
    while (read_some()) {
    }
    while (running()) {
      if (Clock::now() > deadline_) {
        result_.timed_out = true;
        ::kill(pid_, SIGKILL);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    result_.exit_code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    return result_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  [[noreturn]] static void run_child(const std::vector<char*>& argv, const ProcessOptions& options, int out,
                                     int err) {
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
      std::signal(signal, SIG_DFL);  // a background job ignores SIGINT
    for (const auto& [name, value] : options.environment) {
      value.empty() ? ::unsetenv(name.c_str()) : ::setenv(name.c_str(), value.c_str(), 1);
    }
    if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) ::_exit(127);
    if (options.file_size_limit >= 0) {
      const auto bytes = static_cast<rlim_t>(options.file_size_limit);
      const rlimit limit{bytes, bytes};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ::execvp(argv.front(), argv.data());
    ::_exit(127);
  }

  /// Waits for output; false when both streams have ended or the time is up.
  bool read_some() {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    if (left <= 0 || (streams_[0].fd < 0 && streams_[1].fd < 0)) return false;
    if (::poll(streams_.data(), streams_.size(), static_cast<int>(left)) < 0) return errno == EINTR;
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      if (streams_[i].fd < 0 || streams_[i].revents == 0) continue;
      std::array<char, 65536> bytes{};
      const auto count = ::read(streams_[i].fd, bytes.data(), bytes.size());
      if (count > 0) {
        (i == 0 ? result_.out : result_.err).append(bytes.data(), static_cast<std::size_t>(count));
      } else {
        ::close(streams_[i].fd);
        streams_[i].fd = -1;  // poll leaves it out
      }
    }
    return true;
  }

  Clock::time_point deadline_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool reaped_ = false;
  std::array<pollfd, 2> streams_{};
  ProcessResult result_;
};

[[nodiscard]] inline ProcessResult run_process(std::vector<std::string> arguments,
                                               const ProcessOptions& options = {}) {
  return Process(std::move(arguments), options).wait();
}

}  // namespace impasto::testing
