#pragma once
// What lies under load_weights, in its parts, for the reader itself and for its tests: names, the reader
// inside this process, and the same reader inside a child process that may crash or hang without harm.
#include <compare>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "engine/core/error.h"
#include "engine/network/weights.h"

namespace impasto::weights {

/// Throws Error(kBadInput) "weights 'FILE': MESSAGE", on one line whatever the file is called.
[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& message);

/// Text that came from a file, made fit for one line: controls and non-ASCII as '?', cut at `limit`.
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 120);

/// Block 1..5 and convolution 1..4 inside it.
struct ConvName {
  int block = 0, conv = 0;
  friend constexpr auto operator<=>(const ConvName&, const ConvName&) = default;
  [[nodiscard]] std::string str() const {  ///< conv3_2
    return "conv" + std::to_string(block) + "_" + std::to_string(conv);
  }
};

/// "block3_conv2", "conv3_2", and either of them with what Keras appends ("block3_conv2_W_1:0"); else
/// nothing.
[[nodiscard]] std::optional<ConvName> parse_conv_name(std::string_view name);

/// Runs of digits compare as numbers, so that conv2d_10 comes after conv2d_2.
[[nodiscard]] bool natural_less(std::string_view a, std::string_view b);

/// How many convolutions a block of the network has: 2 2 3 3 3 (vgg16), 2 2 4 4 4 (vgg19).
[[nodiscard]] int convs_in_block(std::string_view network, int block);

/// Puts the layers in network order. `network` empty: vgg19 if any block has a fourth convolution, else
/// vgg16. Throws a message without the file's name (std::invalid_argument) for a gap, for channels that do
/// not chain from 3, and for a layer the network does not have.
void assemble(Weights& weights, std::map<ConvName, ConvWeights> layers, std::string network);

/// Reads the file with libhdf5 inside this process; fills everything but name and digest. Only for files that
/// are known to be sound (by their digest), or where a crash inside libhdf5 does no harm.
[[nodiscard]] Weights read_in_process(const std::filesystem::path& file);

/// What the child may use. The CPU time bounds a damaged file; the wall time only ends a child that sleeps.
struct ReadLimits {
  int cpu_seconds = 2;  ///< VGG-19 takes 0.1
  int wall_seconds = 30;
  std::int64_t memory_bytes = std::int64_t{1} << 30;  ///< beyond what the process has mapped when it forks
};

/// Enough memory for a sound file of this size, read twice over, and not for much more.
[[nodiscard]] ReadLimits limits_for(std::uintmax_t file_bytes);

/// The same, in a forked child that sends back the arrays: this process then never opens the file with
/// libhdf5, which crashes on some damaged files. Threads may exist; none of them may be inside libhdf5 at
/// that moment.
[[nodiscard]] Weights read_in_child(const std::filesystem::path& file, const ReadLimits& limits);

/// Runs `work` in the child in place of the reader: the seam for tests of crashes and hangs.
[[nodiscard]] Weights run_in_child(const std::filesystem::path& file, const ReadLimits& limits,
                                   Weights (*work)(const std::filesystem::path&));

struct Digests {
  std::string sha256, md5;  ///< lower-case hex
};
[[nodiscard]] Digests digest_file(const std::filesystem::path& file);

}  // namespace impasto::weights
