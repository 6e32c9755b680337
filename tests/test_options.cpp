#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/backend/devices.h"
#include "engine/core/error.h"
#include "engine/options/option_table.h"
#include "engine/options/options.h"
#include "tests/support/catch.h"

using namespace impasto;

namespace {

std::string usage_error(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUsage);
    return error.what();
  }
  return "no error";
}

std::string set_error(const std::string& name, const std::string& value) {
  return usage_error([&] {
    StyleOptions options;
    set_option(options, name, value);
  });
}

StyleOptions from_description(const StyleOptions& options) {
  StyleOptions copy;
  for (const auto& [name, value] : describe(options)) set_option(copy, name, value);
  return copy;
}

}  // namespace

TEST_CASE("every preset is valid and its description reads back to the same options") {
  for (const std::string& name : preset_names()) {
    INFO(name);
    const StyleOptions options = make_preset(name);
    CHECK(options.preset == name);
    CHECK_NOTHROW(validate(options));
    const StyleOptions copy = from_description(options);
    CHECK(describe(copy) == describe(options));
    CHECK(copy.objective.style_layers == options.objective.style_layers);
    CHECK(copy.optimizer.learning_rate == options.optimizer.learning_rate);
    CHECK(copy.min_size == options.min_size);
    CHECK(copy.num_scales == options.num_scales);
  }
}

TEST_CASE("presets hold what their sources use") {
  const StyleOptions pt = make_preset("neural-style-pt");
  CHECK(pt.objective.scaling == Scaling::kMean);
  CHECK(pt.objective.content_weight == 5);
  CHECK(pt.objective.style_weight == 100);
  CHECK(pt.objective.tv_weight == 1e-3);
  CHECK(pt.objective.tv == TotalVariation::kL1);
  CHECK_FALSE(pt.objective.normalize_layer_weights);
  CHECK(pt.init == Init::kNoise);
  CHECK(pt.noise_deviation == 0.001);
  CHECK(pt.optimizer.kind == OptimizerKind::kLbfgs);
  CHECK(pt.optimizer.history == 100);
  CHECK(pt.optimizer.line_search == LineSearch::kNone);
  CHECK(pt.iterations == 1000);
  CHECK(pt.min_size == 0);
  CHECK(pt.num_scales == 1);

  const StyleOptions notebook = make_preset("gatys-notebook");
  CHECK(notebook.objective.content_weight == 1);
  CHECK(notebook.objective.style_weight == 1000);
  CHECK(notebook.objective.tv_weight == 0);
  CHECK(notebook.init == Init::kContent);
  CHECK(notebook.iterations == 500);

  const StyleOptions paper = make_preset("paper");
  CHECK(paper.objective.scaling == Scaling::kPaper);
  CHECK(paper.optimizer.kind == OptimizerKind::kGradientDescent);
  CHECK(paper.optimizer.momentum == 0.9);
  CHECK_FALSE(paper.optimizer.learning_rate);
  CHECK(paper.init == Init::kNoise);
  CHECK(paper.noise_deviation == 0);
}

TEST_CASE("a learning rate is auto unless a number is given, and auto can be given over a number") {
  StyleOptions o;
  CHECK(describe(o).at("learning-rate") == "auto");
  set_option(o, "learning-rate", "1e-05");
  CHECK(o.optimizer.learning_rate == 1e-5);
  CHECK(describe(o).at("learning-rate") == "1e-05");
  set_option(o, "learning-rate", "auto");
  CHECK_FALSE(o.optimizer.learning_rate);
  o.optimizer.learning_rate = 0;
  CHECK(usage_error([&] { validate(o); }) ==
        "option --learning-rate: expected auto or a number above 0, found '0'");
}

