#pragma once
// Files that appear whole or not at all: written under a temporary name in the folder of their place, synced,
// renamed. A place is what a user named: where links lead from there, the last one's target is meant, whether
// or not anything is there yet, and the links stay.
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <utility>

#include "engine/core/error.h"

namespace impasto {

/// Owns a file descriptor; close() may be called early to learn of errors.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { static_cast<void>(close()); }
  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] bool valid() const { return number_ >= 0; }
  [[nodiscard]] bool close() { return number_ < 0 || ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_ = -1;
};

/// Error(kBadInput) "WHAT: expected ..., found ..."; without `found`, what errno says.
[[nodiscard]] inline Error file_error(const std::string& what, const std::string& expected,
                                      const std::string& found = std::strerror(errno)) {
  return {ErrorCode::kBadInput, what + ": expected " + expected + ", found " + found};
}

/// Where a file at this place lies or would lie. Error for links that lead in a circle.
[[nodiscard]] inline std::filesystem::path place_behind_links(const std::string& what,
                                                              const std::filesystem::path& place) {
  constexpr int kMostLinks = 40;  // as the kernel
  std::filesystem::path target = place;
  std::error_code none;
  for (int links = 0; std::filesystem::is_symlink(target, none); ++links) {
    if (links == kMostLinks) throw file_error(what, "a file", "links that lead in a circle");
    const std::filesystem::path next = std::filesystem::read_symlink(target, none);
    if (none) break;
    target = target.parent_path() / next;  // an absolute one replaces what stands before it
  }
  return target;
}

[[nodiscard]] inline std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

/// Error(kBadInput) for a name or path that is longer than the file system allows.
inline void require_short_name(const std::string& what, const std::filesystem::path& file) {
  const std::size_t bytes = file.filename().string().size();
  const long most = ::pathconf(folder_of(file).c_str(), _PC_NAME_MAX);  // -1: no such folder, or no limit
  struct stat status {};
  const bool too_long = ::lstat(file.c_str(), &status) != 0 && errno == ENAMETOOLONG;
  if (bytes > static_cast<std::size_t>(most > 0 ? most : too_long ? NAME_MAX : PATH_MAX)) {
    throw file_error(what, "a name of at most " + std::to_string(most > 0 ? most : NAME_MAX) + " bytes",
                     "one of " + std::to_string(bytes));
  }
  if (too_long) {
    throw file_error(what,
                     "a path of at most " + std::to_string(PATH_MAX - 1) + " bytes, each name in it of " +
                         std::to_string(NAME_MAX),
                     "one of " + std::to_string(file.string().size()));
  }
}

/// A file in the making. Destroyed before commit(), it leaves nothing behind and the old file as it was.
class NewFile {
 public:
  /// Error(kBadInput) "WHAT: expected ..., found ..." for a place where no file can be made: missing folder,
  /// no permission, a folder or device of that name, too long a name. `what` stands in all messages.
  NewFile(std::string what, const std::filesystem::path& place)
      : what_(std::move(what)), target_(place_behind_links(what_, place)) {
    const std::filesystem::path folder = folder_of(target_);
    require_short_name(what_, target_);
    std::error_code error;
    const auto status = std::filesystem::status(target_, error);
    if (std::filesystem::is_directory(status)) throw file_error(what_, "a file", "a folder");
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
      throw file_error(what_, "a file", "a device or a pipe");
    }
    const auto above = std::filesystem::status(folder, error);
    if (!std::filesystem::is_directory(above)) {
      throw file_error(what_, "a folder '" + folder.string() + "'",
                       std::filesystem::exists(above) ? "a file" : "none");
    }
    std::random_device random;
    for (int attempt = 0; attempt < 100 && !file_.valid(); ++attempt) {
      temporary_ = folder / temporary_name(random());
      file_ = Descriptor(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (!file_.valid() && errno != EEXIST) break;
    }
    if (!file_.valid()) throw file_error(what_, "a folder that can be written to");
  }
  ~NewFile() {
    if (!committed_ && !temporary_.empty()) ::unlink(temporary_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  [[nodiscard]] const std::string& what() const { return what_; }
  [[nodiscard]] const std::filesystem::path& temporary() const { return temporary_; }
  [[nodiscard]] int descriptor() const { return file_.number(); }

  void write_at(std::size_t offset, const void* data, std::size_t bytes) {
    for (std::size_t done = 0; done < bytes;) {
      const ssize_t n = ::pwrite(file_.number(), static_cast<const char*>(data) + done, bytes - done,
                                 static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw file_error(what_, "room for " + std::to_string(bytes) + " bytes");
      done += static_cast<std::size_t>(n);
    }
  }

  /// The file takes its name.
  void commit() {
    if (::fsync(file_.number()) != 0 || !file_.close()) throw file_error(what_, "the file to reach the disk");
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
      throw file_error(what_, "a name that can be taken");
    }
    committed_ = true;
    // So that the new name survives a power failure. Some file systems cannot; the file itself is safe.
    const Descriptor directory(::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory.valid()) ::fsync(directory.number());
  }

 private:
  /// Holds the file's own name where there is room, so that a file system that refuses some characters says
  /// so before the work; never longer than a name may be.
  [[nodiscard]] std::string temporary_name(unsigned int number) const {
    char text[32];
    std::snprintf(text, sizeof text, ".impasto-%08x.tmp", number);
    const std::string own = target_.filename().string();
    const long most = ::pathconf(folder_of(target_).c_str(), _PC_NAME_MAX);
    const bool fits = own.size() + std::strlen(text) + 1 <= static_cast<std::size_t>(most > 0 ? most : 0) &&
                      target_.string().size() + std::strlen(text) + 1 < PATH_MAX;
    return fits ? std::string(text, 17) + "-" + own + ".tmp" : text;
  }

  std::string what_;
  std::filesystem::path target_, temporary_;
  Descriptor file_;
  bool committed_ = false;
};

}  // namespace impasto
