#pragma once
// Where a render may write, checked before the long work begins.
#include <filesystem>
#include <string>
#include <vector>

namespace impasto::apps {

struct Place {
  std::string what;            ///< "output", "trace", ...
  std::filesystem::path path;  ///< empty: not asked for
};

/// Error(kBadInput) for an input that is not there or is a folder.
void require_inputs(const std::vector<Place>& inputs);

enum class Existing : bool { kRefuse, kReplace };

/// Error(kBadInput) unless a file can be made at this place: its folder, or that of the file that links lead
/// to, is there and can be written (tried with a file that is removed at once), the name is not too long, and
/// nothing stands there that must be kept.
void require_writable(const Place& output, Existing existing);

/// The same for what is written bit by bit: it may be a terminal, a pipe or another device.
void require_stream(const Place& output, Existing existing);

/// Error(kUsage) if two of the outputs, or an output and an input, are the same file.
void require_distinct(const std::vector<Place>& outputs, const std::vector<Place>& inputs);

/// "folder/out.png", 50 -> "folder/out-000050.png"
[[nodiscard]] std::filesystem::path numbered(const std::filesystem::path& output, long long number);

}  // namespace impasto::apps
