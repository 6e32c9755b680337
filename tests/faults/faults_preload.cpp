// Loaded before a program's libraries (LD_PRELOAD): lets chosen calls of the C library fail, or raises a
// signal beside them. What happens before main does not count.
//
//   IMPASTO_FAULTS=RULE[;RULE...], each FUNCTION@WHEN=WHAT
//     FUNCTION  a name of kNames; "alloc" is all of malloc, calloc, realloc, posix_memalign, aligned_alloc
//     WHEN      3: the third call; 3+: it and all after it; >4096: every allocation of more bytes
//     WHAT      an error's number (28 is ENOSPC); half: half of the bytes are read or written;
//               before:9, after:9, torn:9: that signal beside the call, or once half of the bytes are written
//   IMPASTO_FAULTS_COUNTS=FILE keeps how often each was called, current at every moment: records of a name in
//   24 bytes and a count in 8.
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

enum Function : int {
  kOpen,
  kOpenat,
  kCreat,
  kRead,
  kPread,
  kWrite,
  kPwrite,
  kFsync,
  kFdatasync,
  kFtruncate,
  kClose,
  kLink,
  kLinkat,
  kRename,
  kRenameat,
  kRenameat2,
  kUnlink,
  kUnlinkat,
  kFlock,
  kFchmod,
  kMmap,
  kMkstemp,
  kOpendir,
  kReaddir,
  kPipe2,
  kFork,
  kPthreadCreate,
  kAlloc,
  kFunctions
};
constexpr const char* kNames[kFunctions] = {
    "open",     "openat",    "creat",     "read",     "pread", "write",          "pwrite",
    "fsync",    "fdatasync", "ftruncate", "close",    "link",  "linkat",         "rename",
    "renameat", "renameat2", "unlink",    "unlinkat", "flock", "fchmod",         "mmap",
    "mkstemp",  "opendir",   "readdir",   "pipe2",    "fork",  "pthread_create", "alloc"};

struct Record {
  char name[24];
  uint64_t count;
};
Record* records = nullptr;

enum class What { kNothing, kFail, kHalf, kBefore, kAfter, kTorn };
struct Rule {
  int function;
  uint64_t from, to;    // which calls
  uint64_t more_bytes;  // 0: any
  What what;
  int number;  // of the error or the signal
};
constexpr int kMostRules = 16;
Rule rules[kMostRules];
int num_rules = 0;
bool begun = false;
long program = 0;  // its process

[[noreturn]] void refuse(const char* why) {
  // write() is one of those that are replaced.
  syscall(SYS_write, 2, why, strlen(why));
  _exit(99);
}

const char* skip(const char* text, const char* word) {
  const size_t length = strlen(word);
  return strncmp(text, word, length) == 0 ? text + length : nullptr;
}

const char* parse_when(const char* at, Rule& rule) {
  char* end = nullptr;
  if (*at == '>') {
    rule.more_bytes = strtoull(at + 1, &end, 10);
    rule.from = 1;
    rule.to = UINT64_MAX;
    return end;
  }
  rule.from = rule.to = strtoull(at, &end, 10);
  if (*end != '+') return end;
  rule.to = UINT64_MAX;
  return end + 1;
}

const char* parse_what(const char* at, Rule& rule) {
  const struct {
    const char* word;
    What what;
  } words[] = {{"before:", What::kBefore}, {"after:", What::kAfter}, {"torn:", What::kTorn}};
  if (const char* const after = skip(at, "half")) {
    rule.what = What::kHalf;
    return after;
  }
  rule.what = What::kFail;
  for (const auto& [word, what] : words) {
    if (const char* const after = skip(at, word)) {
      rule.what = what;
      at = after;
    }
  }
  char* end = nullptr;
  rule.number = static_cast<int>(strtol(at, &end, 10));
  return end == at ? "?" : end;
}

void parse(const char* text) {
  while (*text != '\0') {
    if (num_rules == kMostRules) refuse("faults: expected fewer rules\n");
    Rule& rule = rules[num_rules++];
    const char* const at = strchr(text, '@');
    rule.function = -1;
    for (int i = 0; at != nullptr && i < kFunctions; ++i) {
      if (skip(text, kNames[i]) == at) rule.function = i;
    }
    if (rule.function < 0) refuse("faults: expected FUNCTION@WHEN=WHAT, found another function\n");
    text = parse_when(at + 1, rule);
    if (*text != '=') refuse("faults: expected FUNCTION@WHEN=WHAT, found another time\n");
    text = parse_what(text + 1, rule);
    if (*text != '\0' && *text != ';') refuse("faults: expected FUNCTION@WHEN=WHAT, found another fault\n");
    if (*text == ';') ++text;
  }
}

