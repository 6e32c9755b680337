// Every layout of weight files, and how names become files.
#include <cmath>
#include <cstdlib>
#include <functional>

#include "tests/support/catch.h"
#include "tests/support/weights_files.h"

using namespace impasto;
using namespace impasto::test;

namespace {

/// Sets an environment variable, or removes it, until the end of the scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value.empty() ? unsetenv(name) : setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

ErrorCode code_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::kInternal;
}

}  // namespace

TEST_CASE("legacy Keras files are read in every version and text type") {
  const TempFolder folder;
  const auto file = folder / "w.h5";
  const char* network = GENERATE("vgg16", "vgg19");
  const int keras = GENERATE(1, 2, 3);
  const Text text = GENERATE(Text::kFixed, Text::kSpacePadded, Text::kVariable);
  const auto layers = tiny_layers(network);
  write_legacy(file, layers, {.keras = keras, .text = text});
  const Weights w = load_weights(file);
  CHECK(difference(w, layers) == "");
  CHECK(w.network == network);
  CHECK(w.layout == std::vector<std::string>{"Keras 1 .h5", "Keras 2 .h5", "Keras 3 legacy .h5"}.at(
                        static_cast<std::size_t>(keras - 1)));
  CHECK(w.name == "w.h5");
  CHECK(w.digest == weights::content_digest(w).whole);
  CHECK(w.preprocessing.bgr);
  CHECK(w.preprocessing.mean == std::array<double, 3>{103.939, 116.779, 123.68});
}

TEST_CASE("legacy Keras files are read with split names, as whole models, and as a layer of a larger model") {
  const TempFolder folder;
  const auto layers = tiny_layers("vgg19");
  const bool split = GENERATE(false, true), whole = GENERATE(false, true), nested = GENERATE(false, true);
  write_legacy(folder / "w.h5", layers, {.split = split, .whole = whole, .nested = nested});
  const Weights w = load_weights(folder / "w.h5");
  CHECK(difference(w, layers) == "");
  CHECK(w.layout == (whole ? "Keras whole model" : "Keras 2 .h5"));
}

TEST_CASE("a .weights.h5 is read with names, without them, and with a sub-model for each block") {
  const TempFolder folder;
  const char* network = GENERATE("vgg16", "vgg19");
  const bool names = GENERATE(false, true), blocks = GENERATE(false, true);
  const char* container = GENERATE("layers", "_layer_checkpoint_dependencies");
  const auto layers = tiny_layers(network);
  write_tree(folder / "w.h5", layers, {.names = names, .blocks = blocks, .container = container});
  const Weights w = load_weights(folder / "w.h5");
  CHECK(difference(w, layers) == "");
  CHECK(w.network == network);
}

TEST_CASE("names in a .weights.h5 win over the order of its groups") {
  const TempFolder folder;
  const auto layers = tiny_layers("vgg16");
  {
    H5File file(folder / "w.h5");
    int counter = static_cast<int>(layers.size());
    for (const ConvWeights& w : layers) {
      const std::string vars = "/layers/conv2d_" + std::to_string(counter--) + "/vars";
      write_pair(file, vars + "/0", vars + "/1", w);
      file.strings(vars, "name", {keras_name(w)}, Text::kVariable, true);
    }
  }
  CHECK(difference(load_weights(folder / "w.h5"), layers) == "");
}

TEST_CASE("the own layout is read with its preprocessing, source and licence") {
  const TempFolder folder;
  const auto layers = tiny_layers("vgg19");
  const Preprocessing p{.bgr = false, .mean = {123.675, 116.28, 103.53}, .scale = {0.1, 0.2, 0.3}};
  write_own(folder / "w.h5", layers, "vgg19", p);
  const Weights w = load_weights(folder / "w.h5");
  CHECK(difference(w, layers) == "");
  CHECK(w.layout == "impasto-weights 1");
  CHECK_FALSE(w.preprocessing.bgr);
  CHECK(w.preprocessing.mean == p.mean);
  CHECK(w.preprocessing.scale == p.scale);
  CHECK(w.source == "a test");
  CHECK(w.licence == "none");
}

