#include "engine/network/weights_hdf5_access.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace impasto::weights::h5 {

using hdf5::own;

namespace {

constexpr hsize_t kMaxLinks = 4096;       // members of one group; VGG19 as a whole model has 27
constexpr hsize_t kMaxStrings = 4096;     // elements of one string attribute
constexpr std::size_t kMaxString = 4096;  // bytes of one of them
constexpr std::int64_t kMaxChannels = 16384;

}  // namespace

void fail(const std::string& message) { throw std::invalid_argument(message); }

Handle need(hid_t id, const std::string& what) {
  return own(id, what + ": expected to be readable, found damage");
}

// ---- links and groups

Kind kind_of(hid_t group, const std::string& name) {
  const htri_t exists = H5Lexists(group, name.c_str(), H5P_DEFAULT);
  if (exists < 0) fail(printable(name) + ": expected a readable link, found damage");
  if (exists == 0) return Kind::kMissing;
  H5L_info_t link;
  if (H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT) < 0)
    fail(printable(name) + ": expected a readable link, found damage");
  if (link.type != H5L_TYPE_HARD)
    fail(printable(name) + ": expected a hard link, found a soft or external one");
  const Handle object = need(H5Oopen(group, name.c_str(), H5P_DEFAULT), printable(name));
  switch (H5Iget_type(object)) {
    case H5I_GROUP: return Kind::kGroup;
    case H5I_DATASET: return Kind::kDataset;
    default: return Kind::kOther;
  }
}

std::vector<std::string> components(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (end > at) parts.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

Handle open_path(hid_t from, const std::string& path, Kind kind) {
  Handle here;
  const std::vector<std::string> parts = components(path);
  if (parts.empty() || parts.size() > kMaxDepth)
    fail("expected the name of an array, found an empty or long one");
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Kind wanted = i + 1 < parts.size() ? Kind::kGroup : kind;
    const hid_t at = i == 0 ? from : static_cast<hid_t>(here);
    const Kind found = kind_of(at, parts[i]);
    const std::string what =
        printable(path) + ": expected a " + (wanted == Kind::kGroup ? "group" : "dataset");
    if (found == Kind::kMissing) fail(what + ", found none");
    if (found != wanted) fail(what + ", found another kind of object");
    here = need(H5Oopen(at, parts[i].c_str(), H5P_DEFAULT), printable(path));
  }
  return here;
}

std::vector<std::string> members(hid_t group) {
  H5G_info_t info;
  if (H5Gget_info(group, &info) < 0) fail("expected a readable group, found damage");
  if (info.nlinks > kMaxLinks) fail(fmt::format("expected a group of layers, found {} members", info.nlinks));
  std::vector<std::string> names;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    const auto name_at = [&](char* to, std::size_t size) {
      return H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, to, size, H5P_DEFAULT);
    };
    const ssize_t length = name_at(nullptr, 0);
    if (length <= 0 || length > static_cast<ssize_t>(kMaxString))
      fail("expected names of layers, found damage");
    std::string name(static_cast<std::size_t>(length) + 1, '\0');
    if (name_at(name.data(), name.size()) < 0) fail("expected names of layers, found damage");
    name.resize(static_cast<std::size_t>(length));
    names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end(), natural_less);
  return names;
}

// ---- attributes

namespace {

Handle open_attribute(hid_t object, const std::string& name) {
  const htri_t exists = H5Aexists(object, name.c_str());
  if (exists < 0) fail("attribute " + name + ": expected to be readable, found damage");
  return exists == 0 ? Handle() : need(H5Aopen(object, name.c_str(), H5P_DEFAULT), "attribute " + name);
}

hsize_t count_of(hid_t space, const std::string& what, hsize_t limit) {
  if (H5Sget_simple_extent_type(space) == H5S_NULL) return 0;
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  if (count < 0 || static_cast<hsize_t>(count) > limit || H5Sget_simple_extent_ndims(space) > 1)
    fail(what + ": expected a short list, found another shape");
  return static_cast<hsize_t>(count);
}

}  // namespace

