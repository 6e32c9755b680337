#include "engine/core/safetensors.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "engine/core/digest.h"
#include "engine/core/file.h"
#include "engine/core/file_kind.h"
#include "engine/core/message.h"

namespace impasto::safetensors {
namespace {

using Json = nlohmann::json;

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie in memory");
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kSeal = "sha256";
const std::string kNoDigest(64, '0');
constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxHeader = 1 << 20;  // bytes; far above what is written
constexpr std::size_t kMaxRank = 8;
constexpr std::size_t kMaxShown = 60;  // characters of a hostile text
constexpr const char* kWhole = "a whole file";
constexpr const char* kDamaged = "one that is damaged or cut short";

const char* type_name(DType dtype) { return dtype == DType::kFloat64 ? "F64" : "F32"; }

// --- writing

Error unwritable(const std::string& name, const std::string& expected) {
  return make_error(ErrorCode::kUsage, "safetensors {}: expected {}, found something else", in_quotes(name),
                    expected);
}

std::size_t bytes_of(const Description& tensor) {
  std::size_t bytes = size_of(tensor.dtype);
  for (const std::int64_t size : tensor.shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::size_t>(size), &bytes)) {
      throw unwritable(tensor.name, "a shape that memory holds");
    }
  }
  return bytes;
}

/// With the seal open.
std::string make_header(Metadata metadata, std::span<const View* const> tensors) {
  metadata[kSeal] = kNoDigest;
  Json header;
  header[kMetadata] = metadata;
  std::size_t offset = 0;
  for (const View* t : tensors) {
    if (t->dtype != DType::kFloat32 && t->dtype != DType::kFloat64) {
      throw unwritable(t->name, "float32 or float64");
    }
    if (t->data.size() != bytes_of(*t)) throw unwritable(t->name, "data of its shape");
    if (header.contains(t->name)) throw unwritable(t->name, "a name of its own");
    header[t->name] = {{"dtype", type_name(t->dtype)},
                       {"shape", t->shape},
                       {"data_offsets", {offset, offset + t->data.size()}}};
    offset += t->data.size();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    throw unwritable("header", "UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kMaxHeader) throw unwritable("header", fmt::format("at most {} bytes", kMaxHeader));
  return text;
}

// --- reading

/// One open file.
struct Source {
  std::string what;
  Descriptor file;
  std::uint64_t data_bytes = 0;  ///< after the header
  Sha256 digest;                 ///< of what was read, with the seal open

  [[nodiscard]] Error bad(const std::string& expected, const std::string& found) const {
    return file_error(what, expected, found);
  }
  /// The next `bytes`; fewer at the end of the file.
  std::size_t read(void* to, std::size_t bytes) const {
    const auto done = file.read(to, bytes);
    if (!done) throw file_error(what, "a readable file");
    return *done;
  }
};

/// Everything before the data: the length and the header.
std::string read_header(Source& source, const std::filesystem::path& path, const std::string& kind) {
  // One open for all that is asked of it.
  source.file = Descriptor::open(path, Access::kReadNow);
  struct stat status {};
  if (!source.file.valid() || ::fstat(source.file.number(), &status) != 0)
    throw file_error(source.what, kind);
  if (!S_ISREG(status.st_mode)) throw source.bad(kind, "no regular file");
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  constexpr std::size_t kStart = kLengthBytes + 1;
  std::vector<unsigned char> start(kFileKindBytes);
  start.resize(source.read(start.data(), kStart));
  if (start.size() < kStart || bytes < kStart || start[kLengthBytes] != '{') {
    const std::size_t read = start.size();
    start.resize(kFileKindBytes);
    start.resize(read + source.read(start.data() + read, kFileKindBytes - read));
    const std::string found = describe_file_kind(start);
    throw source.bad(kind, found.empty() ? "another file" : found);
  }
  std::uint64_t length = 0;
  std::memcpy(&length, start.data(), kLengthBytes);
  if (length < 2 || length > kMaxHeader) {
    throw source.bad(fmt::format("a header of 2 to {} bytes", kMaxHeader), fmt::format("one of {}", length));
  }
  if (length > bytes - kLengthBytes) throw source.bad(kWhole, kDamaged);
  source.data_bytes = bytes - kLengthBytes - length;
  std::string header(start.begin(), start.end());
  header.resize(kLengthBytes + length);
  if (source.read(header.data() + kStart, header.size() - kStart) != header.size() - kStart) {
    throw source.bad(kWhole, kDamaged);
  }
  return header;
}

/// Without a name twice in an object, and not deeper than a header is.
Json parse(const Source& source, std::string_view text) {
  constexpr int kMaxDepth = 3;  // objects and lists in each other
  std::vector<std::set<std::string>> names;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    if (opens && depth >= kMaxDepth) throw source.bad("a header of tensors", "JSON of another form");
    if (event == Event::object_start) names.emplace_back();
    if (event == Event::object_end) names.pop_back();
    if (event == Event::key && !names.back().insert(value.get<std::string>()).second) {
      throw source.bad("each name once", in_quotes(value.get<std::string>()) + " twice");
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception&) {
    throw source.bad("a header in JSON", "one that is damaged");
  }
}

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= kMaxShown ? text : text.substr(0, kMaxShown) + "...";
}

Metadata read_metadata(const Source& source, const Json& header, const std::string& kind) {
  const auto found = header.find(kMetadata);
  if (found == header.end() || !found->is_object() || !found->contains(kSeal)) {
    throw source.bad(kind, "a safetensors file of another program");
  }
  Metadata metadata;
  for (const auto& [name, text] : found->items()) {
    if (!text.is_string()) throw source.bad("a text as " + in_quotes(name), shown(text));
    metadata[name] = text.get<std::string>();
  }
  return metadata;
}

struct Entry {
  Description tensor;
  std::uint64_t begin = 0, end = 0;
};

Entry read_entry(const Source& source, const std::string& name, const Json& value) {
  const auto require = [&](bool ok, const std::string& expected, const Json& found) {
    if (!ok) throw source.bad(fmt::format("{} of the tensor {}", expected, in_quotes(name)), shown(found));
  };
  const auto whole = [](const Json& number) { return number.is_number_unsigned(); };
  require(value.is_object() && value.size() == 3 && value.contains("dtype") && value.contains("shape") &&
              value.contains("data_offsets"),
          "dtype, shape and data_offsets", value);
  const Json &dtype = value["dtype"], &shape = value["shape"], &offsets = value["data_offsets"];
  Entry entry{{name, dtype == "F64" ? DType::kFloat64 : DType::kFloat32, {}}};
  require(dtype == type_name(entry.tensor.dtype), "a dtype F32 or F64", dtype);
  require(shape.is_array() && shape.size() <= kMaxRank && std::all_of(shape.begin(), shape.end(), whole),
          fmt::format("a shape of at most {} whole numbers", kMaxRank), shape);
  require(offsets.is_array() && offsets.size() == 2 && whole(offsets[0]) && whole(offsets[1]),
          "two data_offsets", offsets);
  const bool empty = std::find(shape.begin(), shape.end(), Json(0U)) != shape.end();
  std::uint64_t bytes = empty ? 0 : size_of(entry.tensor.dtype);
  for (const Json& number : shape) {
    const auto size = number.get<std::uint64_t>();
    const std::uint64_t most = source.data_bytes / std::max<std::uint64_t>(bytes, 1);
    require(empty ? size <= INT64_MAX : size <= most, "a shape that the file has room for", shape);
    bytes *= size;
    entry.tensor.shape.push_back(static_cast<std::int64_t>(size));
  }
  entry.begin = offsets[0].get<std::uint64_t>();
  entry.end = offsets[1].get<std::uint64_t>();
  require(entry.begin <= entry.end && entry.end - entry.begin == bytes,
          fmt::format("data_offsets with {} bytes between them", bytes), offsets);
  return entry;
}

/// In the order of their bytes, which are all that follows the header.
std::vector<Entry> read_entries(const Source& source, const Json& header) {
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name != kMetadata) entries.push_back(read_entry(source, name, value));
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t next = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != next) {
      throw source.bad(fmt::format("the tensor {} at {}", in_quotes(entry.tensor.name), next),
                       std::to_string(entry.begin));
    }
    next = entry.end;
  }
  if (next != source.data_bytes) throw source.bad(kWhole, kDamaged);
  return entries;
}

}  // namespace

