#pragma once
// What lies under load_weights, in its parts, for the reader itself and for its tests: names, the reader
// inside this process, and the same reader inside a child process that may crash or hang without harm.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/file.h"
#include "engine/core/message.h"
#include "engine/network/vgg_blocks.h"
#include "engine/network/weights.h"

namespace impasto::weights {

/// What the layout of an own file is called, before its version.
inline constexpr std::string_view kOwnLayout = "impasto-weights";

/// A weight file, opened once: what is looked at, read and hashed is this one file, whatever takes its name
/// meanwhile.
class WeightFile {
 public:
  /// Error(kBadInput) for what is no regular file of at most 4 GiB; waits for no pipe.
  WeightFile(std::filesystem::path name);  // NOLINT: where a name is given, its file is meant

  [[nodiscard]] const std::filesystem::path& name() const { return name_; }  ///< for people
  /// Its bytes when it was opened.
  [[nodiscard]] std::uintmax_t bytes() const { return bytes_; }
  /// A path for a library that opens files itself, also in a forked child; is_this() tells whether it did.
  [[nodiscard]] std::filesystem::path place() const;
  [[nodiscard]] bool is_this(int descriptor) const;
  /// How the file begins, `most` bytes of it or fewer.
  [[nodiscard]] std::vector<unsigned char> start(std::size_t most) const;
  /// MD5 of its bytes in lower-case hex; empty where OpenSSL has no MD5.
  [[nodiscard]] std::string md5() const;
  /// Error(kBadInput) if it was written to since it was opened.
  void require_unchanged() const;

 private:
  std::filesystem::path name_;
  Descriptor in_;
  std::uintmax_t bytes_ = 0, device_ = 0, number_ = 0;
  std::int64_t seconds_ = 0, nanoseconds_ = 0;  // of its last change
};

/// Throws Error(kBadInput) "weights 'FILE': MESSAGE", on one line whatever the file is called.
[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& message);

/// Text that came from a file, made fit for one line: controls and non-ASCII as '?', cut at `limit`.
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 120);

/// Runs of digits compare as numbers, so that conv2d_10 comes after conv2d_2.
[[nodiscard]] bool natural_less(std::string_view a, std::string_view b);

/// Puts the layers in network order. `network` empty: vgg19 if any block has a fourth convolution, else
/// vgg16. Throws a message without the file's name (std::invalid_argument) for a gap, for channels that do
/// not chain from 3, and for a layer the network does not have.
void assemble(Weights& weights, std::map<ConvName, ConvWeights> layers, std::string network);

/// Reads the file with libhdf5 inside this process; fills everything but name and digest. Only for files that
/// are known to be sound (by their digest), or where a crash inside libhdf5 does no harm.
[[nodiscard]] Weights read_in_process(const WeightFile& file);

/// What the child may use. The CPU time bounds a damaged file; the wall time only ends a child that sleeps.
struct ReadLimits {
  int cpu_seconds = 5;                                ///< VGG-19 with its digest takes 0.3
  int wall_seconds = 120;                             ///< of a machine that is busy with other things
  std::int64_t memory_bytes = std::int64_t{1} << 30;  ///< beyond what the process has mapped when it forks
  std::uintmax_t file_bytes = 0;                      ///< room that is taken for what comes
};

/// Enough memory for a sound file of this size, read twice over, and not for much more.
[[nodiscard]] ReadLimits limits_for(std::uintmax_t file_bytes);

/// The same, in a forked child that sends back the arrays: this process then
/// never opens the file with libhdf5, which crashes on some damaged files.
/// Threads may exist; none of them may be inside libhdf5 at that moment.
[[nodiscard]] Weights read_in_child(const WeightFile& file, const ReadLimits& limits);

/// Runs `work` in the child in place of the reader: the seam for tests of crashes and hangs.
[[nodiscard]] Weights run_in_child(const std::filesystem::path& file, const ReadLimits& limits,
                                   const std::function<Weights(const std::filesystem::path&)>& work);

/// The content digest (docs/weights.md): SHA-256 over the network's name and the names, shapes and values of
/// its layers. The same for every container, layout and writer.
struct ContentDigest {
  std::string whole;                ///< lower-case hex
  std::vector<std::string> layers;  ///< SHA-256 of each layer's filter and bias, in network order
};
[[nodiscard]] ContentDigest content_digest(const Weights& weights);

/// A published set of weights: told by what it holds where its
/// content digest is known, else by a file's size and MD5.
struct Known {
  const char *name, *file_name, *description, *source, *licence;
  std::int64_t bytes;
  const char *md5, *content;  ///< either may be empty
  Preprocessing preprocessing;
  std::span<const char* const> layers{};  ///< how each layer's digest begins, in network order; may be empty
};
/// In the order of preference, for a name and over all of them.
[[nodiscard]] std::span<const Known> known_table();

/// What a file is found to be, once it has been read.
struct Recognition {
  const Known* known = nullptr;
  std::string
      differs;  ///< "vgg16 in conv3_2, conv4_1" where most of a known network's layers are there; else empty
};
[[nodiscard]] Recognition recognise(const WeightFile& file, const Weights& weights,
                                    const ContentDigest& content,
                                    std::span<const Known> table = known_table());

/// load_weights. With `expected`, of the table, another network is refused.
[[nodiscard]] Weights load_as(const std::filesystem::path& file, const Known* expected,
                              std::span<const Known> table = known_table());

/// The command that makes a file of the own layout of another one.
[[nodiscard]] std::string convert_command(const std::filesystem::path& file);

/// Refuses what cannot be an HDF5 file, by its first bytes,
/// saying what it is and what to do; returns it, open.
[[nodiscard]] WeightFile check_file(const std::filesystem::path& file);

}  // namespace impasto::weights
