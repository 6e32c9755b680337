#pragma once
// What a file is, by its first bytes: for messages about files that cannot be used ("found a GIF picture").
#include <cstddef>
#include <span>
#include <string>

namespace impasto {

/// How many first bytes describe_file_kind makes use of; fewer will do, with fewer kinds told apart.
inline constexpr std::size_t kFileKindBytes = 4096;

/// The kind of a file that starts with these bytes, with its article: "a GIF picture", "a HEIC picture",
/// "a web page", "a Git LFS pointer", "a NumPy archive (.npz)", "a PyTorch file", "an ONNX model". Empty
/// where the bytes show none of them; "an empty file" for no bytes. A name for people: what a file
/// says of itself, not what it is proved to be. Never throws but for memory.
[[nodiscard]] std::string describe_file_kind(std::span<const unsigned char> first_bytes);

}  // namespace impasto
