#include "engine/core/file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/core/file_kind.h"
#include "engine/core/message.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;

int flags_of(Access access) {
  switch (access) {
    case Access::kRead: return O_RDONLY;
    case Access::kReadNow: return O_RDONLY | O_NONBLOCK;
    case Access::kWrite: return O_WRONLY;
    case Access::kNew: return O_WRONLY | O_CREAT | O_EXCL;
    case Access::kReplace: return O_WRONLY | O_CREAT | O_TRUNC;
    case Access::kAppend: return O_WRONLY | O_CREAT | O_APPEND;
  }
  return O_RDONLY;
}

/// Calls step(done), which moves some bytes and says how many, until all are moved or it says 0: the end.
/// How many they were, or nothing for an error; what a signal interrupts begins again.
template <class Step>
std::optional<std::size_t> move_all(std::size_t bytes, const Step& step) {
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t n = step(done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

Error unreadable(const std::string& what) {
  return make_error(ErrorCode::kBadInput, "{}: expected a readable file, found: {}", what,
                    std::strerror(errno));
}

/// By the rule of Linux' protected_symlinks, which not every system has on.
void require_trusted(const std::string& what, const fs::path& link) {
  struct stat folder {
  }, own{};
  if (::stat(folder_of(link).c_str(), &folder) != 0 || ::lstat(link.c_str(), &own) != 0) return;
  const mode_t for_all = S_ISVTX | S_IWOTH;
  if ((folder.st_mode & for_all) != for_all || own.st_uid == ::geteuid() || own.st_uid == folder.st_uid)
    return;
  throw file_error(what, "a file, or a link of your own", "a link that another user put there");
}

}  // namespace

Descriptor Descriptor::open(const fs::path& file, Access access) {
  return Descriptor(uninterrupted([&] { return ::open(file.c_str(), flags_of(access) | O_CLOEXEC, 0666); }));
}

Descriptor Descriptor::open_in(const Descriptor& folder, const std::string& name, int flags,
                               unsigned int mode) {
  return Descriptor(uninterrupted(
      [&] { return ::openat(folder.number(), name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, mode); }));
}

std::optional<std::size_t> Descriptor::read(void* to, std::size_t bytes) const {
  return move_all(
      bytes, [&](std::size_t done) { return ::read(number_, static_cast<char*>(to) + done, bytes - done); });
}

bool Descriptor::write(const void* data, std::size_t bytes) const {
  return move_all(bytes, [&](std::size_t done) {
           return ::write(number_, static_cast<const char*>(data) + done, bytes - done);
         }) == bytes;
}

bool Descriptor::write_at(std::size_t offset, const void* data, std::size_t bytes) const {
  return move_all(bytes, [&](std::size_t done) {
           return ::pwrite(number_, static_cast<const char*>(data) + done, bytes - done,
                           static_cast<off_t>(offset + done));
         }) == bytes;
}

bool Descriptor::close() { return number_ < 0 || ::close(std::exchange(number_, -1)) == 0; }

Error file_error(const std::string& what, const std::string& expected, const std::string& found) {
  return make_error(ErrorCode::kBadInput, "{}: expected {}, found {}", what, expected, found);
}
Error file_error(const std::string& what, const std::string& expected) {
  return file_error(what, expected, std::strerror(errno));
}

std::vector<std::uint8_t> read_file(const std::string& what, const fs::path& file, const ReadCheck& check) {
  const Descriptor in = Descriptor::open(file, Access::kRead);
  struct stat status {};
  if (!in.valid() || ::fstat(in.number(), &status) != 0) throw unreadable(what);
  if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode)) {
    throw file_error(what, "a file", S_ISDIR(status.st_mode) ? "a folder" : "a device");
  }
  const std::size_t known = S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) : 0;
  std::vector<std::uint8_t> bytes(kFileKindBytes);
  for (std::size_t size = 0;;) {
    const auto got = in.read(bytes.data() + size, bytes.size() - size);
    if (!got) throw unreadable(what);
    size += *got;
    if (check) check(std::span(bytes).first(size), std::max(known, size));
    if (size < bytes.size()) {
      bytes.resize(size);
      return bytes;
    }
    bytes.resize(std::max(2 * size, known + 1));
  }
}

fs::path place_behind_links(const std::string& what, const fs::path& place) {
  constexpr int kMostLinks = 40;  // as the kernel
  fs::path target = place;
  std::error_code none;
  for (int links = 0; fs::is_symlink(target, none); ++links) {
    if (links == kMostLinks) throw file_error(what, "a file", "links that lead in a circle");
    require_trusted(what, target);
    const fs::path next = fs::read_symlink(target, none);
    if (none) break;
    target = target.parent_path() / next;  // an absolute one replaces what stands before it
  }
  return target;
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

fs::path with_suffix(const fs::path& file, const std::string& suffix) {
  fs::path name = file.stem();
  name += suffix;
  name += file.extension();
  return file.parent_path() / name;
}

fs::path beside(const fs::path& file, const std::string& suffix) {
  const std::string end = suffix + file.extension().string();
  const std::string stem = file.stem().string();
  if (end.size() >= NAME_MAX) return file.parent_path() / end.substr(0, NAME_MAX);
  return file.parent_path() / (stem.substr(0, NAME_MAX - end.size()) + end);
}

void require_short_name(const std::string& what, const fs::path& file) {
  const std::size_t bytes = file.filename().string().size();
  const long most = ::pathconf(folder_of(file).c_str(), _PC_NAME_MAX);  // -1: no such folder, or no limit
  struct stat status {};
  const bool too_long = ::lstat(file.c_str(), &status) != 0 && errno == ENAMETOOLONG;
  if (bytes > static_cast<std::size_t>(most > 0 ? most : too_long ? NAME_MAX : PATH_MAX)) {
    throw make_error(ErrorCode::kBadInput, "{}: expected a name of at most {} bytes, found one of {}", what,
                     most > 0 ? most : NAME_MAX, bytes);
  }
  if (too_long) {
    throw make_error(ErrorCode::kBadInput,
                     "{}: expected a path of at most {} bytes, each name in it of {}, found one of {}", what,
                     PATH_MAX - 1, NAME_MAX, file.string().size());
  }
}

}  // namespace impasto