std::optional<std::vector<std::string>> strings(hid_t object, const std::string& name,
                                                std::size_t most_bytes) {
  const std::string what = "attribute " + name;
  const Handle attribute = open_attribute(object, name);
  if (!attribute.valid()) return std::nullopt;
  const Handle space = need(H5Aget_space(attribute), what);
  const hsize_t count = count_of(space, what, kMaxStrings);
  std::vector<std::string> result;
  if (count == 0) return result;  // Keras writes an empty list as float64
  const Handle type = need(H5Aget_type(attribute), what);
  if (H5Tget_class(type) != H5T_STRING) fail(what + ": expected text, found another type");
  if (H5Tis_variable_str(type) > 0) {
    std::vector<char*> pointers(count, nullptr);
    if (H5Aread(attribute, type, pointers.data()) < 0) fail(what + ": expected to be readable, found damage");
    for (const char* p : pointers) result.emplace_back(p == nullptr ? "" : p);
    if (H5Dvlen_reclaim(type, space, H5P_DEFAULT, pointers.data()) < 0)
      fail(what + ": expected to be readable, found damage");
  } else {
    const std::size_t size = H5Tget_size(type);
    if (size == 0 || size > most_bytes)
      fail(fmt::format("{}: expected short names, found {} bytes", what, size));
    std::string buffer(size * count, '\0');
    if (H5Aread(attribute, type, buffer.data()) < 0) fail(what + ": expected to be readable, found damage");
    const bool spaces = H5Tget_strpad(type) == H5T_STR_SPACEPAD;
    for (hsize_t i = 0; i < count; ++i) {
      std::string text = buffer.substr(i * size, size);
      text.resize(std::min(text.find('\0'), text.size()));
      while (spaces && !text.empty() && text.back() == ' ') text.pop_back();
      result.push_back(std::move(text));
    }
  }
  for (const std::string& text : result)
    if (text.size() > most_bytes) fail(what + ": expected short names, found a long one");
  return result;
}

std::optional<std::vector<std::string>> split_strings(hid_t object, const std::string& name) {
  if (auto whole = strings(object, name)) return whole;
  std::optional<std::vector<std::string>> result;
  for (int part = 0; part < 1000; ++part) {
    const auto more = strings(object, name + std::to_string(part));
    if (!more) break;
    if (!result) result.emplace();
    result->insert(result->end(), more->begin(), more->end());
  }
  return result;
}

std::string text(hid_t object, const std::string& name) {
  const auto all = strings(object, name);
  return all && !all->empty() ? all->front() : "";
}

std::string long_text(hid_t object, const std::string& name) {
  const auto all = strings(object, name, std::size_t{16} << 20);
  return all && all->size() == 1 ? all->front() : "";
}

std::optional<std::vector<double>> numbers(hid_t object, const std::string& name, hsize_t count) {
  const std::string what = "attribute " + name;
  const Handle attribute = open_attribute(object, name);
  if (!attribute.valid()) return std::nullopt;
  const Handle type = need(H5Aget_type(attribute), what);
  const bool plain = H5Tequal(type, H5T_IEEE_F64LE) > 0 || H5Tequal(type, H5T_IEEE_F32LE) > 0 ||
                     H5Tequal(type, H5T_STD_I64LE) > 0 || H5Tequal(type, H5T_STD_I32LE) > 0;
  const Handle space = need(H5Aget_space(attribute), what);
  if (!plain || count_of(space, what, count) != count)
    fail(fmt::format("{}: expected {} numbers, found another type or shape", what, count));
  std::vector<double> values(count);
  if (H5Aread(attribute, H5T_NATIVE_DOUBLE, values.data()) < 0)
    fail(what + ": expected to be readable, found damage");
  for (const double v : values)
    if (!std::isfinite(v)) fail(what + ": expected finite numbers, found another");
  return values;
}

// ---- arrays

namespace {

std::string shape_text(const std::vector<std::int64_t>& dims) {
  std::string s;
  for (const std::int64_t d : dims) {
    s += s.empty() ? '(' : ',';
    s += std::to_string(d);
  }
  return s.empty() ? "()" : s + ')';
}

}  // namespace