/// Shared with the program's children, and with whoever reads the file.
void open_records(const char* file) {
  const int kind = file == nullptr ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
  long number = -1;
  if (file != nullptr) {
    number = syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (number < 0 || syscall(SYS_ftruncate, number, kFunctions * sizeof(Record)) != 0) {
      refuse("faults: expected a file for the counts\n");
    }
  }
  const long at =
      syscall(SYS_mmap, nullptr, kFunctions * sizeof(Record), PROT_READ | PROT_WRITE, kind, number, 0);
  if (at == -1) refuse("faults: expected memory for the counts\n");
  if (file != nullptr) syscall(SYS_close, number);
  records = reinterpret_cast<Record*>(at);
}

void begin() {
  open_records(getenv("IMPASTO_FAULTS_COUNTS"));
  for (int i = 0; i < kFunctions; ++i) strncpy(records[i].name, kNames[i], sizeof records[i].name - 1);
  if (const char* const text = getenv("IMPASTO_FAULTS")) parse(text);
  program = syscall(SYS_getpid);
  begun = true;
}

/// Counts a call and says what is to become of it.
Rule next(Function function, uint64_t bytes) {
  const Rule nothing{function, 0, 0, 0, What::kNothing, 0};
  if (!begun) return nothing;
  const uint64_t n = __atomic_add_fetch(&records[function].count, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < num_rules; ++i) {
    const Rule& rule = rules[i];
    if (rule.function == function && n >= rule.from && n <= rule.to &&
        (rule.more_bytes == 0 || bytes > rule.more_bytes)) {
      return rule;
    }
  }
  return nothing;
}

/// To the program itself, also where a child of its calls.
void raise_now(int signal) { syscall(SYS_kill, program, signal); }

/// The C library's own, found at the first call.
template <class Call>
Call real(const char* symbol, void*& place) {
  if (place == nullptr) place = dlsym(RTLD_NEXT, symbol);
  return reinterpret_cast<Call>(place);
}
void* places[kFunctions];

/// Calls the C library's function, or has it fail; `done_first`: what fails has happened all the same.
template <class R, class... P>
R call(Function function, R failed, bool done_first, P... parameters) {
  const auto whole = real<R (*)(P...)>(kNames[function], places[function]);
  const Rule rule = next(function, 0);
  if (rule.what == What::kFail) {
    if (done_first) whole(parameters...);
    errno = rule.number;
    return failed;
  }
  if (rule.what == What::kBefore) raise_now(rule.number);
  const R result = whole(parameters...);
  const int error = errno;
  if (rule.what == What::kAfter) raise_now(rule.number);
  errno = error;
  return result;
}

/// The same for what moves `bytes` bytes.
template <class Data, class... P>
ssize_t move(Function function, int file, Data data, size_t bytes, P... offset) {
  using Call = ssize_t (*)(int, Data, size_t, P...);
  const auto whole = real<Call>(kNames[function], places[function]);
  const Rule rule = next(function, bytes);
  if (rule.what == What::kFail) {
    errno = rule.number;
    return -1;
  }
  if (rule.what == What::kBefore) raise_now(rule.number);
  const bool half = rule.what == What::kHalf || rule.what == What::kTorn;
  const ssize_t result = whole(file, data, half ? (bytes + 1) / 2 : bytes, offset...);
  const int error = errno;
  if (rule.what == What::kAfter || rule.what == What::kTorn) raise_now(rule.number);
  errno = error;
  return result;
}

bool no_memory(size_t bytes) {
  const Rule rule = next(kAlloc, bytes);
  if (rule.what == What::kBefore || rule.what == What::kAfter) raise_now(rule.number);
  if (rule.what != What::kFail) return false;
  errno = ENOMEM;
  return true;
}

using Main = int (*)(int, char**, char**);
Main program_main;

int main_that_counts(int argc, char** argv, char** environment) {
  begin();
  return program_main(argc, argv, environment);
}

}  // namespace

