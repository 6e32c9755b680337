// The reader of every HDF5 layout (docs/weights.md), with libhdf5's C API. It
// opens nothing but hard links, step by step, and reads a dataset only after
// type, rank, sizes and place in the file have proved to be the plain ones.
#include <H5PLpublic.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <stdexcept>
#include <string_view>

#include "engine/network/weights_hdf5_access.h"

namespace impasto::weights {
namespace {

using namespace h5;

constexpr int kMaxGroups = 20000;  // visited in one file

using Layers = std::map<ConvName, ConvWeights>;

void add(Layers& layers, ConvName name, ConvWeights conv) {
  if (!layers.emplace(name, std::move(conv)).second)
    fail(name.str() + ": expected one such layer, found two");
}

/// Refuses a network with a layer among its convolutions that has numbers of its own and no kernel: such a
/// layer scales, shifts or bends what passes, and VGG without it is another function.
[[noreturn]] void refuse_layer(const std::string& name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto says = [&](std::initializer_list<const char*> words) {
    return std::any_of(words.begin(), words.end(),
                       [&](const char* word) { return lower.find(word) != std::string::npos; });
  };
  const char* kind = says({"p_re_lu", "prelu", "alpha"})                  ? "PReLU"
                     : says({"batch", "moving_mean", "moving_var", "bn"}) ? "batch normalisation"
                     : says({"norm", "gamma"})                            ? "normalisation"
                                                                          : "a layer without a kernel";
  fail(fmt::format("expected convolutions, ReLU and pooling alone, found {} among them ('{}')", kind,
                   printable(name)));
}

/// Keras' description of a whole model is JSON that names layers in order.
/// Other activations than ReLU have no numbers, so only here are they seen;
/// a word search is enough, for a description is no proof of anything.
void refuse_activations(const std::string& description) {
  const std::size_t last = description.rfind("\"Conv2D\"");
  if (last == std::string::npos) return;
  const std::size_t end = std::min(description.find("\"class_name\"", last), description.size());
  const std::string_view among(description.data(), end);
  for (const char* kind : {"LeakyReLU", "PReLU", "ELU"}) {
    if (among.find('"' + std::string(kind) + '"') != std::string_view::npos)
      fail(fmt::format("expected convolutions, ReLU and pooling alone, found {} among them", kind));
  }
  constexpr std::string_view kKey = "\"activation\":";
  for (std::size_t at = among.find(kKey); at != std::string_view::npos; at = among.find(kKey, at + 1)) {
    std::string_view value = among.substr(at + kKey.size());
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    if (!value.starts_with('"')) continue;  // an object, whose class was looked for
    value = value.substr(1, value.substr(1).find('"'));
    if (value != "relu" && value != "linear")
      fail(fmt::format("expected convolutions, ReLU and pooling alone, found {} among them",
                       printable(value, 40)));
  }
}

// ---- layouts

/// Impasto's own: one group a layer.
Layers read_own(hid_t file, hsize_t file_bytes, Weights& weights, std::string& network) {
  const auto version = numbers(file, "version", 1);
  if (!version || version->front() != 1) fail("attribute version: expected 1, found another");
  weights.layout = "impasto-weights 1";
  network = text(file, "network");
  if (vgg_blocks(network).empty())
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

/// The convolution that an array belongs to: by its layer's
/// name, or, where the layer is a whole network, by its own.
std::optional<ConvName> name_of_array(const std::string& layer, const std::string& array) {
  std::optional<ConvName> name = std::nullopt;
  std::vector<std::string> candidates = components(layer);
  for (std::string& part : components(array)) candidates.push_back(std::move(part));
  for (std::size_t i = 0; i < candidates.size() && !name; ++i) name = parse_conv_name(candidates[i]);
  return name;
}

/// Keras lists layers in the order in which they are computed: what lies before the last convolution counts.
void refuse_layers_between(hid_t base, const std::vector<std::string>& layer_names) {
  struct Other {
    std::string layer, folder;
    bool kernel = false;
  };
  std::vector<Other> pending, between;
  for (const std::string& layer : layer_names) {
    const Handle group = open_path(base, layer, Kind::kGroup);
    for (const std::string& array :
         split_strings(group, "weight_names").value_or(std::vector<std::string>{})) {
      if (name_of_array(layer, array)) {
        between.insert(between.end(), pending.begin(), pending.end());
        pending.clear();
        continue;
      }
      const std::string folder = array.substr(0, std::min(array.rfind('/'), array.size()));
      if (pending.empty() || pending.back().layer != layer || pending.back().folder != folder)
        pending.push_back({layer, folder});
      const Handle data = open_path(group, array, Kind::kDataset);
      const std::size_t rank = dims_of(data, printable(array)).size();
      if (rank == 2 || rank >= 4 || !is_float(data)) pending.back().kernel = true;
    }
  }
  for (const Other& other : between)
    if (!other.kernel) refuse_layer(other.layer + "/" + other.folder);
}

/// Keras 1, 2 and 3 "legacy": attributes name the layers,
/// and in each layer's group its arrays, kernel before bias.
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
      const std::optional<ConvName> name = name_of_array(layer, array);
      if (!name) continue;
      Arrays& entry = found[*name];
      if (!entry.layer.empty() && entry.layer != layer)
        fail(name->str() + ": expected one such layer, found two");
      entry.layer = layer;
      entry.paths.push_back(array);
    }
  }
  refuse_layers_between(base, layer_names);
  Layers layers;
  for (const auto& [name, arrays] : found) {
    if (arrays.paths.size() != 2)
      fail(fmt::format("{}: expected kernel and bias, found {} arrays", name.str(), arrays.paths.size()));
    const Handle group = open_path(base, arrays.layer, Kind::kGroup);
    const Handle filter = open_path(group, arrays.paths[0], Kind::kDataset);
    const Handle bias = open_path(group, arrays.paths[1], Kind::kDataset);
    add(layers, name, read_conv(file_bytes, filter, bias, name.str()));
  }
  return layers;
}

