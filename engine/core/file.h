#pragma once
// The owner of file descriptors, and files that appear whole or not at all: written under a temporary name in
// the folder of their place, synced, renamed. A place is what a user named: where links lead from there, the
// last one's target is meant, whether or not anything is there yet, and the links stay.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/error.h"

namespace impasto {

enum class Access : std::uint8_t {
  kRead,
  kWrite,    ///< what is there
  kNew,      ///< made; an error where something is there
  kReplace,  ///< made where it is not there, emptied where it is
  kAppend,   ///< made where it is not there; writes go to its end
};

/// Owns a file descriptor. What fails leaves the reason in errno.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  /// Not valid where the file cannot be opened. Programs that this one starts do not inherit it.
  [[nodiscard]] static Descriptor open(const std::filesystem::path& file, Access access);
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
  /// The next `bytes`, fewer only at the end; how many they were, or nothing for an error.
  [[nodiscard]] std::optional<std::size_t> read(void* to, std::size_t bytes) const;
  /// All of it, or false.
  [[nodiscard]] bool write(const void* data, std::size_t bytes) const;
  [[nodiscard]] bool write_at(std::size_t offset, const void* data, std::size_t bytes) const;
  /// May be called early to learn of errors.
  [[nodiscard]] bool close();

 private:
  int number_ = -1;
};

/// Error(kBadInput) "WHAT: expected ..., found ..."; without `found`, what errno says.
[[nodiscard]] Error file_error(const std::string& what, const std::string& expected,
                               const std::string& found);
[[nodiscard]] Error file_error(const std::string& what, const std::string& expected);

/// A whole file, or what comes through a pipe until it ends. Error(kBadInput) "WHAT: ..." for a folder, a
/// device and a file that cannot be read.
[[nodiscard]] std::vector<std::uint8_t> read_file(const std::string& what, const std::filesystem::path& file);

/// Where a file at this place lies or would lie. Error for links that lead in a circle.
[[nodiscard]] std::filesystem::path place_behind_links(const std::string& what,
                                                       const std::filesystem::path& place);

[[nodiscard]] std::filesystem::path folder_of(const std::filesystem::path& file);

/// Error(kBadInput) for a name or path that is longer than the file system allows.
void require_short_name(const std::string& what, const std::filesystem::path& file);

/// A file in the making. Destroyed before commit(), it leaves nothing behind and the old file as it was.
class NewFile {
 public:
  /// Error(kBadInput) "WHAT: expected ..., found ..." for a place where no file can be made: missing folder,
  /// no permission, a folder or device of that name, too long a name. `what` stands in all messages.
  NewFile(std::string what, const std::filesystem::path& place);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write_at(std::size_t offset, const void* data, std::size_t bytes);
  /// The file takes its name.
  void commit();

 private:
  [[nodiscard]] std::string temporary_name(unsigned int number) const;

  std::string what_;
  std::filesystem::path target_, temporary_;
  Descriptor file_;
  bool committed_ = false;
};

}  // namespace impasto
