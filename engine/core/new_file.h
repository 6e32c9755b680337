#pragma once
// Files that appear whole or not at all: made without a name in the folder of their place (where the file
// system can, else under a temporary name), synced, then named. A place is what a user named: where links
// lead from there, the last one's target is meant, whether or not anything is there yet, and the links stay.
// All steps go through one descriptor of the folder and one of the file: a link that somebody puts under
// the file's own names is not followed.
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "engine/core/file.h"

namespace impasto {

/// What becomes of a file that is there when the new one takes its name.
enum class Existing : std::uint8_t { kKeep, kReplace };

/// commit() found a file that was to be kept; the new one lies beside it.
class KeptBeside : public Error {
 public:
  KeptBeside(const std::string& message, std::filesystem::path place)
      : Error(ErrorCode::kBadInput, message), place_(std::move(place)) {}
  [[nodiscard]] const std::filesystem::path& place() const { return place_; }

 private:
  std::filesystem::path place_;
};

/// A file in the making. Destroyed before commit(), it leaves nothing behind and the old file as it was.
class NewFile {
 public:
  /// Error(kBadInput) "WHAT: expected ..., found ..." for a place where no file can be made: missing folder,
  /// no permission, a folder or device of that name, too long a name. `what` stands in all messages.
  NewFile(std::string what, const std::filesystem::path& place, Existing existing = Existing::kReplace);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void write_at(std::size_t offset, const void* data, std::size_t bytes);
  /// The file takes its name; one that it replaces hands on its permissions. Where an old one is kept and
  /// there is one, KeptBeside (kBadInput) that says under which name the new one lies beside it.
  void commit();

 private:
  void hand_on(const struct stat& old);
  void open_under_temporary_name();
  void sync();
  /// The bytes again under a temporary name, where a file without one cannot be given any.
  void copy_to_temporary_name();
  /// Gives the file that name unless something has it; false with the reason in errno.
  [[nodiscard]] bool take_free_name(const std::string& name);
  [[noreturn]] void keep_beside();

  std::string what_;
  Existing existing_;
  std::filesystem::path target_;
  Descriptor folder_, file_;
  std::string name_, temporary_;  // in the folder; temporary_: empty while the file has no name
  bool committed_ = false;
};

/// A place that another process writes, or another Claim of this one.
class HeldElsewhere : public Error {
 public:
  explicit HeldElsewhere(const Error& error) : Error(error) {}
};

/// While one lives, nobody else gets one for the same place: what is written there, with as many NewFiles as
/// it takes, is not written by two at a time. It stands for a lock on a file
/// ".NAME.lock" beside the place, which goes with it; one that a killed process left means nothing.
class Claim {
 public:
  /// Removes what killed processes left of files in the making for this place. Error(kBadInput) as of
  /// NewFile, and HeldElsewhere "WHAT: expected to be the only one that writes it, found process 4711 at it".
  Claim(std::string what, const std::filesystem::path& place);
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  [[nodiscard]] std::filesystem::path lock_file() const;

 private:
  void lock();

  std::string what_;
  std::filesystem::path target_;
  Descriptor folder_, lock_;
  std::string name_;  // of the lock
};

/// Advisory, on what the descriptor is open on, until it is closed. HeldElsewhere (kBadInput) "WHAT:
/// expected to be the only one that writes it, found process 4711 at it" if another process has it; file
/// systems without locks are gone on with.
void require_lock(const Descriptor& file, const std::string& what);

}  // namespace impasto
