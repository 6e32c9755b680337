#pragma once
// VGG weights on the host: what was read, where from, and how a picture must be prepared for it.
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace impasto {

/// One 3x3 convolution. Names are the field's: conv1_1 ... conv5_4.
struct ConvWeights {
  std::string name;
  std::int64_t in_channels = 0, out_channels = 0;
  std::vector<float> filter;  ///< (3, 3, in, out): HWIO, cross-correlation, not flipped
  std::vector<float> bias;    ///< (out)
};

/// Input of the network = (pixel * 255 - mean[c]) * scale[c], pixel 0..1, channels in the order named.
struct Preprocessing {
  bool bgr = true;                                       ///< channel 0 of filter and mean is blue (else red)
  std::array<double, 3> mean{103.939, 116.779, 123.68};  ///< in the network's channel order, 0..255
  std::array<double, 3> scale{1, 1, 1};                  ///< in the network's channel order
};

struct Weights {
  std::string network;  ///< "vgg16" or "vgg19"
  std::vector<ConvWeights>
      layers;  ///< in network order, from conv1_1, without a gap; may stop early (conv5_1)
  Preprocessing preprocessing;
  std::string name;             ///< "vgg19", "hed-vgg16", "random:7", or the file's name where unknown
  std::string source, licence;  ///< one line each; empty if unknown
  std::string layout;           ///< which layout the file had, for `weights inspect`
  std::string digest;           ///< content digest in hex (docs/weights.md); "random:SEED" for generated ones
  std::string note;             ///< one line for people on how an unknown file was understood; else empty
};

/// Reads any supported HDF5 layout (docs/weights.md). Throws Error(kBadInput) for everything that is not
/// whole, finite, of the expected shape and inside the file itself.
[[nodiscard]] Weights load_weights(const std::filesystem::path& file);

/// He-initialised weights for tests and benchmarks: "vgg16" or "vgg19", the same for a seed everywhere.
[[nodiscard]] Weights random_weights(const std::string& network, std::uint64_t seed);

/// Resolves what --weights takes: a path, a known name ("vgg19", "vgg16", "hed-vgg16") looked for in
/// $IMPASTO_WEIGHTS (a file or a folder), $XDG_DATA_HOME/impasto (~/.local/share/impasto), the installation's
/// data folder; "random:SEED" or "random-vgg16:SEED"; empty: the first of vgg19, vgg16, hed-vgg16 that is
/// found. Not found: Error(kBadInput) that names the fetch command.
[[nodiscard]] Weights find_weights(const std::string& name_or_path);

/// The files that are there of those that find_weights may read for it.
[[nodiscard]] std::vector<std::filesystem::path> weight_files(const std::string& name_or_path);

/// What `impasto weights list` prints: each known file, and where it was found.
struct KnownWeights {
  std::string name, file_name, description, licence;
  std::int64_t bytes = 0;
  std::string md5, content;  ///< of the file, and of what it holds (docs/weights.md); either may be empty
  std::optional<std::filesystem::path> found;
};
[[nodiscard]] std::vector<KnownWeights> known_weights();

}  // namespace impasto