// The assembler's names are the C library's: so its headers, which say more of these functions than is
// needed here, are out of the way.
extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

#define IN_PLACE_OF(symbol) __asm__(symbol) __attribute__((visibility("default")))
#define ALSO(symbol, first) IN_PLACE_OF(symbol) __attribute__((alias(first)))

int faults_start(Main, int, char**, void (*)(), void (*)(), void (*)(), void*)
    IN_PLACE_OF("__libc_start_main");
int faults_start(Main theirs, int argc, char** argv, void (*init)(), void (*fini)(), void (*end)(),
                 void* stack) {
  static void* place;
  program_main = theirs;
  return real<decltype(&faults_start)>("__libc_start_main", place)(main_that_counts, argc, argv, init, fini,
                                                                   end, stack);
}

void* faults_malloc(size_t) IN_PLACE_OF("malloc");
void* faults_malloc(size_t bytes) { return no_memory(bytes) ? nullptr : __libc_malloc(bytes); }
void* faults_calloc(size_t, size_t) IN_PLACE_OF("calloc");
void* faults_calloc(size_t n, size_t bytes) {
  return no_memory(n * bytes) ? nullptr : __libc_calloc(n, bytes);
}
void* faults_realloc(void*, size_t) IN_PLACE_OF("realloc");
void* faults_realloc(void* old, size_t bytes) {
  return bytes != 0 && no_memory(bytes) ? nullptr : __libc_realloc(old, bytes);
}
void* faults_aligned_alloc(size_t, size_t) IN_PLACE_OF("aligned_alloc");
void* faults_aligned_alloc(size_t alignment, size_t bytes) {
  return no_memory(bytes) ? nullptr : __libc_memalign(alignment, bytes);
}
int faults_posix_memalign(void**, size_t, size_t) IN_PLACE_OF("posix_memalign");
int faults_posix_memalign(void** to, size_t alignment, size_t bytes) {
  if (no_memory(bytes)) return ENOMEM;
  void* const made = __libc_memalign(alignment, bytes);
  if (made == nullptr) return ENOMEM;
  *to = made;
  return 0;
}

int faults_open(const char*, int, ...) IN_PLACE_OF("open");
int faults_open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return call(kOpen, -1, false, path, flags, mode);
}
int faults_open64(const char*, int, ...) ALSO("open64", "open");

int faults_openat(int, const char*, int, ...) IN_PLACE_OF("openat");
int faults_openat(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return call(kOpenat, -1, false, folder, path, flags, mode);
}
int faults_openat64(int, const char*, int, ...) ALSO("openat64", "openat");

int faults_creat(const char*, mode_t) IN_PLACE_OF("creat");
int faults_creat(const char* path, mode_t mode) { return call(kCreat, -1, false, path, mode); }

ssize_t faults_read(int, void*, size_t) IN_PLACE_OF("read");
ssize_t faults_read(int file, void* to, size_t bytes) { return move(kRead, file, to, bytes); }
ssize_t faults_pread(int, void*, size_t, off_t) IN_PLACE_OF("pread");
ssize_t faults_pread(int file, void* to, size_t bytes, off_t offset) {
  return move(kPread, file, to, bytes, offset);
}
ssize_t faults_pread64(int, void*, size_t, off_t) ALSO("pread64", "pread");
ssize_t faults_write(int, const void*, size_t) IN_PLACE_OF("write");
ssize_t faults_write(int file, const void* data, size_t bytes) { return move(kWrite, file, data, bytes); }
ssize_t faults_pwrite(int, const void*, size_t, off_t) IN_PLACE_OF("pwrite");
ssize_t faults_pwrite(int file, const void* data, size_t bytes, off_t offset) {
  return move(kPwrite, file, data, bytes, offset);
}
ssize_t faults_pwrite64(int, const void*, size_t, off_t) ALSO("pwrite64", "pwrite");