/// One `vars` group of a .weights.h5 that holds a 3x3 kernel.
struct ConvCandidate {
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

/// What a tree of groups holds of interest.
struct Found {
  std::vector<ConvCandidate> convolutions;
  std::vector<std::string> bare;  ///< layers with numbers and without a kernel: normalisation, PReLU
};

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

void find_vars(hid_t group, const std::string& path, int depth, int& budget, Found& found) {
  if (depth > kMaxDepth || --budget < 0) fail("expected a model's groups, found too many of them");
  for (const std::string& member : members(group)) {
    if (kind_of(group, member) != Kind::kGroup) continue;
    const Handle child = need(H5Gopen2(group, member.c_str(), H5P_DEFAULT), printable(member));
    if (member != "vars") {
      find_vars(child, path + "/" + member, depth + 1, budget, found);
      continue;
    }
    if (kind_of(child, "0") != Kind::kDataset) continue;
    const Handle kernel = need(H5Dopen2(child, "0", H5P_DEFAULT), printable(path));
    const std::vector<std::int64_t> dims = dims_of(kernel, printable(path));
    if ((dims.size() == 1 || dims.size() == 3) && is_float(kernel)) found.bare.push_back(path);
    if (kind_of(child, "1") != Kind::kDataset) continue;
    std::optional<ConvName> name = parse_conv_name(text(child, "name"));
    if (!name) name = name_from_path(path);
    if (name || is_filter(dims)) found.convolutions.push_back({path, name});
  }
}

/// Keras 3 (and 2.13) .weights.h5: a tree that mirrors the model, `vars/0` the kernel and `vars/1` the bias.
Layers read_tree(hid_t root, hsize_t file_bytes, Weights& weights) {
  Found all;
  int budget = kMaxGroups;
  find_vars(root, "", 0, budget, all);
  std::vector<ConvCandidate>& found = all.convolutions;
  const auto named =
      std::count_if(found.begin(), found.end(), [](const ConvCandidate& c) { return c.name.has_value(); });
  weights.layout = "Keras 3 .weights.h5";
  // Before Keras 3.6: only the counters of conv2d tell the order, and their number the network.
  if (named == 0) {
    const char* network = found.size() == 16 ? "vgg19" : "vgg16";
    if (found.size() != 13 && found.size() != 16) {
      fail(
          fmt::format("expected a known layout (docs/weights.md), found {} unnamed 3x3 convolutions (13 are "
                      "VGG-16, 16 VGG-19)",
                      found.size()));
    }
    weights.layout += " without names";
    std::size_t i = 0;
    int block = 0;
    for (const VggBlock& of : vgg_blocks(network)) {
      ++block;
      for (int conv = 1; conv <= of.convs; ++conv) found[i++].name = ConvName{block, conv};
    }
  }
  Layers layers;
  for (const ConvCandidate& c : found) {
    if (!c.name) continue;
    // A tree does not say in which order layers are computed: all in the convolution's own group count.
    for (const std::string& bare : all.bare)
      if (folder_of(bare) == folder_of(c.path)) refuse_layer(bare);
    const Handle filter = open_path(root, c.path + "/vars/0", Kind::kDataset);
    const Handle bias = open_path(root, c.path + "/vars/1", Kind::kDataset);
    add(layers, *c.name, read_conv(file_bytes, filter, bias, c.name->str()));
  }
  return layers;
}

/// The file behind the one that libhdf5 has open.
int descriptor_of(hid_t file) {
  void* handle = nullptr;
  const bool found = H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) >= 0 && handle != nullptr;
  return found ? ::fileno(*static_cast<std::FILE* const*>(handle)) : -1;
}

Weights read(const WeightFile& opened) {
  const Handle access = need(H5Pcreate(H5P_FILE_ACCESS), "libhdf5");
  hdf5::check(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), "libhdf5");
  hdf5::check(H5Pset_file_locking(access, false, true), "libhdf5");  // else a read-only network share fails
  // The other drivers look for the name that a link stands for, which is gone where the file was replaced.
  hdf5::check(H5Pset_fapl_stdio(access), "libhdf5");
  const Handle file(H5Fopen(opened.place().c_str(), H5F_ACC_RDONLY, access));
  if (!file.valid()) fail("expected an HDF5 file, found one that is cut short or damaged");
  if (!opened.is_this(descriptor_of(file)))
    fail("expected the file that was opened, found another in its place");
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
      refuse_activations(long_text(file, "model_config"));
      layers = read_named(base, file_bytes, *names);
    } else {
      layers = read_tree(base, file_bytes, weights);
    }
  }
  assemble(weights, std::move(layers), network);
  return weights;
}

}  // namespace

Weights read_in_process(const WeightFile& file) {
  const hdf5::SilenceErrors silence;
  H5PLset_loading_state(0);  // no filter plug-ins, whatever HDF5_PLUGIN_PATH says
  try {
    return read(file);
  } catch (const Convertible& e) {
    refuse(file.name(), e.what() + ("; make a plain copy with: " + convert_command(file.name())));
  } catch (const std::bad_alloc&) {
    throw;  // arrays lie inside the file: not its fault
  } catch (const std::exception& e) {
    refuse(file.name(), e.what());
  }
}

}  // namespace impasto::weights
