// A weight file from its name to a descriptor, which everything after goes by.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/core/digest.h"
#include "engine/network/weights_file.h"

namespace impasto::weights {

WeightFile::WeightFile(std::filesystem::path name)
    : name_(std::move(name)), in_(Descriptor::open(name_, Access::kReadNow)) {
  struct stat status {};
  if (!in_.valid()) {
    const bool none = errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG;
    refuse(name_, none             ? "expected a file, found none"
                  : errno == ENXIO ? "expected a file, found a device or pipe"
                                   : "expected a readable file, found one that cannot be opened");
  }
  if (::fstat(in_.number(), &status) != 0) {
    refuse(name_, std::string("expected a readable file, found: ") + std::strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) {
    refuse(name_,
           "expected a file, found a folder; name a file in it (a folder of published files goes into "
           "$IMPASTO_WEIGHTS)");
  }
  if (!S_ISREG(status.st_mode)) refuse(name_, "expected a file, found a device or pipe");
  bytes_ = static_cast<std::uintmax_t>(status.st_size);
  constexpr std::uintmax_t kMostBytes = std::uintmax_t{4} << 30;
  if (bytes_ > kMostBytes) refuse(name_, fmt::format("expected at most 4 GiB, found {} bytes", bytes_));
  device_ = status.st_dev;
  number_ = status.st_ino;
  seconds_ = status.st_mtim.tv_sec;
  nanoseconds_ = status.st_mtim.tv_nsec;
}

std::filesystem::path WeightFile::place() const {
  const std::string link = fmt::format("/proc/self/fd/{}", in_.number());
  return ::access(link.c_str(), R_OK) == 0 ? std::filesystem::path(link) : name_;  // no /proc in some jails
}

bool WeightFile::is_this(int descriptor) const {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && status.st_dev == device_ && status.st_ino == number_;
}

std::vector<unsigned char> WeightFile::start(std::size_t most) const {
  std::vector<unsigned char> bytes(most);
  const bool back = ::lseek(in_.number(), 0, SEEK_SET) == 0;
  bytes.resize(back ? in_.read(bytes.data(), most).value_or(0) : 0);
  return bytes;
}

std::string WeightFile::md5() const {
  Md5 md5;
  std::vector<char> chunk(std::size_t{1} << 20);
  if (::lseek(in_.number(), 0, SEEK_SET) != 0) refuse(name_, "expected a readable file, found a read error");
  for (std::optional<std::size_t> got = chunk.size(); got == chunk.size();) {
    got = in_.read(chunk.data(), chunk.size());
    if (!got) refuse(name_, "expected a readable file, found a read error");
    md5.update(chunk.data(), *got);
  }
  return md5.hex();
}

void WeightFile::require_unchanged() const {
  struct stat status {};
  const bool same = ::fstat(in_.number(), &status) == 0 &&
                    static_cast<std::uintmax_t>(status.st_size) == bytes_ &&
                    status.st_mtim.tv_sec == seconds_ && status.st_mtim.tv_nsec == nanoseconds_;
  if (!same)
    refuse(name_, "expected a file that stays as it is while it is read, found that it was written to");
}

}  // namespace impasto::weights
