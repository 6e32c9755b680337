#pragma once
// Small weight files in every layout, written with HDF5's C API, and the means to spoil them.
#if __has_include(<hdf5.h>)
#include <hdf5.h>
#else
#include <hdf5/serial/hdf5.h>  // where only pkg-config knows the folder
#endif

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/network/weights_file.h"

namespace impasto::test {

/// A folder of its own that goes with the object.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "impasto-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string read_bytes(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_bytes(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

enum class Text { kFixed, kSpacePadded, kVariable };
enum class Storage { kContiguous, kCompact, kChunked, kDeflate, kExternal, kVirtual, kNotWritten };

/// An HDF5 file to write into; every path may name groups that do not exist yet.
class H5File {
 public:
  explicit H5File(const std::filesystem::path& path, bool create = true)
      : path_(path),
        id_(ok(create ? H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)
                      : H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT))),
        links_(ok(H5Pcreate(H5P_LINK_CREATE))) {
    H5Pset_create_intermediate_group(links_, 1);
  }
  ~H5File() {
    H5Pclose(links_);
    H5Fclose(id_);
  }
  H5File(const H5File&) = delete;
  H5File& operator=(const H5File&) = delete;

  void group(const std::string& path) {
    H5Gclose(ok(H5Gcreate2(id_, path.c_str(), links_, H5P_DEFAULT, H5P_DEFAULT)));
  }
  void remove(const std::string& path) { ok(H5Ldelete(id_, path.c_str(), H5P_DEFAULT)); }
  void soft_link(const std::string& path, const std::string& target) {
    ok(H5Lcreate_soft(target.c_str(), id_, path.c_str(), links_, H5P_DEFAULT));
  }
  void external_link(const std::string& path, const std::string& file, const std::string& target) {
    ok(H5Lcreate_external(file.c_str(), target.c_str(), id_, path.c_str(), links_, H5P_DEFAULT));
  }
  void hard_link(const std::string& path, const std::string& target) {
    ok(H5Lcreate_hard(id_, target.c_str(), id_, path.c_str(), links_, H5P_DEFAULT));
  }

  void dataset(const std::string& path, const std::vector<hsize_t>& dims, const std::vector<float>& values,
               Storage storage = Storage::kContiguous, hid_t type = H5T_IEEE_F32LE) {
    const hid_t space = ok(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr));
    const hid_t list = ok(H5Pcreate(H5P_DATASET_CREATE));
    const int rank = static_cast<int>(dims.size());
    if (storage == Storage::kCompact) H5Pset_layout(list, H5D_COMPACT);
    if (storage == Storage::kChunked || storage == Storage::kDeflate) H5Pset_chunk(list, rank, dims.data());
    if (storage == Storage::kDeflate) H5Pset_deflate(list, 6);
    if (storage == Storage::kExternal) {
      H5Pset_external(list, (path_.string() + ".raw").c_str(), 0, values.size() * sizeof(float));
    }
    if (storage == Storage::kVirtual)
      H5Pset_virtual(list, space, (path_.string() + ".other").c_str(), "/x", space);
    if (storage == Storage::kNotWritten) H5Pset_alloc_time(list, H5D_ALLOC_TIME_LATE);
    const hid_t set = ok(H5Dcreate2(id_, path.c_str(), type, space, links_, list, H5P_DEFAULT));
    if (storage != Storage::kNotWritten && storage != Storage::kVirtual) {
      ok(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()));
    }
    H5Dclose(set);
    H5Pclose(list);
    H5Sclose(space);
  }

  void strings(const std::string& object, const std::string& name, const std::vector<std::string>& values,
               Text kind, bool scalar = false) {
    std::size_t longest = 1;
    for (const auto& v : values) longest = std::max(longest, v.size());
    const hid_t type = ok(H5Tcopy(H5T_C_S1));
    H5Tset_size(type, kind == Text::kVariable ? H5T_VARIABLE : longest);
    if (kind != Text::kVariable)
      H5Tset_strpad(type, kind == Text::kFixed ? H5T_STR_NULLPAD : H5T_STR_SPACEPAD);
    const hsize_t count = values.size();
    const hid_t space = ok(scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr));
    std::vector<const char*> pointers;
    std::string fixed;
    for (const auto& v : values) {
      pointers.push_back(v.c_str());
      fixed += v + std::string(longest - v.size(), kind == Text::kFixed ? '\0' : ' ');
    }
    attribute(object, name, type, space,
              kind == Text::kVariable ? static_cast<const void*>(pointers.data()) : fixed.data());
    H5Sclose(space);
    H5Tclose(type);
  }

  void numbers(const std::string& object, const std::string& name, const std::vector<double>& values,
               bool scalar = false) {
    const hsize_t count = values.size();
    const hid_t space = ok(scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr));
    attribute(object, name, H5T_IEEE_F64LE, space, values.data());
    H5Sclose(space);
  }

 private:
  static hid_t ok(hid_t id) { return id < 0 ? throw std::runtime_error("HDF5 failed") : id; }
  void attribute(const std::string& object, const std::string& name, hid_t type, hid_t space,
                 const void* values) {
    const hid_t on = ok(H5Oopen(id_, object.c_str(), H5P_DEFAULT));
    if (H5Aexists(on, name.c_str()) > 0) H5Adelete(on, name.c_str());
    const hid_t made = ok(H5Acreate2(on, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT));
    static const double nothing = 0;
    ok(H5Awrite(made, type, values == nullptr ? &nothing : values));
    H5Aclose(made);
    H5Oclose(on);
  }
  std::filesystem::path path_;
  hid_t id_, links_;
};

