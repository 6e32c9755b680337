// Reading in a child process. libhdf5 crashes, or fills memory, or loops, on some damaged files; there it
// costs the child's life, and the parent gets a clear message instead of the arrays.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <new>
#include <optional>
#include <utility>

#include "engine/core/file.h"
#include "engine/core/sanitizers.h"
#include "engine/network/weights_file.h"

namespace impasto::weights {
namespace {

constexpr std::uint64_t kEnd = 0x2e646e656f747361u;  // after the last field: what came is whole
constexpr std::uint64_t kNoMemory = 2;               // as the first field
constexpr std::uint64_t kMostBytes = std::uint64_t{4} << 30;

/// Fields one after another: numbers as 8 bytes, text and arrays
/// after their length. Arrays go out from where they lie.
class Message {
 public:
  explicit Message(const Descriptor& to) : to_(to) {}
  void put(std::uint64_t v) { bytes_.append(reinterpret_cast<const char*>(&v), sizeof v); }
  void put(std::int64_t v) { put(static_cast<std::uint64_t>(v)); }
  void put(double v) { bytes_.append(reinterpret_cast<const char*>(&v), sizeof v); }
  void put(const std::string& s) {
    put(static_cast<std::uint64_t>(s.size()));
    bytes_ += s;
  }
  void put(const std::vector<float>& v) {
    put(static_cast<std::uint64_t>(v.size() * sizeof(float)));
    flush();
    send(v.data(), v.size() * sizeof(float));
  }
  void flush() {
    send(bytes_.data(), bytes_.size());
    bytes_.clear();
  }

