#pragma once
// HDF5 as the reader of weights needs it: hard links alone, attributes of text
// and numbers, and arrays that lie plainly inside the file. Every function
// throws std::invalid_argument with a message without the file's name.
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/network/hdf5.h"
#include "engine/network/weights_file.h"

namespace impasto::weights::h5 {

using hdf5::Handle;

inline constexpr int kMaxDepth = 12;  // of nested groups

/// A file that weights_tools/convert.py makes readable, as it stands.
class Convertible : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

[[noreturn]] void fail(const std::string& message);
[[nodiscard]] Handle need(hid_t id, const std::string& what);

enum class Kind { kMissing, kGroup, kDataset, kOther };

/// What `name` (one component) in `group` is, following nothing but a hard link.
[[nodiscard]] Kind kind_of(hid_t group, const std::string& name);

/// "a/b/c" as its parts.
[[nodiscard]] std::vector<std::string> components(const std::string& path);

/// Opens a group or dataset below `from`, component by component.
[[nodiscard]] Handle open_path(hid_t from, const std::string& path, Kind kind);

/// Names in a group, sorted as people count.
[[nodiscard]] std::vector<std::string> members(hid_t group);

/// All strings of an attribute, fixed-length (NUL or space
/// padded) or variable-length; nothing if it does not exist.
[[nodiscard]] std::optional<std::vector<std::string>> strings(hid_t object, const std::string& name,
                                                              std::size_t most_bytes = 4096);

/// A list that Keras splits into name0, name1, ... where it passes 64,512 bytes.
[[nodiscard]] std::optional<std::vector<std::string>> split_strings(hid_t object, const std::string& name);

/// A text attribute of one element; empty if it does not exist.
[[nodiscard]] std::string text(hid_t object, const std::string& name);

/// The same for text of up to 16 MiB, such as Keras' description of a model.
[[nodiscard]] std::string long_text(hid_t object, const std::string& name);

/// A numeric attribute of `count` elements, converted to double.
[[nodiscard]] std::optional<std::vector<double>> numbers(hid_t object, const std::string& name,
                                                         hsize_t count);

/// The shape of a dataset, of at most 8 dimensions.
[[nodiscard]] std::vector<std::int64_t> dims_of(hid_t dataset, const std::string& what);

/// Whether it is (3, 3, in, out) of a sane size.
[[nodiscard]] bool is_filter(const std::vector<std::int64_t>& dims);

/// Whether the dataset holds floating-point numbers.
[[nodiscard]] bool is_float(hid_t dataset);

/// Filter and bias of one convolution, whose bytes lie in one piece each inside the file.
[[nodiscard]] ConvWeights read_conv(hsize_t file_bytes, hid_t filter, hid_t bias, const std::string& name);

}  // namespace impasto::weights::h5