TEST_CASE("a file that convert.py wrote is read") {
  // From tests/golden/weights/torch_zip.pth, whose tensors
  // hold known numbers: see make_torch_samples.py there.
  const Weights w = load_weights(std::filesystem::path(IMPASTO_TEST_DATA) / "weights/converted.h5");
  REQUIRE(w.layers.size() == 4);
  CHECK(w.network == "vgg16");
  CHECK_FALSE(w.preprocessing.bgr);
  CHECK(w.preprocessing.mean[0] == Approx(255 * 0.485));
  CHECK(w.preprocessing.scale[2] == Approx(1 / (255 * 0.225)));
  CHECK(w.source.starts_with("torch_zip.pth, SHA-256 "));
  const ConvWeights& layer = w.layers[2];  // (3,3,2,3), the fifth and sixth tensor
  REQUIRE(layer.filter.size() == 54);
  std::size_t i = 0;
  for (int y = 0; y < 3; ++y)
    for (int x = 0; x < 3; ++x)
      for (int in = 0; in < 2; ++in)
        for (int out = 0; out < 3; ++out)
          CHECK(layer.filter[i++] == Approx(4 + (((out * 2 + in) * 3 + y) * 3 + x) / 1000.0));
  CHECK(layer.bias[1] == Approx(5.001));
}

TEST_CASE("a file may stop early, and then says vgg16 unless it names its network") {
  const TempFolder folder;
  const auto layers = tiny_layers("vgg19", GENERATE(1, 2, 4, 7));
  write_legacy(folder / "keras.h5", layers);
  CHECK(load_weights(folder / "keras.h5").network == "vgg16");
  CHECK(difference(load_weights(folder / "keras.h5"), layers) == "");
  write_own(folder / "own.h5", layers, "vgg19");
  CHECK(load_weights(folder / "own.h5").network == "vgg19");
}

TEST_CASE("names of layers are found in all their spellings") {
  CHECK(parse_conv_name("block3_conv2") == ConvName{3, 2});
  CHECK(parse_conv_name("conv5_4") == ConvName{5, 4});
  CHECK(parse_conv_name("block1_conv1_W_1:0") == ConvName{1, 1});
  CHECK(parse_conv_name("block1_conv1_1") == ConvName{1, 1});
  for (const char* other : {"", "conv2d_1", "block1_pool", "block6_conv1", "block1_conv5", "block1_conv10",
                            "conv1_", "conv0_1", "xconv1_1", "conv1", "block1"})
    CHECK_FALSE(parse_conv_name(other).has_value());
}

TEST_CASE("numbers in names sort by value") {
  using weights::natural_less;
  CHECK(natural_less("conv2d", "conv2d_1"));
  CHECK(natural_less("conv2d_2", "conv2d_10"));
  CHECK_FALSE(natural_less("conv2d_10", "conv2d_2"));
  CHECK_FALSE(natural_less("a", "a"));
  CHECK(natural_less("a9b", "a10a"));
}

TEST_CASE("random weights follow their specification") {
  // From an independent computation with Python's integers and math.
  const Weights w = random_weights("vgg19", 7);
  REQUIRE(w.layers.size() == 16);
  CHECK(w.layers[0].filter[0] == Approx(0.12362131f));
  CHECK(w.layers[0].filter[1] == Approx(-0.4559329f));
  CHECK(w.layers[0].filter[1727] == Approx(-0.346643f));
  CHECK(w.layers[0].bias[0] == Approx(0.058381215f));
  CHECK(w.layers[0].bias[1] == Approx(-0.0362644f));
  CHECK(w.layers[4].filter[1001] == Approx(-0.051182304f));
  CHECK(w.layers[15].filter[2359295] == Approx(-0.0121361585f));
  CHECK(w.layers[15].name == "conv5_4");
  CHECK(w.network == "vgg19");
  CHECK(w.name == "random:7");
  CHECK(w.digest == "random:7");
}

TEST_CASE("random weights have the shapes of their network and He's variance") {
  const char* network = GENERATE("vgg16", "vgg19");
  const Weights w = random_weights(network, 3);
  CHECK(w.layers.size() == (std::string(network) == "vgg16" ? 13 : 16));
  std::int64_t in = 3;
  for (const ConvWeights& layer : w.layers) {
    INFO(layer.name);
    REQUIRE(layer.in_channels == in);
    in = layer.out_channels;
    REQUIRE(layer.filter.size() == static_cast<std::size_t>(9 * layer.in_channels * in));
    REQUIRE(layer.bias.size() == static_cast<std::size_t>(in));
    double sum = 0, squares = 0;
    for (const float v : layer.filter) sum += v, squares += static_cast<double>(v) * v;
    const auto n = static_cast<double>(layer.filter.size());
    const double variance = 2 / (9 * static_cast<double>(layer.in_channels));
    CHECK(std::abs(sum / n) < 5 * std::sqrt(variance / n));
    CHECK(squares / n == Approx(variance).epsilon(5 * std::sqrt(2 / n)));
  }
}