std::vector<std::int64_t> dims_of(hid_t dataset, const std::string& what) {
  const Handle space = need(H5Dget_space(dataset), what);
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0 || rank > 8 || H5Sis_simple(space) <= 0)
    fail(what + ": expected a simple array, found another");
  hsize_t dims[8] = {}, most[8] = {};
  if (H5Sget_simple_extent_dims(space, dims, most) != rank) fail(what + ": expected a shape, found damage");
  std::vector<std::int64_t> result;
  for (int i = 0; i < rank; ++i) {
    if (dims[i] != most[i] || dims[i] > hsize_t{1} << 40)
      fail(what + ": expected a fixed shape, found another");
    result.push_back(static_cast<std::int64_t>(dims[i]));
  }
  return result;
}

namespace {

/// A float32 dataset whose bytes lie in one piece inside the file. The shape has been checked by the caller.
std::vector<float> read_floats(hsize_t file_bytes, hid_t dataset, const std::vector<std::int64_t>& dims,
                               const std::string& what) {
  const Handle type = need(H5Dget_type(dataset), what);
  if (H5Tequal(type, H5T_IEEE_F32LE) <= 0 && H5Tequal(type, H5T_IEEE_F32BE) <= 0) {
    const bool real = H5Tget_class(type) == H5T_FLOAT;
    throw Convertible(fmt::format("{}: expected float32, found {}", what,
                                  real ? fmt::format("float{}", 8 * H5Tget_size(type)) : "another type"));
  }
  const Handle list = need(H5Dget_create_plist(dataset), what);
  const H5D_layout_t layout = H5Pget_layout(list);
  if (layout == H5D_CHUNKED || layout == H5D_COMPACT)
    throw Convertible(what + ": expected plain contiguous storage, found " +
                      (layout == H5D_COMPACT        ? "compact"
                       : H5Pget_nfilters(list) != 0 ? "compressed"
                                                    : "chunked") +
                      " storage");
  if (layout != H5D_CONTIGUOUS || H5Pget_nfilters(list) != 0 || H5Pget_external_count(list) != 0)
    fail(what + ": expected plain contiguous storage, found virtual or external storage");
  std::size_t count = 1;  // at most 9 * 16384^2: no overflow
  for (const std::int64_t d : dims) count *= static_cast<std::size_t>(d);
  const std::size_t bytes = count * sizeof(float);
  const hsize_t stored = H5Dget_storage_size(dataset);
  if (stored != bytes) fail(fmt::format("{}: expected {} bytes, found {}", what, bytes, stored));
  const haddr_t offset = H5Dget_offset(dataset);
  if (offset == HADDR_UNDEF || offset > file_bytes || bytes > file_bytes - offset)
    fail(what + ": expected data inside the file, found it outside");
  std::vector<float> values(count);
  if (H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    fail(what + ": expected to be readable, found damage");
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
    fail(what + ": expected finite values, found NaN or infinity");
  return values;
}

}  // namespace

bool is_filter(const std::vector<std::int64_t>& d) {
  return d.size() == 4 && d[0] == 3 && d[1] == 3 && d[2] >= 1 && d[3] >= 1 && d[2] <= kMaxChannels &&
         d[3] <= kMaxChannels;
}

bool is_float(hid_t dataset) {
  const Handle type = need(H5Dget_type(dataset), "array");
  return H5Tget_class(type) == H5T_FLOAT;
}

ConvWeights read_conv(hsize_t file_bytes, hid_t filter, hid_t bias, const std::string& name) {
  const std::vector<std::int64_t> shape = dims_of(filter, name), bias_shape = dims_of(bias, name + " bias");
  if (!is_filter(shape)) fail(fmt::format("{}: expected (3,3,in,out), file has {}", name, shape_text(shape)));
  if (bias_shape != std::vector<std::int64_t>{shape[3]})
    fail(fmt::format("{} bias: expected ({}), file has {}", name, shape[3], shape_text(bias_shape)));
  return {name, shape[2], shape[3], read_floats(file_bytes, filter, shape, name),
          read_floats(file_bytes, bias, bias_shape, name + " bias")};
}

}  // namespace impasto::weights::h5