 private:
  void send(const void* data, std::size_t size) const {
    if (!to_.write(data, size)) _exit(1);
  }
  const Descriptor& to_;
  std::string bytes_;
};

/// The other end. The child may have been damaged before it wrote: every length is checked against what came.
class Parser {
 public:
  explicit Parser(const std::string& bytes) : at_(bytes.data()), left_(bytes.size()) {}
  std::uint64_t number() { return scalar<std::uint64_t>(); }
  double real() { return scalar<double>(); }
  std::string text() {
    const std::size_t size = length();
    return {take(size), size};
  }
  std::vector<float> floats() {
    const std::size_t size = length();
    if (size % sizeof(float) != 0) ok_ = false;
    std::vector<float> v(ok_ ? size / sizeof(float) : 0);
    if (!v.empty()) std::memcpy(v.data(), take(size), v.size() * sizeof(float));
    return v;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool whole() { return number() == kEnd && ok_ && left_ == 0; }

 private:
  template <class T>
  T scalar() {
    T v{};
    if (left_ < sizeof v) ok_ = false;
    if (ok_) std::memcpy(&v, take(sizeof v), sizeof v);
    return v;
  }
  std::size_t length() {
    const std::uint64_t size = number();
    if (size > left_) ok_ = false;
    return ok_ ? static_cast<std::size_t>(size) : 0;
  }
  const char* take(std::size_t size) {
    const char* here = at_;
    at_ += size;
    left_ -= size;
    return here;
  }
  const char* at_;
  std::size_t left_;
  bool ok_ = true;
};

/// Messages: 0 and what was wrong with the file, or 1 and the weights.
void send(Message& m, const Weights& w) {
  m.put(std::uint64_t{1});
  for (const std::string* s : {&w.network, &w.source, &w.licence, &w.layout}) m.put(*s);
  m.put(static_cast<std::uint64_t>(w.preprocessing.bgr));
  for (const double v : w.preprocessing.mean) m.put(v);
  for (const double v : w.preprocessing.scale) m.put(v);
  m.put(static_cast<std::uint64_t>(w.layers.size()));
  for (const ConvWeights& c : w.layers) {
    m.put(c.name);
    m.put(c.in_channels);
    m.put(c.out_channels);
    m.put(c.filter);
    m.put(c.bias);
  }
  m.put(kEnd);
  m.flush();
}

/// Nothing if the message is not whole.
std::optional<Weights> unpack(Parser p) {
  Weights w;
  for (std::string* s : {&w.network, &w.source, &w.licence, &w.layout}) *s = p.text();
  w.preprocessing.bgr = p.number() != 0;
  for (double& v : w.preprocessing.mean) v = p.real();
  for (double& v : w.preprocessing.scale) v = p.real();
  const std::uint64_t count = p.number();
  for (std::uint64_t i = 0; i < count && p.ok(); ++i) {
    ConvWeights c;
    c.name = p.text();
    c.in_channels = static_cast<std::int64_t>(p.number());
    c.out_channels = static_cast<std::int64_t>(p.number());
    c.filter = p.floats();
    c.bias = p.floats();
    w.layers.push_back(std::move(c));
  }
  if (!p.whole()) return std::nullopt;
  return w;
}

std::int64_t mapped_bytes() {
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

void limit(int what, rlim_t value) {
  rlimit now{};
  getrlimit(static_cast<__rlimit_resource>(what), &now);
  now.rlim_cur = std::min(value, now.rlim_max);
  setrlimit(static_cast<__rlimit_resource>(what), &now);
}

/// The child's whole life. It never returns, and leaves by _exit: the parent's exit handlers are not its own.
[[noreturn]] void child(const std::filesystem::path& file, const ReadLimits& limits, std::int64_t mapped,
                        const Descriptor& to,
                        const std::function<Weights(const std::filesystem::path&)>& work) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int s : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGXCPU, SIGPIPE, SIGTERM, SIGINT, SIGHUP})
    signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, static_cast<rlim_t>(limits.cpu_seconds));
#if IMPASTO_SANITIZED
  static_cast<void>(mapped);  // the sanitizer reserves terabytes, and maps more as it goes
#else
  limit(RLIMIT_AS, static_cast<rlim_t>(mapped + limits.memory_bytes));
#endif
  // glibc and libhdf5 print before they abort.
  if (const Descriptor nowhere = Descriptor::open("/dev/null", Access::kWrite); nowhere.valid()) {
    dup2(nowhere.number(), STDOUT_FILENO);
    dup2(nowhere.number(), STDERR_FILENO);
  }
  Message message(to);
  try {
    const Weights weights = work(file);
    send(message, weights);
  } catch (const std::bad_alloc&) {
    message.put(kNoMemory);
    message.put(kEnd);
    message.flush();
  } catch (const std::exception& e) {
    message.put(std::uint64_t{0});
    message.put(std::string(e.what()));
    message.put(kEnd);
    message.flush();
  }
  _exit(0);
}

/// All that comes until the child closes its end; false if it took longer than it may. Time is counted in
/// ticks that this process waits through: one that took far longer was spent stopped (Ctrl-Z, a debugger, a
/// machine asleep), and the child with it, and counts as one.
bool receive(int from, std::string& bytes, int wall_seconds) {
  using std::chrono::milliseconds;
  using Clock = std::chrono::steady_clock;
  constexpr milliseconds kTick{100};
  Clock::duration left = std::chrono::seconds(wall_seconds);
  std::vector<char> chunk(std::size_t{1} << 20);
  for (auto before = Clock::now(); bytes.size() <= kMostBytes;) {
    if (left <= Clock::duration::zero()) return false;
    pollfd wait{from, POLLIN, 0};
    const int ready = poll(&wait, 1, static_cast<int>(kTick.count()));
    const int reason = errno;
    const auto now = Clock::now();
    left -= std::min<Clock::duration>(now - before, 2 * kTick);
    before = now;
    if (ready < 0 && reason != EINTR) return false;
    if (ready <= 0) continue;
    const ssize_t n = read(from, chunk.data(), chunk.size());
    if (n == 0) return true;
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) bytes.append(chunk.data(), static_cast<std::size_t>(n));
  }
  return false;
}

