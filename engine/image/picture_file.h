#pragma once
// The bytes of a picture file, no more of them than a picture can need.
#include <filesystem>
#include <functional>
#include <vector>

#include "engine/image/codec.h"

namespace impasto::codec {

/// read_file. `check_start` sees the first kFileKindBytes, and refuses what is no picture before more is
/// read. Error(kBadInput) also for a file that is larger than any of max_pixels could be; kResources without
/// memory.
[[nodiscard]] std::vector<std::uint8_t> read_picture_file(const std::filesystem::path& file,
                                                          std::int64_t max_pixels,
                                                          const std::function<void(Bytes)>& check_start);

/// The same with codec_for_content as check: of an unknown format no more is read than shows that.
[[nodiscard]] std::vector<std::uint8_t> read_known_picture_file(const std::filesystem::path& file,
                                                                std::int64_t max_pixels);

}  // namespace impasto::codec