TEST_CASE("a preset's learning rate stays with its own optimiser") {
  for (const std::string& preset : preset_names()) {
    const OptimizerKind own = make_preset(preset).optimizer.kind;
    for (const char* optimizer : {"lbfgs", "adam", "gd"}) {
      INFO(preset << " " << optimizer);
      const StyleOptions options = make_options(preset, {{"optimizer", optimizer}});
      if (options.optimizer.kind != own) CHECK_FALSE(options.optimizer.learning_rate);
      CHECK(
          make_options(preset, {{"optimizer", optimizer}, {"learning-rate", "3"}}).optimizer.learning_rate ==
          3.0);
      CHECK(make_options(preset, {{"learning-rate", "auto"}}).optimizer.learning_rate == std::nullopt);
    }
  }
}

TEST_CASE("a preset's search without line search is not carried to relative losses unless it is given") {
  for (const char* preset : {"neural-style-pt", "gatys-notebook"}) {
    INFO(preset);
    CHECK(make_options(preset, {}).optimizer.line_search == LineSearch::kNone);
    CHECK(make_options(preset, {{"scaling", "paper"}}).optimizer.line_search == LineSearch::kNone);
    CHECK(make_options(preset, {{"scaling", "relative"}}).optimizer.line_search == LineSearch::kWolfe);
    CHECK(make_options(preset, {{"scaling", "relative"}, {"line-search", "none"}}).optimizer.line_search ==
          LineSearch::kNone);
  }
  CHECK(make_options("impasto", {{"line-search", "none"}}).optimizer.line_search == LineSearch::kNone);
  CHECK(usage_error([] { (void)make_options("impasto", {{"lines", "1"}}); }) != "no error");
}

TEST_CASE("the preset may stand among the options, and scales beside a smallest size are refused") {
  CHECK(describe(make_options({})) == describe(make_preset(StyleOptions().preset)));
  CHECK(describe(make_options({{"preset", "paper"}, {"optimizer", "adam"}})) ==
        describe(make_options("paper", {{"optimizer", "adam"}})));
  CHECK(usage_error([] {
          (void)make_options({{"scales", "2"}, {"min-size", "16"}});
        }) == "options --scales, --min-size: expected one of them, found both");
  CHECK(make_options({{"scales", "2"}, {"min-size", "0"}}).num_scales == 2);
  CHECK(make_options({{"scales", "auto"}, {"min-size", "16"}}).min_size == 16);
}

TEST_CASE("every word that an option offers is taken, and given back by get and by the description") {
  int words = 0;
  for (const StyleOption& option : option_table()) {
    CHECK((option.is_flag() || !option.value.choices.empty() || option.value.others));
    for (const Choice& choice : option.value.choices) {
      if (choice.typed == Choice::Typed::kPattern) continue;
      INFO("--" << option.name << " " << choice.word);
      ++words;
      StyleOptions o = make_preset("impasto");  // with a smallest size: scales can be auto
      CHECK_NOTHROW(set_option(o, option.name, choice.word));
      CHECK(option.value.get(o) == choice.word);
      if (option.scope == OptionScope::kResult) CHECK(describe(o).at(option.name) == choice.word);
    }
    if (!option.off.empty()) {
      INFO("--" << option.name << " off: " << option.off);
      StyleOptions o;
      set_option(o, option.name, option.off);
      CHECK(with_later_options({}).at(option.name) == option.value.get(o));
    }
  }
  CHECK(words > 40);
}

TEST_CASE("an option's name and its words stand once, and its group's rows stand together") {
  std::set<std::string> names;
  std::vector<std::string> groups;
  for (const StyleOption& option : option_table()) {
    INFO(option.name);
    CHECK(names.insert(option.name).second);
    CHECK((option.scope == OptionScope::kResult) == (option.group != kMachineGroup));
    if (groups.empty() || groups.back() != option.group) groups.push_back(option.group);
    std::set<std::string> words;
    for (const Choice& choice : option.value.choices) CHECK(words.insert(choice.word).second);
  }
  CHECK(std::set(groups.begin(), groups.end()).size() == groups.size());
}