TEST_CASE("random weights differ by seed, and refuse another network") {
  CHECK(random_weights("vgg16", 1).layers[3].filter != random_weights("vgg16", 2).layers[3].filter);
  CHECK(code_of([] { (void)random_weights("vgg11", 1); }) == ErrorCode::kUsage);
}

TEST_CASE("find_weights understands random seeds") {
  CHECK(find_weights("random:12").network == "vgg19");
  const Weights w = find_weights("random-vgg16:12");
  CHECK(w.network == "vgg16");
  CHECK(w.name == "random-vgg16:12");
  for (const char* wrong :
       {"random:", "random:x", "random:1x", "random:-1", "random-vgg16:99999999999999999999"})
    CHECK(code_of([=] { (void)find_weights(wrong); }) == ErrorCode::kUsage);
}

TEST_CASE("find_weights takes a path, and the environment's file where nothing is named") {
  const TempFolder folder;
  const auto layers = tiny_layers("vgg16", 3);
  write_own(folder / "mine.h5", layers, "vgg16");
  const ScopedVariable data("XDG_DATA_HOME", (folder / "none").string());
  CHECK(difference(find_weights((folder / "mine.h5").string()), layers) == "");
  {
    const ScopedVariable given("IMPASTO_WEIGHTS", (folder / "mine.h5").string());
    CHECK(difference(find_weights(""), layers) == "");
  }
  const ScopedVariable given("IMPASTO_WEIGHTS", "");
  CHECK_THROWS_WITH(find_weights(""), ContainsSubstring("impasto weights fetch vgg16"));
  CHECK_THROWS_WITH(find_weights("hed-vgg16"), ContainsSubstring("impasto weights fetch hed-vgg16"));
  CHECK_THROWS_WITH(find_weights("vgg13"), ContainsSubstring("expected a file, or vgg19"));
  CHECK(code_of([] { (void)find_weights("vgg16"); }) == ErrorCode::kBadInput);
}

TEST_CASE("a file with a known name and other contents is refused under that name") {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "impasto");
  write_own(folder / "impasto/hed_bsds500.weights.h5", tiny_layers("vgg16"), "vgg16");
  const ScopedVariable data("XDG_DATA_HOME", folder.path().string());
  const ScopedVariable given("IMPASTO_WEIGHTS", "");
  CHECK_THROWS_WITH(find_weights("hed-vgg16"), ContainsSubstring("content digest 72f64fa9"));
  write_own(folder / "impasto/vgg16_imagenet_convolutions.h5", tiny_layers("vgg16"), "vgg16");
  CHECK_THROWS_WITH(find_weights("vgg16"), ContainsSubstring("content digest f3cb9ffb"));
  // The publisher's file is taken before the one out of a package, without a look at the latter.
  write_own(folder / "impasto/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", tiny_layers("vgg16"),
            "vgg16");
  CHECK_THROWS_WITH(find_weights("vgg16"),
                    ContainsSubstring("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"));
  write_own(folder / "impasto/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5", tiny_layers("vgg19"),
            "vgg19");
  CHECK_THROWS_WITH(find_weights("vgg19"), ContainsSubstring("MD5 253f8cb5"));
  const auto known = known_weights();
  REQUIRE(known.size() == 6);
  CHECK(known.back().name == "hed-vgg16");
  CHECK(known.back().found == folder / "impasto/hed_bsds500.weights.h5");
  CHECK_FALSE(known[1].found.has_value());
  CHECK(known[4].found == folder / "impasto/vgg16_imagenet_convolutions.h5");
}

TEST_CASE("IMPASTO_WEIGHTS as a folder is searched before the user's data folder") {
  const TempFolder folder;
  for (const char* name : {"a", "b"}) std::filesystem::create_directories(folder / name / "impasto");
  for (const char* name : {"a/impasto", "b/impasto"})
    write_bytes(folder / name / "hed_bsds500.weights.h5", "x");
  const ScopedVariable data("XDG_DATA_HOME", (folder / "a").string());
  const ScopedVariable given("IMPASTO_WEIGHTS", (folder / "b/impasto").string());
  CHECK(known_weights().back().found == folder / "b/impasto/hed_bsds500.weights.h5");
}

