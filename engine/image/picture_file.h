#pragma once
// The bytes of a picture file, no more of them than a picture can need.
#include <filesystem>
#include <functional>
#include <vector>

#include "engine/core/file_kind.h"
#include "engine/image/codec.h"

namespace impasto::codec {

/// How many first bytes are looked at before the rest is read.
inline constexpr std::size_t kStartBytes = kFileKindBytes;

/// A whole file, or what comes through a pipe until it ends. `check_start` sees the first kStartBytes of it,
/// and refuses what is no picture before more is read. Error(kBadInput) "WHAT: ..." for a folder, a device,
/// a file that cannot be read, and one larger than any of max_pixels could be; kResources without memory.
[[nodiscard]] std::vector<std::uint8_t> read_picture_file(const std::filesystem::path& file,
                                                          std::int64_t max_pixels,
                                                          const std::function<void(Bytes)>& check_start);

}  // namespace impasto::codec
