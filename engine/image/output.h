#pragma once
// Where encoders put the bytes of a file.
#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

#include "engine/core/new_file.h"

namespace impasto::codec {

/// Collects what is written into blocks, and puts these into a file in the making.
class Output {
 public:
  /// Borrows the file.
  explicit Output(NewFile& file);
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// At the position, which moves on. Throws as NewFile::write_at.
  void write(const void* data, std::size_t bytes);
  /// The same from C: false where it failed; why is for rethrow() to say.
  [[nodiscard]] bool try_write(const void* data, std::size_t bytes) noexcept;
  /// Where the next bytes go. Throws as write().
  void seek(std::uint64_t position);
  [[nodiscard]] bool try_seek(std::uint64_t position) noexcept;
  [[nodiscard]] std::uint64_t position() const { return start_ + block_.size(); }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// What is still held. Throws as write().
  void flush();
  /// Throws what a write or seek failed of, if one did.
  void rethrow() const;

 private:
  template <class Work>
  bool attempt(const Work& work) noexcept;

  NewFile& file_;
  std::vector<std::uint8_t> block_;  // of the file from start_ on, not yet written
  std::uint64_t start_ = 0, size_ = 0;
  std::exception_ptr failure_;
};

}  // namespace impasto::codec