void write(const std::filesystem::path& path, Existing existing, Metadata metadata,
           std::span<const View> tensors) {
  std::vector<const View*> order;
  for (const View& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(),
                   [](const View* a, const View* b) { return size_of(a->dtype) > size_of(b->dtype); });
  std::string header = make_header(std::move(metadata), order);
  const std::uint64_t length = header.size();
  header.insert(0, std::string(reinterpret_cast<const char*>(&length), kLengthBytes));

  NewFile file(path.string(), path, existing);
  Sha256 digest;
  digest.update(header.data(), header.size());
  std::size_t offset = header.size();
  for (const View* tensor : order) {
    digest.update(tensor->data.data(), tensor->data.size());
    file.write_at(offset, tensor->data.data(), tensor->data.size());
    offset += tensor->data.size();
  }
  // In a text the quotes would be escaped: only the seal itself can read so.
  const std::string name = fmt::format("\"{}\":\"", kSeal);
  header.replace(header.find(name + kNoDigest) + name.size(), kNoDigest.size(), digest.hex());
  file.write_at(0, header.data(), header.size());
  file.commit();
}

File read(const std::filesystem::path& path, const std::string& kind) {
  Source source{path.string(), {}, 0, {}};
  std::string header = read_header(source, path, kind);
  const Json parsed = parse(source, std::string_view(header).substr(kLengthBytes));
  File file{read_metadata(source, parsed, kind), {}};
  const std::string seal = file.metadata.extract(kSeal).mapped();
  const std::size_t at = header.find('"' + seal + '"');
  if (seal.size() != kNoDigest.size() || at == std::string::npos) {
    throw source.bad("64 digits as \"sha256\"", in_quotes(seal));
  }
  header.replace(at + 1, kNoDigest.size(), kNoDigest);
  source.digest.update(header.data(), header.size());
  for (Entry& entry : read_entries(source, parsed)) {
    Tensor tensor{std::move(entry.tensor), {}};
    tensor.data.resize(entry.end - entry.begin);
    if (source.read(tensor.data.data(), tensor.data.size()) != tensor.data.size()) {
      throw source.bad(kWhole, kDamaged);
    }
    source.digest.update(tensor.data.data(), tensor.data.size());
    file.tensors.push_back(std::move(tensor));
  }
  if (source.digest.hex() != seal) throw source.bad(kWhole, kDamaged);
  return file;
}

std::string to_string(const Description& tensor) {
  return fmt::format("{}({})", impasto::to_string(tensor.dtype), fmt::join(tensor.shape, ","));
}

std::string in_quotes(const std::string& text) {
  const std::string plain = Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
  return plain.size() <= kMaxShown ? plain : plain.substr(0, kMaxShown) + "...\"";
}

}  // namespace impasto::safetensors
