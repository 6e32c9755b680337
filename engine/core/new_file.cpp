#include "engine/core/new_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <utility>
#include <vector>

#include "engine/core/message.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 100;
constexpr std::string_view kTemporaryStart = ".impasto-", kTemporaryEnd = ".tmp", kLockEnd = ".lock";
constexpr std::size_t kTemporaryDigits = 8;

Descriptor open_for_listing(const Descriptor& folder) {
  return Descriptor::open_in(folder, ".", O_RDONLY | O_DIRECTORY);
}

/// The folder that a file of this place lies in, for names in it.
Descriptor open_folder(const std::string& what, const fs::path& target) {
  const fs::path folder = folder_of(target);
  std::error_code error;
  const auto status = fs::status(folder, error);
  if (!fs::is_directory(status)) {
    throw file_error(what, fmt::format("a folder '{}'", folder.string()),
                     fs::exists(status) ? "a file" : "none");
  }
  Descriptor opened(uninterrupted([&] { return ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC); }));
  if (!opened.valid()) throw file_error(what, "a folder that can be written to");
  return opened;
}

/// Error unless it is a file or nothing.
void require_file_place(const std::string& what, const fs::path& target) {
  require_short_name(what, target);
  std::error_code ignored;
  const auto status = fs::status(target, ignored);
  if (fs::is_directory(status)) throw file_error(what, "a file", "a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw file_error(what, "a file", "a device or a pipe");
  }
}

/// Of names in this folder; the usual one where it does not say.
std::size_t longest_name(const Descriptor& folder) {
  const Descriptor readable = open_for_listing(folder);
  const long most = readable.valid() ? ::fpathconf(readable.number(), _PC_NAME_MAX) : -1;
  return static_cast<std::size_t>(most > 0 ? most : NAME_MAX);
}

/// What stands between the fixed parts of a temporary name and of a lock's for files of this name: the name
/// itself where there is room, so that a file system that refuses some characters says so before the work;
/// else its digits.
std::string stem_for(const std::string& name, const Descriptor& folder) {
  const std::size_t around = kTemporaryStart.size() + kTemporaryDigits + 1 + kTemporaryEnd.size();
  if (name.size() + around <= longest_name(folder)) return name;
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const unsigned char byte : name) hash = (hash ^ byte) * 0x100000001b3;
  return fmt::format("{:016x}", hash);
}

/// Calls take(name) with one temporary name after another until it is true; else, with the reason in errno,
/// empty. Another one's name is no reason.
template <class Take>
std::string take_temporary_name(const std::string& stem, const Take& take) {
  std::random_device random;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string name = fmt::format("{}{:08x}-{}{}", kTemporaryStart, random(), stem, kTemporaryEnd);
    if (take(name)) return name;
    if (errno != EEXIST) break;
  }
  return {};
}

/// Of the place, or of one whose name goes on from there, as numbered ones do.
bool is_temporary_of(const std::string& stem, std::string_view name) {
  if (!name.starts_with(kTemporaryStart)) return false;
  name.remove_prefix(kTemporaryStart.size());
  const bool digits =
      name.size() > kTemporaryDigits && std::all_of(name.begin(), name.begin() + kTemporaryDigits,
                                                    [](unsigned char c) { return std::isxdigit(c) != 0; });
  return digits && name.substr(kTemporaryDigits).starts_with("-" + fs::path(stem).stem().string()) &&
         name.ends_with(kTemporaryEnd);
}

bool same_file(const Descriptor& folder, const std::string& name, const Descriptor& file) {
  struct stat named {
  }, opened{};
  return ::fstatat(folder.number(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         ::fstat(file.number(), &opened) == 0 && named.st_dev == opened.st_dev &&
         named.st_ino == opened.st_ino;
}

/// "process 4711", by the system's list of locks.
std::string owner_of_lock(const Descriptor& file) {
  struct stat status {};
  if (::fstat(file.number(), &status) == 0) {
    const std::string wanted =
        fmt::format("{:02x}:{:02x}:{}", major(status.st_dev), minor(status.st_dev), status.st_ino);
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
      std::istringstream words(line);
      std::string number, kind, advisory, access, process, place;
      words >> number >> kind >> advisory >> access >> process >> place;
      if (kind == "FLOCK" && place == wanted && process != "0" && process != "-1") {
        return "process " + process;
      }
    }
  }
  return "another process";
}

/// Removes the files in the making that nobody holds any more: their makers hold locks on them.
void remove_leftovers(const Descriptor& folder, const std::string& stem) {
  Descriptor readable = open_for_listing(folder);
  if (!readable.valid()) return;
  const std::unique_ptr<DIR, int (*)(DIR*)> list(::fdopendir(readable.number()), ::closedir);
  if (!list) return;
  readable.release();
  while (const dirent* const entry = ::readdir(list.get())) {
    const std::string name = entry->d_name;
    if (!is_temporary_of(stem, name)) continue;
    const Descriptor file = Descriptor::open_in(folder, name, O_RDWR | O_NONBLOCK);
    struct stat status {};
    if (!file.valid() || ::fstat(file.number(), &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != ::geteuid() || ::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
      continue;
    }
    if (same_file(folder, name, file)) ::unlinkat(folder.number(), name.c_str(), 0);
  }
}

}  // namespace

void require_lock(const Descriptor& file, const std::string& what) {
  while (::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno == EBADF) {  // of file systems that lock only what is open for writing
      throw file_error(what, "to be the only one that writes it", "another user's lock on it");
    }
    if (errno != EWOULDBLOCK) return;
    throw HeldElsewhere(
        file_error(what, "to be the only one that writes it", owner_of_lock(file) + " at it"));
  }
}