TEST_CASE("folders of the environment that are relative are not searched") {
  const TempFolder folder;
  const auto here = std::filesystem::relative(folder.path());
  std::filesystem::create_directories(folder / ".local/share/impasto");
  std::filesystem::create_directories(folder / "impasto");
  for (const char* place : {".local/share/impasto", "impasto"})
    write_bytes(folder / place / "hed_bsds500.weights.h5", "x");
  const ScopedVariable given("IMPASTO_WEIGHTS", "");
  const ScopedVariable data("XDG_DATA_HOME", here.string());
  {
    const ScopedVariable home("HOME", folder.path().string());
    CHECK(known_weights().back().found == folder / ".local/share/impasto/hed_bsds500.weights.h5");
  }
  const ScopedVariable home("HOME", here.string());
  const auto found = known_weights().back().found;
  CHECK((!found || found->is_absolute()));
}

TEST_CASE("the edge detector's trunk is recognised and read, where it is installed") {
  const auto known = known_weights().back();
  if (!known.found) {
    WARN("skipped: hed-vgg16 is not installed (weights_tools/fetch.py hed-vgg16)");
    return;
  }
  const Weights w = load_weights(*known.found);
  CHECK(w.name == "hed-vgg16");
  CHECK(w.network == "vgg16");
  REQUIRE(w.layers.size() == 13);
  CHECK(w.layers.back().name == "conv5_3");
  CHECK(w.layers[4].in_channels == 128);
  CHECK(w.layers[4].out_channels == 256);
  CHECK(w.preprocessing.mean == std::array<double, 3>{104.00699, 116.66877, 122.67892});
  CHECK(w.layers[0].filter[0] == Approx(0.38976404f));
  CHECK(w.layers[0].bias[0] == Approx(0.6998734f));
}

TEST_CASE("the content digest is the documented one, and the same in every layout") {
  // From the description in docs/weights.md, computed with Python's hashlib.
  Weights three;
  three.network = "vgg16";
  three.layers = {{"conv1_1", 3, 1, {}, {0.5f}}, {"conv1_2", 1, 1, {}, {-2.f}}};
  for (int i = 0; i < 27; ++i) three.layers[0].filter.push_back(static_cast<float>(i));
  for (int i = 0; i < 9; ++i) three.layers[1].filter.push_back(static_cast<float>(-i));
  const weights::ContentDigest digest = weights::content_digest(three);
  REQUIRE(digest.layers.size() == 2);
  CHECK(digest.layers[0] == "e2b75d3bccab38d7943de9932347c5a7b8eb1465a73bdb1bbfad4592c3167553");
  CHECK(digest.whole == "35f48cef8e361c069d1fa29c062f194b1dac4b0d35343e78a3528b0d8a027928");

  const TempFolder folder;
  const auto layers = tiny_layers("vgg16");
  write_legacy(folder / "a.h5", layers, {.keras = 1});
  write_tree(folder / "b.h5", layers);
  write_own(folder / "c.h5", layers, "vgg16");
  const std::string expected = load_weights(folder / "a.h5").digest;
  CHECK(load_weights(folder / "b.h5").digest == expected);
  CHECK(load_weights(folder / "c.h5").digest == expected);
  auto changed = layers;
  changed[6].filter[5] = -changed[6].filter[5];
  write_own(folder / "d.h5", changed, "vgg16");
  CHECK(load_weights(folder / "d.h5").digest != expected);
}

