// The reader of every HDF5 layout (docs/weights.md), with libhdf5's C API. It opens nothing but hard links,
// step by step, and reads a dataset only after type, rank, sizes and place in the file have proved to be the
// plain ones.
#include <H5PLpublic.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

#include "engine/core/hdf5.h"
#include "engine/network/weights_file.h"

namespace impasto::weights {
namespace {

using hdf5::Handle;
using hdf5::own;

constexpr hsize_t kMaxLinks = 4096;       // members of one group; VGG19 as a whole model has 27
constexpr int kMaxGroups = 20000;         // visited in one file
constexpr int kMaxDepth = 12;             // of nested groups
constexpr hsize_t kMaxStrings = 4096;     // elements of one string attribute
constexpr std::size_t kMaxString = 4096;  // bytes of one of them
constexpr std::int64_t kMaxChannels = 16384;

/// Carries a message without the file's name; read_in_process adds that.
[[noreturn]] void fail(const std::string& message) { throw std::invalid_argument(message); }

Handle need(hid_t id, const std::string& what) {
  return own(id, what + ": expected to be readable, found damage");
}

// ---- links and groups

enum class Kind { kMissing, kGroup, kDataset, kOther };

/// What `name` (one component) in `group` is, following nothing but a hard link.
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

/// Opens a group or dataset below `from`, component by component.
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
  if (info.nlinks > kMaxLinks)
    fail("expected a group of layers, found " + std::to_string(info.nlinks) + " members");
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

/// All strings of an attribute, fixed-length (NUL or space padded) or variable-length; nothing if it does not
/// exist.
std::optional<std::vector<std::string>> strings(hid_t object, const std::string& name) {
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
    if (size == 0 || size > kMaxString)
      fail(what + ": expected short names, found " + std::to_string(size) + " bytes");
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
    if (text.size() > kMaxString) fail(what + ": expected short names, found a long one");
  return result;
}

/// A list that Keras splits into name0, name1, ... where it passes 64,512 bytes.
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

/// A text attribute of one element; empty if it does not exist.
std::string text(hid_t object, const std::string& name) {
  const auto all = strings(object, name);
  return all && !all->empty() ? all->front() : "";
}

/// A numeric attribute of `count` elements, converted to double.
std::optional<std::vector<double>> numbers(hid_t object, const std::string& name, hsize_t count) {
  const std::string what = "attribute " + name;
  const Handle attribute = open_attribute(object, name);
  if (!attribute.valid()) return std::nullopt;
  const Handle type = need(H5Aget_type(attribute), what);
  const bool plain = H5Tequal(type, H5T_IEEE_F64LE) > 0 || H5Tequal(type, H5T_IEEE_F32LE) > 0 ||
                     H5Tequal(type, H5T_STD_I64LE) > 0 || H5Tequal(type, H5T_STD_I32LE) > 0;
  const Handle space = need(H5Aget_space(attribute), what);
  if (!plain || count_of(space, what, count) != count)
    fail(what + ": expected " + std::to_string(count) + " numbers, found another type or shape");
  std::vector<double> values(count);
  if (H5Aread(attribute, H5T_NATIVE_DOUBLE, values.data()) < 0)
    fail(what + ": expected to be readable, found damage");
  for (const double v : values)
    if (!std::isfinite(v)) fail(what + ": expected finite numbers, found another");
  return values;
}

// ---- arrays

std::string shape_text(const std::vector<std::int64_t>& dims) {
  std::string s;
  for (const std::int64_t d : dims) {
    s += s.empty() ? '(' : ',';
    s += std::to_string(d);
  }
  return s.empty() ? "()" : s + ')';
}

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

/// A float32 dataset whose bytes lie in one piece inside the file. The shape has been checked by the caller.
std::vector<float> read_floats(hsize_t file_bytes, hid_t dataset, const std::vector<std::int64_t>& dims,
                               const std::string& what) {
  const Handle type = need(H5Dget_type(dataset), what);
  if (H5Tequal(type, H5T_IEEE_F32LE) <= 0 && H5Tequal(type, H5T_IEEE_F32BE) <= 0)
    fail(what + ": expected float32, found another type");
  const Handle list = need(H5Dget_create_plist(dataset), what);
  if (H5Pget_layout(list) != H5D_CONTIGUOUS || H5Pget_nfilters(list) != 0 || H5Pget_external_count(list) != 0)
    fail(what +
         ": expected plain contiguous storage, found chunked, compressed, virtual or external storage");
  std::size_t count = 1;  // at most 9 * 16384^2: no overflow
  for (const std::int64_t d : dims) count *= static_cast<std::size_t>(d);
  const std::size_t bytes = count * sizeof(float);
  const hsize_t stored = H5Dget_storage_size(dataset);
  if (stored != bytes)
    fail(what + ": expected " + std::to_string(bytes) + " bytes, found " + std::to_string(stored));
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

bool is_filter(const std::vector<std::int64_t>& d) {
  return d.size() == 4 && d[0] == 3 && d[1] == 3 && d[2] >= 1 && d[3] >= 1 && d[2] <= kMaxChannels &&
         d[3] <= kMaxChannels;
}

ConvWeights read_conv(hsize_t file_bytes, hid_t filter, hid_t bias, const std::string& name) {
  const std::vector<std::int64_t> shape = dims_of(filter, name), bias_shape = dims_of(bias, name + " bias");
  if (!is_filter(shape)) fail(name + ": expected (3,3,in,out), file has " + shape_text(shape));
  if (bias_shape != std::vector<std::int64_t>{shape[3]})
    fail(name + " bias: expected (" + std::to_string(shape[3]) + "), file has " + shape_text(bias_shape));
  return {name, shape[2], shape[3], read_floats(file_bytes, filter, shape, name),
          read_floats(file_bytes, bias, bias_shape, name + " bias")};
}

using Layers = std::map<ConvName, ConvWeights>;

void add(Layers& layers, ConvName name, ConvWeights conv) {
  if (!layers.emplace(name, std::move(conv)).second)
    fail(name.str() + ": expected one such layer, found two");
}

// ---- layouts

/// Impasto's own: one group a layer.
Layers read_own(hid_t file, hsize_t file_bytes, Weights& weights, std::string& network) {
  const auto version = numbers(file, "version", 1);
  if (!version || version->front() != 1) fail("attribute version: expected 1, found another");
  weights.layout = "impasto-weights 1";
  network = text(file, "network");
  if (network != "vgg16" && network != "vgg19")
    fail("attribute network: expected vgg16 or vgg19, found '" + printable(network) + "'");
  const std::string order = text(file, "channel_order");
  if (order != "BGR" && order != "RGB")
    fail("attribute channel_order: expected BGR or RGB, found '" + printable(order) + "'");
  weights.preprocessing.bgr = order == "BGR";
  const auto mean = numbers(file, "mean", 3), scale = numbers(file, "scale", 3);
  if (!mean || !scale) fail("attributes mean and scale: expected 3 numbers each, found none");
  for (std::size_t c = 0; c < 3; ++c) {
    weights.preprocessing.mean[c] = (*mean)[c];
    weights.preprocessing.scale[c] = (*scale)[c];
    if ((*scale)[c] <= 0) fail("attribute scale: expected positive numbers, found another");
  }
  weights.source = printable(text(file, "source"), 400);
  weights.licence = printable(text(file, "licence"), 400);
  Layers layers;
  for (const std::string& member : members(file)) {
    const auto name = parse_conv_name(member);
    if (!name || member != name->str()) continue;
    const Handle filter = open_path(file, member + "/filter", Kind::kDataset);
    const Handle bias = open_path(file, member + "/bias", Kind::kDataset);
    add(layers, *name, read_conv(file_bytes, filter, bias, member));
  }
  return layers;
}

/// Keras 1, 2 and 3 "legacy": attributes name the layers, and in each layer's group its arrays, kernel before
/// bias.
Layers read_named(hid_t base, hsize_t file_bytes, const std::vector<std::string>& layer_names) {
  struct Arrays {
    std::string layer;
    std::vector<std::string> paths;
  };
  std::map<ConvName, Arrays> found;
  for (const std::string& layer : layer_names) {
    const Handle group = open_path(base, layer, Kind::kGroup);
    const auto arrays = split_strings(group, "weight_names");
    if (!arrays) fail(printable(layer) + ": expected the attribute weight_names, found none");
    for (const std::string& array : *arrays) {
      std::optional<ConvName> name;  // the layer's own, or, where the layer is a whole network, its layer's
      std::vector<std::string> candidates = components(layer);
      for (std::string& part : components(array)) candidates.push_back(std::move(part));
      for (std::size_t i = 0; i < candidates.size() && !name; ++i) name = parse_conv_name(candidates[i]);
      if (!name) continue;
      Arrays& entry = found[*name];
      if (!entry.layer.empty() && entry.layer != layer)
        fail(name->str() + ": expected one such layer, found two");
      entry.layer = layer;
      entry.paths.push_back(array);
    }
  }
  Layers layers;
  for (const auto& [name, arrays] : found) {
    if (arrays.paths.size() != 2)
      fail(name.str() + ": expected kernel and bias, found " + std::to_string(arrays.paths.size()) +
           " arrays");
    const Handle group = open_path(base, arrays.layer, Kind::kGroup);
    const Handle filter = open_path(group, arrays.paths[0], Kind::kDataset);
    const Handle bias = open_path(group, arrays.paths[1], Kind::kDataset);
    add(layers, name, read_conv(file_bytes, filter, bias, name.str()));
  }
  return layers;
}

/// One `vars` group of a .weights.h5 that holds a 3x3 kernel.
struct Candidate {
  std::string path;  ///< of the group that holds `vars`
  std::optional<ConvName> name;
};

/// The convolution's name from where it lies: "block2/layers/conv2d_1" is the second of block 2.
std::optional<ConvName> name_from_path(const std::string& path) {
  int block = 0;
  std::optional<ConvName> name;
  for (const std::string& part : components(path)) {
    if ((name = parse_conv_name(part))) return name;
    if (part.size() == 6 && part.starts_with("block") && part[5] >= '1' && part[5] <= '5')
      block = part[5] - '0';
    if (block == 0 || !part.starts_with("conv2d")) continue;
    const std::string counter = part.substr(6);
    if (counter.empty()) return ConvName{block, 1};
    if (counter.size() == 2 && counter[0] == '_' && counter[1] >= '1' && counter[1] <= '3')
      return ConvName{block, counter[1] - '0' + 1};
  }
  return std::nullopt;
}

void find_vars(hid_t group, const std::string& path, int depth, int& budget, std::vector<Candidate>& found) {
  if (depth > kMaxDepth || --budget < 0) fail("expected a model's groups, found too many of them");
  for (const std::string& member : members(group)) {
    if (kind_of(group, member) != Kind::kGroup) continue;
    const Handle child = need(H5Gopen2(group, member.c_str(), H5P_DEFAULT), printable(member));
    if (member != "vars") {
      find_vars(child, path + "/" + member, depth + 1, budget, found);
      continue;
    }
    if (kind_of(child, "0") != Kind::kDataset || kind_of(child, "1") != Kind::kDataset) continue;
    const Handle kernel = need(H5Dopen2(child, "0", H5P_DEFAULT), printable(path));
    const std::vector<std::int64_t> dims = dims_of(kernel, printable(path));
    std::optional<ConvName> name = parse_conv_name(text(child, "name"));
    if (!name) name = name_from_path(path);
    if (name || is_filter(dims)) found.push_back({path, name});
  }
}

/// Keras 3 (and 2.13) .weights.h5: a tree that mirrors the model, `vars/0` the kernel and `vars/1` the bias.
Layers read_tree(hid_t root, hsize_t file_bytes, Weights& weights) {
  std::vector<Candidate> found;
  int budget = kMaxGroups;
  find_vars(root, "", 0, budget, found);
  const auto named =
      std::count_if(found.begin(), found.end(), [](const Candidate& c) { return c.name.has_value(); });
  weights.layout = "Keras 3 .weights.h5";
  if (named ==
      0) {  // before Keras 3.6: only the counters of conv2d tell the order, and their number the network
    const char* network = found.size() == 16 ? "vgg19" : "vgg16";
    if (found.size() != 13 && found.size() != 16) {
      fail("expected a known layout (docs/weights.md), found " + std::to_string(found.size()) +
           " unnamed 3x3 convolutions (13 are VGG-16, 16 VGG-19)");
    }
    weights.layout += " without names";
    std::size_t i = 0;
    for (int block = 1; block <= 5; ++block)
      for (int conv = 1; conv <= convs_in_block(network, block); ++conv)
        found[i++].name = ConvName{block, conv};
  }
  Layers layers;
  for (const Candidate& c : found) {
    if (!c.name) continue;
    const Handle filter = open_path(root, c.path + "/vars/0", Kind::kDataset);
    const Handle bias = open_path(root, c.path + "/vars/1", Kind::kDataset);
    add(layers, *c.name, read_conv(file_bytes, filter, bias, c.name->str()));
  }
  return layers;
}

Weights read(const std::filesystem::path& path) {
  const Handle access = need(H5Pcreate(H5P_FILE_ACCESS), "libhdf5");
  hdf5::check(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), "libhdf5");
  hdf5::check(H5Pset_file_locking(access, false, true), "libhdf5");  // else a read-only network share fails
  const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
  if (!file.valid()) fail("expected an HDF5 file, found one that is cut short or damaged");
  hsize_t file_bytes = 0;
  hdf5::check(H5Fget_filesize(file, &file_bytes), "expected a file size, found damage");
  Weights weights;
  std::string network;
  Layers layers;
  if (text(file, "format") == "impasto-weights") {
    layers = read_own(file, file_bytes, weights, network);
  } else {
    const bool whole = kind_of(file, "model_weights") == Kind::kGroup;
    const Handle base = whole ? open_path(file, "model_weights", Kind::kGroup)
                              : need(H5Gopen2(file, "/", H5P_DEFAULT), "root group");
    if (const auto names = split_strings(base, "layer_names")) {
      // Keras 2 and 3 say their version; Keras 1, which wrote the published files, wrote 1.x or nothing.
      const std::string version = text(base, "keras_version");
      weights.layout = whole                      ? "Keras whole model"
                       : version.starts_with('3') ? "Keras 3 legacy .h5"
                       : version.starts_with('2') ? "Keras 2 .h5"
                                                  : "Keras 1 .h5";
      layers = read_named(base, file_bytes, *names);
    } else {
      layers = read_tree(base, file_bytes, weights);
    }
  }
  assemble(weights, std::move(layers), network);
  return weights;
}

}  // namespace

Weights read_in_process(const std::filesystem::path& file) {
  const hdf5::SilenceErrors silence;
  H5PLset_loading_state(0);  // no filter plug-ins, whatever HDF5_PLUGIN_PATH says
  try {
    return read(file);
  } catch (const std::bad_alloc&) {
    refuse(file, "expected a VGG's weights, found arrays larger than memory");
  } catch (const std::exception& e) {
    refuse(file, e.what());
  }
}

}  // namespace impasto::weights