NewFile::NewFile(std::string what, const fs::path& place, Existing existing)
    : what_(std::move(what)), existing_(existing), target_(place_behind_links(what_, place)) {
  require_file_place(what_, target_);
  folder_ = open_folder(what_, target_);
  name_ = target_.filename().string();
  // Named by way of /proc; without it, and on file systems that have no files without a name, it has one.
  if (::access("/proc/self/fd", X_OK) == 0) {
    file_ = Descriptor::open_in(folder_, ".", O_TMPFILE | O_RDWR, 0666);
  }
  if (!file_.valid()) open_under_temporary_name();
  ::flock(file_.number(), LOCK_EX | LOCK_NB);  // so that it is nobody's leftover
  struct stat old {};
  if (existing_ == Existing::kReplace &&
      ::fstatat(folder_.number(), name_.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(old.st_mode)) {
    hand_on(old);
  }
}

/// Owner, group and permissions, where this user may; else no more than is safe without.
void NewFile::hand_on(const struct stat& old) {
  struct stat folder {};
  const uid_t user = ::geteuid();
  if (user != 0 && old.st_uid != user && ::fstat(folder_.number(), &folder) == 0 &&
      (folder.st_mode & S_ISVTX) != 0 && folder.st_uid != user) {
    throw file_error(what_, "a file that this user may replace", "another user's in a folder for all");
  }
  mode_t mode = old.st_mode & 0777;
  struct stat own {};
  if (::fstat(file_.number(), &own) != 0) return;
  if (own.st_uid != old.st_uid) (void)!::fchown(file_.number(), old.st_uid, static_cast<gid_t>(-1));
  if (own.st_gid != old.st_gid && ::fchown(file_.number(), static_cast<uid_t>(-1), old.st_gid) != 0) {
    mode &= ~static_cast<mode_t>(S_IRWXG);
  }
  ::fchmod(file_.number(), mode);
}

void NewFile::open_under_temporary_name() {
  temporary_ = take_temporary_name(stem_for(name_, folder_), [this](const std::string& name) {
    file_ = Descriptor::open_in(folder_, name, O_RDWR | O_CREAT | O_EXCL, 0666);
    return file_.valid();
  });
  if (temporary_.empty()) throw file_error(what_, "a folder that can be written to");
}

NewFile::~NewFile() {
  if (!committed_ && !temporary_.empty()) ::unlinkat(folder_.number(), temporary_.c_str(), 0);
}

void NewFile::write_at(std::size_t offset, const void* data, std::size_t bytes) {
  if (!file_.write_at(offset, data, bytes)) {
    throw file_error(what_, fmt::format("room for {} bytes", bytes));
  }
}

bool NewFile::take_free_name(const std::string& name) {
  const int folder = folder_.number();
  if (temporary_.empty()) {
    const std::string self = fmt::format("/proc/self/fd/{}", file_.number());
    return ::linkat(AT_FDCWD, self.c_str(), folder, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  }
  if (::renameat2(folder, temporary_.c_str(), folder, name.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  if (::linkat(folder, temporary_.c_str(), folder, name.c_str(), 0) == 0) {
    ::unlinkat(folder, temporary_.c_str(), 0);
    return true;
  }
  if (errno == EEXIST) return false;
  // A file system without either: the name is taken by an empty file, and that one replaced.
  const Descriptor own = Descriptor::open_in(folder_, name, O_WRONLY | O_CREAT | O_EXCL, 0666);
  if (!own.valid()) return false;
  if (::renameat(folder, temporary_.c_str(), folder, name.c_str()) == 0) return true;
  const int reason = errno;
  ::unlinkat(folder, name.c_str(), 0);
  errno = reason;
  return false;
}

void NewFile::copy_to_temporary_name() {
  const Descriptor nameless = std::exchange(file_, Descriptor());
  struct stat status {};
  if (::fstat(nameless.number(), &status) != 0) throw file_error(what_, "a name that can be taken");
  open_under_temporary_name();
  ::flock(file_.number(), LOCK_EX | LOCK_NB);
  ::fchmod(file_.number(), status.st_mode & 0777);
  std::vector<char> bytes(std::size_t{1} << 20);
  for (off_t at = 0; at < status.st_size;) {
    const ssize_t got =
        uninterrupted([&] { return ::pread(nameless.number(), bytes.data(), bytes.size(), at); });
    if (got <= 0) throw file_error(what_, "the file that was written to be read");
    write_at(static_cast<std::size_t>(at), bytes.data(), static_cast<std::size_t>(got));
    at += got;
  }
  sync();
}

void NewFile::sync() {
  if (uninterrupted([this] { return ::fsync(file_.number()); }) != 0) {
    throw file_error(what_, "the file to reach the disk");
  }
}

void NewFile::keep_beside() {
  for (int number = 1; number <= kAttempts; ++number) {
    const std::string name = beside(name_, number == 1 ? "-new" : fmt::format("-new-{}", number)).string();
    if (take_free_name(name)) {
      committed_ = true;
      const std::string place = (target_.parent_path() / name).string();
      throw KeptBeside(
          fmt::format("{}: expected no file there still, found one that came meanwhile; what was "
                      "to go there is in '{}'",
                      what_, place),
          place);
    }
    if (errno != EEXIST) break;
  }
  throw file_error(what_, "a name that can be taken");
}

void NewFile::commit() {
  sync();
  const bool keeps = existing_ == Existing::kKeep;
  bool named = (keeps || temporary_.empty()) && take_free_name(name_);
  if (!named && temporary_.empty() && errno != EEXIST) {
    copy_to_temporary_name();
    named = keeps && take_free_name(name_);
  }
  if (!named && keeps && errno == EEXIST) keep_beside();
  if (!named) {
    if (temporary_.empty() && !keeps) {
      temporary_ = take_temporary_name(stem_for(name_, folder_),
                                       [this](const std::string& name) { return take_free_name(name); });
    }
    if (keeps || temporary_.empty() ||
        ::renameat(folder_.number(), temporary_.c_str(), folder_.number(), name_.c_str()) != 0) {
      throw file_error(what_, "a name that can be taken");
    }
  }
  committed_ = true;
  // So that the new name survives a power failure. Some file systems cannot; the file itself is safe.
  const Descriptor folder = open_for_listing(folder_);
  if (folder.valid()) ::fsync(folder.number());
}

Claim::Claim(std::string what, const fs::path& place)
    : what_(std::move(what)), target_(place_behind_links(what_, place)) {
  require_file_place(what_, target_);
  folder_ = open_folder(what_, target_);
  const std::string stem = stem_for(target_.filename().string(), folder_);
  name_ = "." + stem + std::string(kLockEnd);
  lock();
  remove_leftovers(folder_, stem);
}

Claim::~Claim() {
  if (same_file(folder_, name_, lock_)) ::unlinkat(folder_.number(), name_.c_str(), 0);
}

fs::path Claim::lock_file() const { return target_.parent_path() / name_; }

/// Until the file that is locked is the one of that name: its last holder may have removed it meanwhile.
void Claim::lock() {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // Another user's is locked as well where it can only be read; nothing is ever written into it.
    lock_ = Descriptor::open_in(folder_, name_, O_RDWR | O_NONBLOCK);
    if (!lock_.valid() && errno == EACCES) {
      lock_ = Descriptor::open_in(folder_, name_, O_RDONLY | O_NONBLOCK);
    }
    if (!lock_.valid() && errno == ENOENT) {
      lock_ = Descriptor::open_in(folder_, name_, O_RDWR | O_CREAT | O_EXCL, 0644);
      if (!lock_.valid() && errno == EEXIST) continue;
      if (!lock_.valid()) throw file_error(what_, "a folder that can be written to");
      ::fchmod(lock_.number(), 0644);  // so that others can look at the lock, whatever the mask
    }
    const std::string expected = fmt::format("to lock it by a file '{}'", lock_file().string());
    if (!lock_.valid() && errno != ELOOP && errno != ENXIO && errno != EISDIR)
      throw file_error(what_, expected);
    // Ours are empty and have one name: nothing else is locked, or removed when the claim ends.
    struct stat status {};
    if (!lock_.valid() || ::fstat(lock_.number(), &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_size != 0 || status.st_nlink > 1) {
      throw file_error(what_, expected, "something else of that name");
    }
    require_lock(lock_, what_);
    if (same_file(folder_, name_, lock_)) return;
  }
  throw file_error(what_, "to be the only one that writes it", "many that come and go");
}

}  // namespace impasto