int faults_fsync(int) IN_PLACE_OF("fsync");
int faults_fsync(int file) { return call(kFsync, -1, false, file); }
int faults_fdatasync(int) IN_PLACE_OF("fdatasync");
int faults_fdatasync(int file) { return call(kFdatasync, -1, false, file); }
int faults_ftruncate(int, off_t) IN_PLACE_OF("ftruncate");
int faults_ftruncate(int file, off_t size) { return call(kFtruncate, -1, false, file, size); }
int faults_ftruncate64(int, off_t) ALSO("ftruncate64", "ftruncate");
int faults_close(int) IN_PLACE_OF("close");
int faults_close(int file) { return call(kClose, -1, true, file); }  // Linux closes it whatever it says

int faults_link(const char*, const char*) IN_PLACE_OF("link");
int faults_link(const char* from, const char* to) { return call(kLink, -1, false, from, to); }
int faults_linkat(int, const char*, int, const char*, int) IN_PLACE_OF("linkat");
int faults_linkat(int in, const char* from, int into, const char* to, int flags) {
  return call(kLinkat, -1, false, in, from, into, to, flags);
}
int faults_rename(const char*, const char*) IN_PLACE_OF("rename");
int faults_rename(const char* from, const char* to) { return call(kRename, -1, false, from, to); }
int faults_renameat(int, const char*, int, const char*) IN_PLACE_OF("renameat");
int faults_renameat(int in, const char* from, int into, const char* to) {
  return call(kRenameat, -1, false, in, from, into, to);
}
int faults_renameat2(int, const char*, int, const char*, unsigned) IN_PLACE_OF("renameat2");
int faults_renameat2(int in, const char* from, int into, const char* to, unsigned flags) {
  return call(kRenameat2, -1, false, in, from, into, to, flags);
}
int faults_unlink(const char*) IN_PLACE_OF("unlink");
int faults_unlink(const char* path) { return call(kUnlink, -1, false, path); }
int faults_unlinkat(int, const char*, int) IN_PLACE_OF("unlinkat");
int faults_unlinkat(int in, const char* path, int flags) {
  return call(kUnlinkat, -1, false, in, path, flags);
}
int faults_flock(int, int) IN_PLACE_OF("flock");
int faults_flock(int file, int how) { return call(kFlock, -1, false, file, how); }
int faults_fchmod(int, mode_t) IN_PLACE_OF("fchmod");
int faults_fchmod(int file, mode_t mode) { return call(kFchmod, -1, false, file, mode); }

void* faults_mmap(void*, size_t, int, int, int, off_t) IN_PLACE_OF("mmap");
void* faults_mmap(void* at, size_t bytes, int protection, int flags, int file, off_t offset) {
  return call(kMmap, MAP_FAILED, false, at, bytes, protection, flags, file, offset);
}
void* faults_mmap64(void*, size_t, int, int, int, off_t) ALSO("mmap64", "mmap");
int faults_mkstemp(char*) IN_PLACE_OF("mkstemp");
int faults_mkstemp(char* name) { return call(kMkstemp, -1, false, name); }
int faults_mkstemp64(char*) ALSO("mkstemp64", "mkstemp");
DIR* faults_opendir(const char*) IN_PLACE_OF("opendir");
DIR* faults_opendir(const char* path) { return call(kOpendir, static_cast<DIR*>(nullptr), false, path); }
dirent* faults_readdir(DIR*) IN_PLACE_OF("readdir");
dirent* faults_readdir(DIR* folder) { return call(kReaddir, static_cast<dirent*>(nullptr), false, folder); }
dirent* faults_readdir64(DIR*) ALSO("readdir64", "readdir");
int faults_pipe2(int*, int) IN_PLACE_OF("pipe2");
int faults_pipe2(int* ends, int flags) { return call(kPipe2, -1, false, ends, flags); }
pid_t faults_fork() IN_PLACE_OF("fork");
pid_t faults_fork() { return call(kFork, static_cast<pid_t>(-1), false); }

using ThreadMain = void* (*)(void*);
int faults_thread(pthread_t*, const pthread_attr_t*, ThreadMain, void*) IN_PLACE_OF("pthread_create");
int faults_thread(pthread_t* thread, const pthread_attr_t* attributes, ThreadMain run, void* data) {
  const auto whole = real<decltype(&faults_thread)>("pthread_create", places[kPthreadCreate]);
  const Rule rule = next(kPthreadCreate, 0);
  if (rule.what == What::kFail) return rule.number;
  if (rule.what == What::kBefore || rule.what == What::kAfter) raise_now(rule.number);
  return whole(thread, attributes, run, data);
}

}  // extern "C"