/// The layers of a VGG with 2, 3, 4, 3 and 2 channels in its blocks, the first `count` of them.
inline std::vector<ConvWeights> tiny_layers(const std::string& network, std::size_t count = 16,
                                            unsigned seed = 1) {
  constexpr std::int64_t kChannels[] = {2, 3, 4, 3, 2};
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<ConvWeights> layers;
  std::int64_t in = 3;
  for (int block = 1; block <= 5; ++block) {
    const int convs = vgg_blocks(network)[static_cast<std::size_t>(block) - 1].convs;
    for (int conv = 1; conv <= convs && layers.size() < count; ++conv) {
      const std::int64_t out = kChannels[block - 1];
      ConvWeights layer{ConvName{block, conv}.str(), in, out, {}, {}};
      for (std::int64_t i = 0; i < 9 * in * out; ++i) layer.filter.push_back(normal(random));
      for (std::int64_t i = 0; i < out; ++i) layer.bias.push_back(normal(random));
      layers.push_back(std::move(layer));
      in = out;
    }
  }
  return layers;
}

inline std::string keras_name(const ConvWeights& layer) {  // conv3_2 -> block3_conv2
  return std::string("block") + layer.name[4] + "_conv" + layer.name[6];
}
inline std::vector<hsize_t> filter_dims(const ConvWeights& w) {
  return {3, 3, static_cast<hsize_t>(w.in_channels), static_cast<hsize_t>(w.out_channels)};
}
inline void write_pair(H5File& file, const std::string& filter, const std::string& bias,
                       const ConvWeights& w) {
  file.dataset(filter, filter_dims(w), w.filter);
  file.dataset(bias, {static_cast<hsize_t>(w.out_channels)}, w.bias);
}

struct LegacyOptions {
  int keras = 2;  ///< 1, 2 or 3: what the arrays are called
  Text text = Text::kFixed;
  bool split = false;   ///< layer_names0, layer_names1
  bool whole = false;   ///< one level down, under /model_weights
  bool nested = false;  ///< the VGG is one layer of a larger model
};