TEST_CASE("a network is told by its content in any container, and one that differs is said to") {
  const TempFolder folder;
  const auto layers = tiny_layers("vgg16");
  Weights source;
  source.network = "vgg16";
  source.layers = layers;
  const weights::ContentDigest digest = weights::content_digest(source);
  std::vector<const char*> each;
  for (const std::string& d : digest.layers) each.push_back(d.c_str());
  const std::vector<weights::Known> table{
      {"tiny", "tiny.h5", "a tiny network", "a test", "none", 1, "", digest.whole.c_str(), {}, each}};

  write_legacy(folder / "keras.h5", layers);
  write_own(folder / "own.h5", layers, "vgg16");
  for (const char* file : {"keras.h5", "own.h5"}) {
    const Weights w = weights::load_as(folder / file, table.data(), table);
    CHECK(w.name == "tiny");
    CHECK(w.source.starts_with("a test"));
    CHECK(w.licence == "none");
    CHECK(w.note.empty());
  }
  auto changed = layers;
  changed[7].bias[0] += 1;
  for (const bool own : {false, true}) {
    own ? write_own(folder / "w.h5", changed, "vgg16") : write_legacy(folder / "w.h5", changed);
    const Weights w = weights::load_as(folder / "w.h5", nullptr, table);
    CHECK(w.name == "w.h5");
    CHECK(w.note == "weights 'w.h5': unknown, differs from tiny in conv4_1");
    CHECK_THROWS_WITH(
        weights::load_as(folder / "w.h5", table.data(), table),
        ContainsSubstring("differs from tiny in conv4_1; get it again with: impasto weights fetch"));
  }
  write_own(folder / "w.h5", layers, "vgg16", {.mean = {1, 2, 3}});
  CHECK(weights::load_as(folder / "w.h5", nullptr, table).note ==
        "weights 'w.h5': unknown, differs from tiny in how a picture is prepared");
  // Most layers are others: another network altogether.
  write_own(folder / "w.h5", tiny_layers("vgg16", 13, 2), "vgg16");
  CHECK(weights::load_as(folder / "w.h5", nullptr, table).note.empty());
}

TEST_CASE("vgg16 is recognised and told from a copy with one value changed, where it is installed") {
  std::optional<std::filesystem::path> file;
  for (const KnownWeights& known : known_weights())
    if (known.name == "vgg16" && known.found) file = known.found;
  if (!file) {
    WARN("skipped: vgg16 is not installed (weights_tools/fetch.py vgg16)");
    return;
  }
  const Weights w = load_weights(*file);
  CHECK(w.name == "vgg16");
  CHECK(w.note.empty());
  CHECK(w.layers[0].filter[0] == Approx(0.42947057f));
  CHECK(w.layers[12].bias[0] == Approx(0.18837857f));
}

TEST_CASE("how an unknown Keras file was understood is said in one line") {
  const TempFolder folder;
  const auto layers = tiny_layers("vgg16");
  write_legacy(folder / "a.h5", layers);
  const std::string note = load_weights(folder / "a.h5").note;
  CHECK_THAT(
      note, ContainsSubstring("unknown, taken for VGG-16 by the names of its 13 convolutions (Keras 2 .h5)"));
  CHECK_THAT(note, ContainsSubstring("other numbers of channels"));
  write_tree(folder / "b.h5", tiny_layers("vgg19"), {.names = false});
  CHECK_THAT(load_weights(folder / "b.h5").note,
             ContainsSubstring("taken for VGG-19 by the number and order of its 16 3x3 convolutions"));
  write_own(folder / "c.h5", layers, "vgg16");
  CHECK(load_weights(folder / "c.h5").note.empty());
}

TEST_CASE("layers among the convolutions that change the function are refused, those after them are not") {
  const TempFolder folder;
  const auto layers = tiny_layers("vgg16");
  const auto file = folder / "w.h5";
  const auto with = [&](const std::string& group, std::vector<hsize_t> dims) {
    hsize_t count = 1;
    for (const hsize_t d : dims) count *= d;
    H5File h5(file, false);
    const std::vector<float> ones(count, 1.f);
    for (const char* name : {"/vars/0", "/vars/1"}) h5.dataset(group + name, dims, ones);
  };
  for (const bool names : {false, true}) {
    write_tree(file, layers, {.names = names});
    with("/layers/batch_normalization_3", {4});
    CHECK_THROWS_WITH(load_weights(file), ContainsSubstring("found batch normalisation among them"));
    write_tree(file, layers, {.names = names});
    with("/layers/p_re_lu", {1, 1, 4});
    CHECK_THROWS_WITH(load_weights(file), ContainsSubstring("found PReLU among them"));
    write_tree(file, layers, {.names = names});
    with("/head/batch_normalization", {4});  // in another part of the model
    CHECK(difference(load_weights(file), layers) == "");
  }
  // Keras' older files list the layers in order.
  for (const bool before : {true, false}) {
    write_legacy(file, layers);
    {
      H5File h5(file, false);
      const std::string bn = "batch_normalization_1";
      h5.dataset("/" + bn + "/" + bn + "/gamma:0", {2}, {1, 2});
      h5.dataset("/" + bn + "/" + bn + "/beta:0", {2}, {1, 2});
      h5.strings("/" + bn, "weight_names", {bn + "/gamma:0", bn + "/beta:0"}, Text::kFixed);
      std::vector<std::string> order;
      for (const ConvWeights& w : layers) order.push_back(keras_name(w));
      order.insert(before ? order.begin() + 1 : order.end(), bn);
      h5.strings("/", "layer_names", order, Text::kFixed);
    }
    if (before) {
      CHECK_THROWS_WITH(load_weights(file), ContainsSubstring("found batch normalisation among them"));
    } else {
      CHECK(difference(load_weights(file), layers) == "");
    }
  }
}

