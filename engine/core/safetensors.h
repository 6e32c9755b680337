#pragma once
// Tensors and texts in one file of the safetensors format (github.com/huggingface/safetensors): the length of
// the header in 8 bytes, the header in JSON (for each tensor its type, shape and place; under "__metadata__"
// texts by name), padded with spaces to a multiple of 8 bytes, then the tensors without gaps between them.
// Numbers are little-endian.
//
// Files of this program are sealed: the text "sha256" is the digest of the whole file, in 64 hexadecimal
// digits, taken with zeros ('0') in their place. So a file that was cut short or damaged anywhere is known.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/core/new_file.h"
#include "engine/core/tensor.h"

namespace impasto::safetensors {

using Metadata = std::map<std::string, std::string>;

struct Description {
  std::string name;
  DType dtype = DType::kFloat32;    ///< kFloat32 or kFloat64
  std::vector<std::int64_t> shape;  ///< none of them negative
};

/// "float32(4,3,3)"
[[nodiscard]] std::string to_string(const Description& tensor);

/// A tensor to write, in the caller's memory.
struct View : Description {
  std::span<const std::byte> data;
};

/// A tensor that was read.
struct Tensor : Description {
  std::vector<std::byte> data;
};

struct File {
  Metadata metadata;            ///< all but the seal
  std::vector<Tensor> tensors;  ///< in the order of their bytes
};

/// Writes the file at `path`, whole or not at all (NewFile); tensors of wider types come first, so that each
/// is aligned. Error(kBadInput) if it cannot be; kUsage for names that are not distinct, texts that are
/// not UTF-8, data of another size than the shape's, and a header that read() would refuse.
void write(const std::filesystem::path& path, Existing existing, Metadata metadata,
           std::span<const View> tensors);

/// A sealed file. Nothing in it is believed: memory is taken for what the file holds and no more.
/// Error(kBadInput) "PATH: expected ..., found ..." in one line for anything else; `kind` is what it expects
/// where the file is not of this format or has no seal: "a checkpoint".
[[nodiscard]] File read(const std::filesystem::path& path, const std::string& kind);

/// A text of unknown origin for a message: in quotes, in printable ASCII, and not long.
[[nodiscard]] std::string in_quotes(const std::string& text);

}  // namespace impasto::safetensors
