#include "apps/render_arguments.h"

#include <array>
#include <cstdio>

#include "apps/text.h"
#include "engine/backend/devices.h"

namespace impasto::apps {
namespace {

constexpr const char* kObjective = "Objective";
constexpr const char* kOptimiser = "Start and optimiser";
constexpr const char* kSizes = "Sizes";
constexpr const char* kMachine = "Machine";
constexpr const char* kFiles = "Output and progress";

/// One option of StyleOptions. Its default is asked of the default preset, so that help cannot go stale.
struct StyleOption {
  const char* group;
  const char* name;
  const char* value;  ///< what --help calls it; empty: a flag
  const char* help;
};

constexpr std::array kStyleOptions{
    StyleOption{kSizes, "size", "PX", "long side of the result in pixels; 0: the content's own"},
    StyleOption{kSizes, "style-size", "PX",
                "long side of the style pictures in pixels; auto: as the result's, times --style-scale; 0: "
                "their own"},
    StyleOption{kSizes, "style-scale", "FACTOR", "size of the style's features relative to the result"},
    StyleOption{kSizes, "scales", "N",
                "render from coarse to fine at N sizes, each twice the one before; auto: as "
                "many as --min-size allows"},
    StyleOption{kSizes, "min-size", "PX", "smallest long side of a coarse scale in pixels; 0: use --scales"},
    StyleOption{kObjective, "content-weight", "ALPHA", "weight of the content loss"},
    StyleOption{kObjective, "style-weight", "BETA", "weight of the style loss"},
    StyleOption{kObjective, "tv-weight", "TAU", "weight of the total variation"},
    StyleOption{kObjective, "tv", "KIND", "total variation: l2, l1 or half-sum"},
    StyleOption{kObjective, "scaling", "KIND", "how layer losses are scaled: relative, paper or mean"},
    StyleOption{kObjective, "content-layers", "LAYERS", "as relu4_2 or relu4_1=1,conv5_1=0.5"},
    StyleOption{kObjective, "style-layers", "LAYERS", "the same for the style loss"},
    StyleOption{kObjective, "normalize-layer-weights", "BOOL",
                "divide the layers' weights by their sum: true or false"},
    StyleOption{kObjective, "style-blend", "W,W,...", "weights of several style pictures"},
    StyleOption{kObjective, "pooling", "KIND", "max or average"},
    StyleOption{kOptimiser, "init", "START", "start from content, noise, or the picture in a file"},
    StyleOption{kOptimiser, "seed", "N", "of the noise"},
    StyleOption{
        kOptimiser, "noise-deviation", "SIGMA",
        "Gaussian noise of this deviation in 0..255 pixel units around the mean colour; 0: uniform noise"},
    StyleOption{kOptimiser, "optimizer", "KIND", "lbfgs, adam or gd (gradient descent)"},
    StyleOption{kOptimiser, "iterations", "N", "evaluations of loss and gradient at each scale"},
    StyleOption{kOptimiser, "coarse-iterations", "N",
                "the same at each scale before the last; auto: as --iterations"},
    StyleOption{kOptimiser, "tolerance", "T",
                "stop a scale when the loss falls by less than this share over ten evaluations; 0: never"},
    StyleOption{kOptimiser, "handover", "WHAT",
                "what a scale hands to the next: its picture, or its change to where it began, which keeps "
                "the content's detail"},
    StyleOption{
        kOptimiser, "grain", "WHOSE",
        "finest detail of the picture: result, as the optimiser left it, or style, with the energy that the "
        "style's has"},
    StyleOption{
        kOptimiser, "learning-rate", "RATE",
        "a number is adam's step in grey levels (0..255), gd's RATE in x = x - RATE v, lbfgs' factor of the "
        "step; auto: 1 for adam and lbfgs, and gd finds its steps itself"},
    StyleOption{kOptimiser, "history", "N", "lbfgs: pairs of vectors kept"},
    StyleOption{kOptimiser, "line-search", "KIND", "lbfgs: none (steps as torch.optim.LBFGS) or wolfe"},
    StyleOption{kOptimiser, "preconditioner", "KIND",
                "lbfgs with wolfe: none, or pyramid, which favours coarse features in each step"},
    StyleOption{
        kOptimiser, "momentum", "MU",
        "gd: v = MU v + gradient, x = x - RATE v; learning rate auto: each move goes on by MU of the one "
        "before while the loss falls"},
    StyleOption{kOptimiser, "beta1", "B", "adam: decay of the mean gradient"},
    StyleOption{kOptimiser, "beta2", "B", "adam: decay of the mean squared gradient"},
    StyleOption{kOptimiser, "epsilon", "E", "adam: added to the root"},
    StyleOption{kOptimiser, "clamp", "",
                "keep pixels displayable after every step, not only in the written picture"},
    StyleOption{kMachine, "device", "NAME",
                "auto, cpu, cuda, cuda:N or reference; auto: CUDA if usable, else the CPU"},
    StyleOption{
        kMachine, "precision", "KIND",
        "auto, exact, fp32, tf32, bf16, fp16 or fp64, as the device offers; auto: the fastest that keeps the "
        "documented error"},
    StyleOption{kMachine, "threads", "N", "of the CPU; 0: the cores that this process may use"},
    StyleOption{
        kMachine, "autotune", "",
        "time the device's ways of convolution instead of taking the first; kept in the user's cache folder"},
    StyleOption{kMachine, "memory", "BYTES",
                "budget on the device, with suffix K, M or G; 0: what is free, less a margin"},
};

/// The values that describe() leaves out.
std::string default_value(const std::string& name) {
  static const std::map<std::string, std::string> defaults = [] {
    std::map<std::string, std::string> all = describe(StyleOptions(make_preset("impasto")));
    all.insert(
        {{"device", "auto"}, {"precision", "auto"}, {"threads", "0"}, {"autotune", "off"}, {"memory", "0"}});
    return all;
  }();
  const auto found = defaults.find(name);
  if (found == defaults.end()) return "";
  return found->second == "false" ? "off" : found->second;
}

void add_style_option(CLI::App& app, const StyleOption& row, std::map<std::string, std::string>& values) {
  const std::string name = row.name;
  const std::string help = std::string(row.help) + " (" + default_value(name) + ")";
  const auto store = [&values, name](const std::string& value) { values[name] = value; };
  CLI::Option* option = nullptr;
  if (*row.value == '\0') {
    option = app.add_flag_function(
        "--" + name, [store](std::int64_t count) { store(count > 0 ? "true" : "false"); }, help);
  } else {
    option = app.add_option_function<std::string>("--" + name, store, help)->option_text(row.value);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  option->group(row.group);
}

CLI::Option* add_text(CLI::App& app, const std::string& names, std::string& value, const std::string& text,
                      const std::string& help, const std::string& group) {
  CLI::Option* const option = app.add_option(names, value, help)->option_text(text)->group(group);
  return option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

std::string preset_help() {
  std::string names;
  for (const std::string& name : preset_names()) names += (names.empty() ? "" : ", ") + name;
  return "sets options as a published work has them; those given beside it win: " + names + " (impasto)";
}

}  // namespace

void add_render_arguments(CLI::App& app, RenderArguments& a) {
  app.add_option("CONTENT", a.content, "the photograph: JPEG, PNG, WebP or TIFF")->required();
  app.add_option("STYLE", a.styles, "one or more paintings; several are blended")->required();
  add_text(app, "-o,--output", a.output, "FILE",
           "the result; its suffix says the format: .png, .jpg, .webp or .tif", kFiles);
  app.add_flag("--overwrite", a.overwrite, "replace output, trace and checkpoint files that exist (off)")
      ->group(kFiles);
  add_text(app, "--output-bits", a.output_bits, "8|16", "bits a channel; 16 with .png and .tif (8)", kFiles);
  add_text(app, "--quality", a.quality, "Q", "of JPEG and WebP, 1 to 100 (95)", kFiles);
  add_text(app, "--save-every", a.save_every, "N",
           "also write the picture after every N iterations, as OUTPUT-000050.png; 0: never (0)", kFiles);
  add_text(app, "--checkpoint", a.checkpoint, "FILE",
           "keep the state of the render in FILE: every --save-every iterations (50 without it) and when "
           "interrupted (none)",
           kFiles);
  add_text(app, "--resume", a.resume, "FILE",
           "go on from a checkpoint; pictures, weights and options must be the same (none)", kFiles);
  add_text(app, "--trace", a.trace, "FILE",
           "write one JSON object a line for each iteration; appended to when resuming (none)", kFiles);
  add_text(app, "--progress", a.progress, "KIND",
           "on standard error: bar, json (an object a line), none; auto: a bar on a terminal, else a line at "
           "start and end (auto)",
           kFiles);
  app.add_flag("-v,--verbose", a.verbose, "say sizes, memory and device before the work (off)")
      ->group(kFiles);
  app.add_flag("-q,--quiet", a.quiet, "say nothing but errors (off)")->group(kFiles);

  const auto preset = [&a](const std::string& value) { a.style_options["preset"] = value; };
  app.add_option_function<std::string>("--preset", preset, preset_help())
      ->option_text("NAME")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
      ->group(kObjective);
  for (const StyleOption& row : kStyleOptions) add_style_option(app, row, a.style_options);

  add_text(app, "--weights", a.weights, "FILE|NAME",
           "a weight file, or vgg19, vgg16, hed-vgg16 as `impasto weights` finds them; random:SEED and "
           "random-vgg16:SEED for tests (the first that is found)",
           kMachine);
  add_text(app, "--max-pixels", a.max_pixels, "N",
           "refuse pictures with more pixels (" + std::to_string(kDefaultMaxPixels) + ")", kMachine);
  a.max_pixels = std::to_string(kDefaultMaxPixels);
  app.footer("Defaults in parentheses are those of --preset impasto.");
}

void add_device_options(CLI::App& app, std::map<std::string, std::string>& style_options) {
  for (const StyleOption& row : kStyleOptions) {
    const std::string name = row.name;
    if (name == "device" || name == "precision" || name == "threads" || name == "autotune")
      add_style_option(app, row, style_options);
  }
}

std::optional<std::string> init_file(const RenderArguments& a) {
  const auto found = a.style_options.find("init");
  if (found == a.style_options.end() || found->second == "content" || found->second == "noise") return {};
  return found->second;
}

StyleOptions resolve_options(const RenderArguments& a) {
  const auto given = [&](const char* name, const char* other) {
    const auto found = a.style_options.find(name);
    return found != a.style_options.end() && found->second != other;
  };
  if (given("scales", "auto") && given("min-size", "0")) {
    throw Error(ErrorCode::kUsage, "options --scales, --min-size: expected one of them, found both");
  }
  const auto preset = a.style_options.find("preset");
  std::map<std::string, std::string> values = a.style_options;
  if (init_file(a)) values["init"] = "picture";
  values.erase("preset");
  const StyleOptions options =
      make_options(preset == a.style_options.end() ? "impasto" : preset->second, values);
  validate(options);
  return options;
}

std::unique_ptr<Backend> open_device(const StyleOptions& options) {
  const Precision precision = find_precision(options.precision).value_or(Precision::kAuto);
  OpenedDevice device = impasto::open_device({options.device, precision, options.threads, options.autotune});
  if (!device.note.empty()) std::fprintf(stderr, "impasto: warning: %s\n", device.note.c_str());
  return std::move(device.backend);
}

std::string repeat_command(const RenderArguments& a, const StyleOptions& options, const Weights& weights) {
  const auto base = [](const std::string& path) {
    const std::string name = std::filesystem::path(path).filename().string();
    return shell_quote(name.starts_with('-') ? "./" + name : name);
  };
  std::string command = "impasto render " + base(a.content);
  for (const std::string& style : a.styles) command += " " + base(style);
  for (const auto& [name, value] : describe(options)) {
    command += " --" + name + "=" + (name == "init" && init_file(a) ? base(*init_file(a)) : value);
  }
  return command + " --weights " + shell_quote(weights.name) + " -o " + base(a.output);
}

}  // namespace impasto::apps
