#include "apps/interruption.h"

#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <string>
#include <string_view>

#include "apps/text.h"
#include "engine/core/error.h"

namespace impasto::apps {
namespace {

// Read and written by the handler: lock-free atomics are safe there.
std::atomic<int> signals_seen{0};
std::atomic<bool> graceful{false};
std::atomic<int> writing{0};  // files
std::atomic<const char*> interrupted{"render"};
std::atomic<bool> over{false};
std::atomic<int> exit_code_at_once{static_cast<int>(ErrorCode::kInterrupted)};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

std::atomic<bool> on_terminal{false};

void say(std::string_view text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

/// Read by the handler up to their number, which is raised once a name stands whole.
std::array<std::array<char, PATH_MAX>, 4> files_to_remove{};
std::atomic<std::size_t> num_to_remove{0};

std::array<char, 4 * PATH_MAX> way_on_text{};
std::atomic<std::size_t> way_on_size{0};

void end_at_once() {
  for (std::size_t i = 0; i < num_to_remove; ++i) ::unlink(files_to_remove[i].data());
  if (on_terminal) say("\r\033[K");  // a bar may stand there
  say("impasto: error: ");
  say(interrupted.load());
  say(": expected to finish, found an interruption; ended at once");
  say({way_on_text.data(), way_on_size});
  say("\n");
  ::_exit(exit_code_at_once);
}

void set_way_on(const std::string& text) {
  way_on_size = 0;
  way_on_size = text.copy(way_on_text.data(), way_on_text.size());
  exit_code_at_once = static_cast<int>(ErrorCode::kInterruptedResumable);
}

void on_signal(int) {
  if (over) return;
  const int seen = ++signals_seen;
  if (!graceful || (seen > 1 && writing == 0)) end_at_once();
}

}  // namespace

void install_interruption(const char* what) {
  interrupted = what;
  on_terminal = ::isatty(STDERR_FILENO) != 0;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;  // a signal must not look like a failed read or write
    ::sigaction(signal, &action, nullptr);
  }
}

void begin_run() { graceful = true; }
bool stop_requested() { return signals_seen > 0; }
void remove_when_ended_at_once(const std::filesystem::path& file) {
  const std::string name = std::filesystem::absolute(file).string();
  const std::size_t number = num_to_remove;
  if (number == files_to_remove.size() || name.size() >= PATH_MAX) return;
  std::copy(name.begin(), name.end(), files_to_remove[number].begin());
  ++num_to_remove;
}
void end_run() { over = true; }
void set_resumable(const std::string& checkpoint) {
  set_way_on("; go on with --resume " + shell_quote(checkpoint));
}
void set_repeatable() { set_way_on("; the same command goes on"); }
std::string_view way_on() { return {way_on_text.data(), way_on_size}; }

WriteSection::WriteSection() { ++writing; }
WriteSection::~WriteSection() {
  if (--writing == 0 && signals_seen > 1) end_at_once();
}

}  // namespace impasto::apps