/// Keras 1, 2 and 3 "legacy" files.
inline void write_legacy(const std::filesystem::path& path, const std::vector<ConvWeights>& layers,
                         const LegacyOptions& options = {}) {
  H5File file(path);
  const std::string base = options.whole ? "/model_weights" : "";
  const std::string root = base.empty() ? "/" : base;
  if (options.whole) file.group(base);
  std::vector<std::string> names{"input_1"}, nested;
  file.group(base + "/input_1");
  file.numbers(base + "/input_1", "weight_names", {});
  if (options.nested) file.group(base + "/vgg");
  for (const ConvWeights& w : layers) {
    const std::string name = keras_name(w);
    const std::string filter =
        options.keras == 1 ? name + "_W_1:0" : name + (options.keras == 2 ? "/kernel:0" : "/kernel");
    const std::string bias =
        options.keras == 1 ? name + "_b_1:0" : name + (options.keras == 2 ? "/bias:0" : "/bias");
    const std::string group = base + (options.nested ? "/vgg" : "/" + name);
    write_pair(file, group + "/" + filter, group + "/" + bias, w);
    if (options.nested) {
      nested.insert(nested.end(), {filter, bias});
    } else {
      file.strings(group, "weight_names", {filter, bias}, options.text);
      names.push_back(name);
    }
    if (name.ends_with("conv2")) {  // a pooling layer after it: a name without arrays
      const std::string pool = name.substr(0, 6) + "_pool";
      file.group(base + "/" + pool);
      file.numbers(base + "/" + pool, "weight_names", {});
      names.push_back(pool);
    }
  }
  if (options.nested) {
    file.strings(base + "/vgg", "weight_names", nested, options.text);
    names.emplace_back("vgg");
  }
  if (options.split) {
    const auto half = names.begin() + static_cast<std::ptrdiff_t>(names.size() / 2);
    file.strings(root, "layer_names0", {names.begin(), half}, options.text);
    file.strings(root, "layer_names1", {half, names.end()}, options.text);
  } else {
    file.strings(root, "layer_names", names, options.text);
  }
  if (options.keras > 1) {
    file.strings(root, "backend", {"tensorflow"}, options.text, true);
    file.strings(root, "keras_version", {options.keras == 2 ? "2.15.0" : "3.6.0"}, options.text, true);
  }
  if (options.keras == 3) {
    file.group(base + "/top_level_model_weights");
    file.numbers(base + "/top_level_model_weights", "weight_names", {});
  }
}

struct TreeOptions {
  bool names = true;    ///< the attribute `name` of Keras 3.6 and later
  bool blocks = false;  ///< one sub-model for each block, as the edge detector's trunk
  std::string container = "layers";
};

/// Keras 3 .weights.h5.
inline void write_tree(const std::filesystem::path& path, const std::vector<ConvWeights>& layers,
                       const TreeOptions& options = {}) {
  H5File file(path);
  int counter = 0;
  char block = '1';
  for (const ConvWeights& w : layers) {
    if (options.blocks && w.name[4] != block) counter = 0;
    block = w.name[4];
    const std::string top = options.blocks ? std::string("/block") + block : "";
    const std::string vars = top + "/" + options.container + "/conv2d" +
                             (counter == 0 ? "" : "_" + std::to_string(counter)) + "/vars";
    write_pair(file, vars + "/0", vars + "/1", w);
    if (options.names) file.strings(vars, "name", {keras_name(w)}, Text::kVariable, true);
    ++counter;
  }
  file.group("/" + options.container + "/max_pooling2d/vars");
  // A layer of another kind, which is no part of the trunk.
  file.dataset("/dense/vars/0", {1, 1, 2, 1}, {1, 2});
  file.dataset("/dense/vars/1", {1}, {1});
}

/// Impasto's own schema.
inline void write_own(const std::filesystem::path& path, const std::vector<ConvWeights>& layers,
                      const std::string& network, const Preprocessing& p = {}) {
  H5File file(path);
  file.strings("/", "format", {"impasto-weights"}, Text::kVariable, true);
  file.numbers("/", "version", {1}, true);
  file.strings("/", "network", {network}, Text::kVariable, true);
  file.strings("/", "channel_order", {p.bgr ? "BGR" : "RGB"}, Text::kVariable, true);
  file.numbers("/", "mean", {p.mean.begin(), p.mean.end()});
  file.numbers("/", "scale", {p.scale.begin(), p.scale.end()});
  file.strings("/", "source", {"a test"}, Text::kVariable, true);
  file.strings("/", "licence", {"none"}, Text::kVariable, true);
  for (const ConvWeights& w : layers) write_pair(file, "/" + w.name + "/filter", "/" + w.name + "/bias", w);
}

/// "" if the weights hold exactly these layers, else what differs.
inline std::string difference(const Weights& weights, const std::vector<ConvWeights>& layers) {
  if (weights.layers.size() != layers.size())
    return "number of layers " + std::to_string(weights.layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const ConvWeights &a = weights.layers[i], &b = layers[i];
    if (a.name != b.name) return a.name + " in place of " + b.name;
    if (a.in_channels != b.in_channels || a.out_channels != b.out_channels) return a.name + ": channels";
    if (a.filter != b.filter) return a.name + ": filter";
    if (a.bias != b.bias) return a.name + ": bias";
  }
  return "";
}

}  // namespace impasto::test