TEST_CASE("the precisions and devices that options name are the engine's") {
  const auto words = [](const std::string& name) { return words_of(find_option(name).value.choices); };
  CHECK(any_of(words("precision")) == precision_names());
  const std::vector<std::string> devices = words("device");
  for (const DeviceStatus& device : list_devices()) {
    const std::string kind = device.info.name.substr(0, device.info.name.find(':'));
    INFO(device.info.name);
    CHECK(std::count(devices.begin(), devices.end(), kind) == 1);
  }
}

TEST_CASE("every option reads back exactly when it is not the default") {
  StyleOptions o;
  const std::map<std::string, std::string> values{{"preset", "paper"},
                                                  {"size", "1023"},
                                                  {"style-size", "0"},
                                                  {"style-scale", "0.1"},
                                                  {"scaling", "mean"},
                                                  {"content-weight", "0.30000000000000004"},
                                                  {"style-weight", "1e-300"},
                                                  {"tv-weight", "0.001"},
                                                  {"tv", "half-sum"},
                                                  {"content-layers", "conv4_2=0.5,relu5_1=1"},
                                                  {"style-layers", "relu1_1=0.3333333333333333"},
                                                  {"normalize-layer-weights", "false"},
                                                  {"style-blend", "1,0,2.5"},
                                                  {"pooling", "average"},
                                                  {"init", "picture"},
                                                  {"noise-deviation", "0.256"},
                                                  {"seed", "18446744073709551615"},
                                                  {"optimizer", "adam"},
                                                  {"learning-rate", "0.02"},
                                                  {"history", "7"},
                                                  {"line-search", "none"},
                                                  {"preconditioner", "none"},
                                                  {"momentum", "0.95"},
                                                  {"beta1", "0.8"},
                                                  {"beta2", "0.99"},
                                                  {"epsilon", "1e-07"},
                                                  {"clamp", "true"},
                                                  {"iterations", "3"},
                                                  {"coarse-iterations", "9"},
                                                  {"tolerance", "0.003"},
                                                  {"handover", "change"},
                                                  {"grain", "style"},
                                                  {"min-size", "0"},
                                                  {"scales", "4"}};
  for (const auto& [name, value] : values) set_option(o, name, value);
  CHECK_NOTHROW(validate(o));
  CHECK(describe(o) == values);
  CHECK(describe(from_description(o)) == values);
  CHECK(o.objective.content_weight == 0.1 + 0.2);
  CHECK(o.seed == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("options of the machine can be set but are no part of the description") {
  StyleOptions o;
  set_option(o, "device", "cuda:1");
  set_option(o, "precision", "bf16");
  set_option(o, "threads", "3");
  set_option(o, "memory", "4.5G");
  CHECK(o.device == "cuda:1");
  CHECK(o.precision == "bf16");
  CHECK(o.threads == 3);
  CHECK(o.memory_bytes == 4831838208);
  CHECK(describe(o) == describe(StyleOptions{}));
  set_option(o, "memory", "1000");
  CHECK(o.memory_bytes == 1000);
  set_option(o, "memory", "1.5GiB");
  CHECK(o.memory_bytes == 3 << 29);
  for (const char* none : {"", "G", "iB", "GiB", "12iB", "5Gi", "5GB"}) {
    CHECK_THROWS_AS(set_option(o, "memory", none), Error);
  }
}

TEST_CASE("a preconditioner needs L-BFGS with the Wolfe line search and unclamped pixels") {
  const auto preconditioner = [](const std::string& preset, std::map<std::string, std::string> given) {
    return make_options(preset, given).optimizer.preconditioner;
  };
  CHECK(preconditioner("impasto", {}) == Preconditioner::kPyramid);
  CHECK(preconditioner("gatys-notebook", {{"preconditioner", "pyramid"}, {"line-search", "wolfe"}}) ==
        Preconditioner::kPyramid);
  const std::vector<std::map<std::string, std::string>> others{
      {{"line-search", "none"}}, {{"optimizer", "adam"}}, {{"optimizer", "gd"}}, {{"clamp", "true"}}};
  for (std::map<std::string, std::string> given : others) {
    CHECK(preconditioner("impasto", given) == Preconditioner::kNone);
    given["preconditioner"] = "pyramid";
    CHECK_THROWS_WITH(preconditioner("impasto", given),
                      "option --preconditioner: expected none, or beside it --optimizer lbfgs, "
                      "--line-search wolfe and no --clamp, found 'pyramid'");
  }
}

TEST_CASE("coarse iterations are a number or as many as the last scale's") {
  StyleOptions o;
  CHECK(describe(o).at("coarse-iterations") == "auto");
  CHECK(iterations_at(o, 0, 3) == o.iterations);
  set_option(o, "coarse-iterations", "7");
  CHECK(iterations_at(o, 0, 3) == 7);
  CHECK(iterations_at(o, 1, 3) == 7);
  CHECK(iterations_at(o, 2, 3) == o.iterations);
  CHECK(iterations_before(o, 2) == 14);
  CHECK_THAT(set_error("coarse-iterations", "0"), ContainsSubstring("expected a whole number from 1"));
  set_option(o, "coarse-iterations", "auto");
  CHECK(iterations_before(o, 2) == 2 * o.iterations);
}

TEST_CASE("a tolerance is a share, and presets that follow another source have none") {
  for (const std::string& preset : preset_names())
    CHECK((describe(make_preset(preset)).at("tolerance") == "0") == (preset != "impasto"));
  CHECK(make_options("impasto", {}).tolerance == 0.005);
  CHECK(make_options("impasto", {{"iterations", "300"}}).tolerance == 0);  // as many as were asked for
  CHECK(make_options("impasto", {{"coarse-iterations", "20"}}).tolerance == 0);
  CHECK(make_options("impasto", {{"iterations", "300"}, {"tolerance", "0.01"}}).tolerance == 0.01);
  for (const char* bad : {"-0.1", "nan", "1", "5%", "auto", ""}) {
    CHECK(set_error("tolerance", bad) ==
          "option --tolerance: expected a number from 0 to below 1, found '" + std::string(bad) + "'");
  }
}

TEST_CASE("scales and min-size put each other out of use") {
  StyleOptions o = make_preset("impasto");
  CHECK(describe(o).at("scales") == "auto");
  set_option(o, "scales", "3");
  CHECK(o.min_size == 0);
  CHECK(describe(o).at("scales") == "3");
  set_option(o, "min-size", "64");
  CHECK(describe(o).at("scales") == "auto");
}

TEST_CASE("a value that is not wholly a number in range is refused with what was expected and found") {
  CHECK(set_error("content-weight", "abc") ==
        "option --content-weight: expected a number from 0 to 1e+36, found 'abc'");
  for (const char* bad : {"", " 1", "1 ", "1x", "nan", "inf", "-inf", "-1", "1e999", "0x10", "+1", "1,5"}) {
    INFO(bad);
    CHECK_THAT(set_error("content-weight", bad), ContainsSubstring("option --content-weight: expected"));
  }
  CHECK(set_error("iterations", "1.5") ==
        "option --iterations: expected a whole number from 1 to 1e+09, found '1.5'");
  CHECK(set_error("momentum", "1") == "option --momentum: expected a number from 0 to below 1, found '1'");
  for (const char* bad : {"0", "-1", "Auto", "auto ", "", "1e999"}) {
    CHECK(set_error("learning-rate", bad) ==
          "option --learning-rate: expected auto or a number above 0, found '" + std::string(bad) + "'");
  }
  CHECK_THAT(set_error("size", "99999999999999999999"), ContainsSubstring("expected a whole number from 0"));
  for (const char* bad : {"", "K", "-1", "1.5", "1T", "nanG", "infG", "99999999999G"}) {
    INFO(bad);
    CHECK_THAT(set_error("memory", bad), ContainsSubstring("option --memory: expected bytes"));
  }
}

TEST_CASE("an unknown name is refused with the names that are known") {
  CHECK(set_error("scaling", "gatys") == "option --scaling: expected relative, paper or mean, found 'gatys'");
  CHECK_THAT(set_error("contentweight", "1"),
             ContainsSubstring("option --contentweight: expected preset, content-weight,"));
  CHECK(usage_error([] { static_cast<void>(make_preset("monet")); }) ==
        "option --preset: expected impasto, paper, neural-style-pt or gatys-notebook, found 'monet'");
  CHECK(make_options({{"optimizer", "gd"}}).optimizer.kind == OptimizerKind::kGradientDescent);
  CHECK(set_error("optimizer", "sgd") == "option --optimizer: expected lbfgs, adam or gd, found 'sgd'");
}

TEST_CASE("layers are read with and without weights and refused when malformed") {
  StyleOptions o;
  const auto layers = [&](const std::string& text) {
    set_option(o, "style-layers", text);
    return o.objective.style_layers;
  };
  CHECK(layers("relu4_2") == std::vector<LayerWeight>{{"relu4_2", 1}});
  CHECK(layers("relu1_1=0.5,conv2_1") == std::vector<LayerWeight>{{"relu1_1", 0.5}, {"conv2_1", 1}});
  CHECK(layers("none").empty());
  CHECK(describe(o).at("style-layers") == "none");
  for (const char* bad : {"", ",", "relu4_2,", "relu4", "relu4_2=", "relu4_2=-1", "relu4_2=nan", "relu0_1",
                          "relu4_2=1=2", "pool4_1", "Relu4_2", "relu4_2 ", "relu4_2,relu4_2", "relu444_1"}) {
    INFO(bad);
    CHECK_THAT(set_error("style-layers", bad), ContainsSubstring("option --style-layers"));
  }
}

TEST_CASE("validate refuses values that make no sense, wherever they were set") {
  const auto refuses = [](const std::function<void(StyleOptions&)>& spoil) {
    StyleOptions o;
    spoil(o);
    return usage_error([&] { validate(o); });
  };
  CHECK_THAT(refuses([](auto& o) { o.size = -1; }), ContainsSubstring("option --size: expected"));
  CHECK_THAT(refuses([](auto& o) { o.style_size = -2; }), ContainsSubstring("option --style-size"));
  CHECK_THAT(refuses([](auto& o) { o.objective.content_weight = NAN; }),
             ContainsSubstring("option --content-weight: expected a number from 0 to 1e+36, found 'nan'"));
  CHECK_THAT(refuses([](auto& o) { o.optimizer.history = 0; }), ContainsSubstring("option --history"));
  CHECK_THAT(refuses([](auto& o) { o.iterations = 0; }), ContainsSubstring("option --iterations"));
  CHECK_THAT(refuses([](auto& o) { o.preset = "x"; }), ContainsSubstring("option --preset"));
  CHECK_THAT(refuses([](auto& o) { o.objective.scaling = static_cast<Scaling>(9); }),
             ContainsSubstring("option --scaling"));
  CHECK_THAT(refuses([](auto& o) { o.objective.style_layers[0].weight = -1; }),
             ContainsSubstring("option --style-layers relu1_1"));
  CHECK_THAT(refuses([](auto& o) { o.memory_bytes = -1; }), ContainsSubstring("option --memory"));
  CHECK_THAT(refuses([](auto& o) {
               o.objective.content_weight = 0;
               o.objective.style_layers.clear();
             }),
             ContainsSubstring("expected at least one above 0"));
  CHECK_THAT(refuses([](auto& o) {
               o.objective.style_blend = {0, 0};
             }),
             ContainsSubstring("option --style-blend"));
}