TEST_CASE("activations other than ReLU that a whole model describes are refused") {
  const TempFolder folder;
  const auto layers = tiny_layers("vgg16");
  const auto file = folder / "w.h5";
  const auto with = [&](const std::string& activation, const std::string& more) {
    write_legacy(file, layers, {.whole = true});
    const std::string conv =
        "{\"class_name\": \"Conv2D\", \"config\": {\"activation\": \"" + activation + "\"}}";
    H5File(file, false)
        .strings("/", "model_config",
                 {"[" + conv + ", " + more + conv +
                  ", {\"class_name\": \"Dense\", \"config\": {\"activation\": \"softmax\"}}]" +
                  std::string(6000, ' ')},  // longer than a name may be
                 Text::kVariable, true);
  };
  with("relu", "");
  CHECK(difference(load_weights(file), layers) == "");
  with("leaky_relu", "");
  CHECK_THROWS_WITH(load_weights(file), ContainsSubstring("found leaky_relu among them"));
  with("linear", "{\"class_name\": \"LeakyReLU\", \"config\": {}}, ");
  CHECK_THROWS_WITH(load_weights(file), ContainsSubstring("found LeakyReLU among them"));
}

TEST_CASE("a file that is no plain HDF5 is called by its name, with the next step") {
  const TempFolder folder;
  using namespace std::string_literals;
  const auto refused = [&](const std::string& name, const std::string& bytes, const std::string& text) {
    write_bytes(folder / name, bytes);
    CHECK_THROWS_WITH(load_weights(folder / name), ContainsSubstring(text));
    CHECK(code_of([&] { (void)load_weights(folder / name); }) == ErrorCode::kBadInput);
  };
  const std::string here = folder.path().string();
  refused("a.gif", "GIF89a..", "found a GIF picture");
  refused("a.h5", "<!DOCTYPE html><html>", "found a web page; the address answered with a page");
  refused("b.h5", "version https://git-lfs.github.com/spec/v1\n", "found a Git LFS pointer");
  refused("a.h5.gz", "\x1f\x8b\x08", "gunzip " + here + "/a.h5.gz");
  refused("c.h5", "", "found an empty file");
  refused("a.safetensors", "\x02\0\0\0\0\0\0\0{}"s,
          "impasto weights convert " + here + "/a.safetensors " + here + "/a.h5");
  refused("a b.onnx", "\x08\x07\x12\x07tf2onnx\x1a\x01",
          "impasto weights convert '" + here + "/a b.onnx' '" + here + "/a b.h5'");
  refused("a.mat", "MATLAB 5.0 MAT-file, x", "found a MATLAB file; convert it with: impasto weights convert");
  refused("a.pkl", "\x80\x04\x95..", "found a Python pickle; save its arrays as .npz");
  refused("odd.bin", "\x01\x02\x03", "one of an unknown kind");
  std::filesystem::create_directory(folder / "d");
  CHECK_THROWS_WITH(load_weights(folder / "d"), ContainsSubstring("found a folder"));
  // HDF5 that the reader does not take as it is.
  auto layers = tiny_layers("vgg16", 1);
  {
    H5File h5(folder / "half.h5");
    h5.dataset("/conv2d/vars/0", filter_dims(layers[0]), layers[0].filter, Storage::kContiguous,
               H5T_IEEE_F64LE);
    h5.dataset("/conv2d/vars/1", {2}, layers[0].bias);
    h5.strings("/conv2d/vars", "name", {"block1_conv1"}, Text::kVariable, true);
  }
  CHECK_THROWS_WITH(load_weights(folder / "half.h5"),
                    ContainsSubstring("found float64; make a plain copy with: impasto weights convert"));
}