/// The child, which ends and is waited for however its parent goes on.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    static_cast<void>(wait());
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// How it ended; nothing where a caller that ignores SIGCHLD has left none to wait for.
  std::optional<int> wait() {
    const pid_t pid = std::exchange(pid_, 0);
    int status = 0;
    pid_t ended = 0;
    while ((ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR) {
    }
    return ended == pid ? std::optional(status) : std::nullopt;
  }
  void stop() const { kill(pid_, SIGKILL); }

 private:
  pid_t pid_;
};

Weights receive_weights(const std::filesystem::path& file, const ReadLimits& limits, const Descriptor& from,
                        Child& child) {
  std::string bytes;  // room for all that the file can hold, so that it is not moved as it grows
  if (limits.file_bytes < std::uintmax_t{1} << 30) {
    bytes.reserve(static_cast<std::size_t>(limits.file_bytes) + 4096);
  }
  const bool in_time = receive(from.number(), bytes, limits.wall_seconds);
  if (!in_time) child.stop();
  const std::optional<int> status = child.wait();

  // The message decides, not the status, which there may not be.
  Parser parser(bytes);
  const std::uint64_t kind = parser.number();
  if (in_time && parser.ok() && kind == 1) {
    if (auto weights = unpack(parser)) return std::move(*weights);
  }
  if (in_time && parser.ok() && kind == 0) {
    const std::string message = parser.text();
    if (parser.whole()) throw Error(ErrorCode::kBadInput, message);
  }
  const bool by_signal = status && WIFSIGNALED(*status);
  // SIGKILL is the system's, where memory ends.
  if (in_time && ((parser.ok() && kind == kNoMemory) || (by_signal && WTERMSIG(*status) == SIGKILL))) {
    throw std::bad_alloc();
  }
  if (!in_time || (by_signal && WTERMSIG(*status) == SIGXCPU))
    refuse(file, "expected a sound HDF5 file, found one that does not come to an end");
  refuse(file, fmt::format("expected a sound HDF5 file, found one that crashes the HDF5 library{}",
                           by_signal ? fmt::format(" (signal {})", WTERMSIG(*status)) : ""));
}

}  // namespace

Weights run_in_child(const std::filesystem::path& file, const ReadLimits& limits,
                     const std::function<Weights(const std::filesystem::path&)>& work) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw make_error(ErrorCode::kResources, "weights: expected a pipe, found {}", std::strerror(errno));
  Descriptor from(ends[0]), to(ends[1]);
  fcntl(to.number(), F_SETPIPE_SZ, 1 << 20);  // fewer switches; refused is no harm
  const std::int64_t mapped = mapped_bytes();
  const pid_t pid = fork();
  if (pid < 0)
    throw make_error(ErrorCode::kResources, "weights: expected a new process, found {}",
                     std::strerror(errno));
  if (pid == 0) child(file, limits, mapped, to, work);
  Child reader(pid);
  static_cast<void>(to.close());
  try {
    return receive_weights(file, limits, from, reader);
  } catch (const std::bad_alloc&) {
    throw make_error(ErrorCode::kResources, "weights '{}': expected enough memory for them, found too little",
                     printable(file.string(), 400));
  }
}

ReadLimits limits_for(std::uintmax_t file_bytes) {
  ReadLimits limits;
  limits.file_bytes = file_bytes;
  const std::uintmax_t most = static_cast<std::uintmax_t>(limits.memory_bytes);
  limits.memory_bytes =
      static_cast<std::int64_t>(std::min((most >> 2) + std::min(most, file_bytes) * 6, most));
  return limits;
}

Weights read_in_child(const WeightFile& file, const ReadLimits& limits) {
  return run_in_child(file.name(), limits,
                      [&file](const std::filesystem::path&) { return read_in_process(file); });
}

}  // namespace impasto::weights
