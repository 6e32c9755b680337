#pragma once
// The owner of file descriptors, whole files that are read, and where a name leads.
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/error.h"

namespace impasto {

enum class Access : std::uint8_t {
  kRead,
  kReadNow,  ///< the same, without waiting for a pipe's other end
  kWrite,    ///< what is there
  kNew,      ///< made; an error where something is there
  kReplace,  ///< made where it is not there, emptied where it is
  kAppend,   ///< made where it is not there; writes go to its end
};

/// Calls again for as long as a signal interrupts it; what it gives then.
template <class Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

/// Owns a file descriptor. What fails leaves the reason in errno.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  /// Not valid where the file cannot be opened. Programs that this one starts do not inherit it.
  [[nodiscard]] static Descriptor open(const std::filesystem::path& file, Access access);
  /// That name in a folder, with open(2)'s flags; a link of that name is not followed.
  [[nodiscard]] static Descriptor open_in(const Descriptor& folder, const std::string& name, int flags,
                                          unsigned int mode = 0);
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
  /// Owns nothing from here on.
  void release() { number_ = -1; }
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

/// Sees what was read so far, at first a few thousand bytes, and the size of the whole as far as it is known;
/// throws where no more is to be read.
using ReadCheck = std::function<void(std::span<const std::uint8_t> so_far, std::size_t size)>;

/// A whole file, or what comes through a pipe until it ends. Error(kBadInput) "WHAT: ..." for a folder, a
/// device and a file that cannot be read.
[[nodiscard]] std::vector<std::uint8_t> read_file(const std::string& what, const std::filesystem::path& file,
                                                  const ReadCheck& check = {});

/// Where a file at this place lies or would lie. Error for links that lead in a circle, and for one that
/// another user put into a folder where everybody may (sticky, as /tmp).
[[nodiscard]] std::filesystem::path place_behind_links(const std::string& what,
                                                       const std::filesystem::path& place);

[[nodiscard]] std::filesystem::path folder_of(const std::filesystem::path& file);

/// "folder/out.png", "-new" -> "folder/out-new.png"
[[nodiscard]] std::filesystem::path with_suffix(const std::filesystem::path& file, const std::string& suffix);

/// The same with the name cut before the suffix where it would be longer than names are.
[[nodiscard]] std::filesystem::path beside(const std::filesystem::path& file, const std::string& suffix);

/// Error(kBadInput) for a name or path that is longer than the file system allows.
void require_short_name(const std::string& what, const std::filesystem::path& file);

}  // namespace impasto
