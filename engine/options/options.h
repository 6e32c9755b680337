#pragma once
// Everything a render can be told, as plain values. Presets only set these; docs/losses.md has the formulas.
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernels/ops.h"

namespace impasto {

/// "relu4_2" (after the ReLU) or "conv4_2" (before it), with its weight c_l or lambda_l.
struct LayerWeight {
  std::string layer;
  double weight = 1;
  friend bool operator==(const LayerWeight&, const LayerWeight&) = default;
};

enum class Scaling : std::uint8_t { kRelative, kPaper, kMean };
enum class Init : std::uint8_t { kContent, kNoise, kPicture };
enum class OptimizerKind : std::uint8_t { kLbfgs, kAdam, kGradientDescent };
enum class LineSearch : std::uint8_t { kNone, kWolfe };
enum class Preconditioner : std::uint8_t { kNone, kPyramid };
/// What a scale hands to the next, twice its size: its
/// picture, or what it changed in the picture it began with.
enum class Handover : std::uint8_t { kPicture, kChange };
/// Whose finest octave the picture that is shown has: as the
/// optimiser left it, or with the energy of the style's (grain.h).
enum class GrainSource : std::uint8_t { kResult, kStyle };

struct ObjectiveOptions {
  Scaling scaling = Scaling::kRelative;
  double content_weight = 0.05;  ///< alpha
  double style_weight = 1;       ///< beta
  double tv_weight = 0;          ///< tau
  TotalVariation tv = TotalVariation::kL2;
  std::vector<LayerWeight> content_layers{{"relu4_2", 1}};
  std::vector<LayerWeight> style_layers{
      {"relu1_1", 1}, {"relu2_1", 1}, {"relu3_1", 1}, {"relu4_1", 1}, {"relu5_1", 1}};
  bool normalize_layer_weights = true;  ///< divide by their sum
  std::vector<double> style_blend;      ///< one for each style picture, normalised to sum 1; empty: equal
  Pooling pooling = Pooling::kMax;
};

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kLbfgs;
  /// Adam: grey levels (0..255) a step; gradient descent: x -= rate * v; L-BFGS: factor of the step. None:
  /// "auto", 1 for Adam and L-BFGS, and gradient descent finds its steps itself.
  std::optional<double> learning_rate;
  int history = 10;  ///< L-BFGS: pairs kept
  LineSearch line_search = LineSearch::kWolfe;
  Preconditioner preconditioner = Preconditioner::kNone;  ///< where takes_preconditioner() says so
  double momentum = 0;                                    ///< gradient descent
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;      ///< Adam
  bool clamp = false;  ///< project onto displayable pixels after every step
};

struct StyleOptions {
  std::string preset = "impasto";
  // Pictures
  /// The largest size that fits the memory without a short history or narrow strips (render_plan.h).
  static constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  std::int64_t size = 512;     ///< long side of the result in pixels; 0: the content's own; or kLargest
  std::int64_t most_side = 0;  ///< of kLargest, as the format of the output has a limit; 0: none
  /// Long side of the style picture; -1: the content's long side * style_scale; 0: its own.
  std::int64_t style_size = -1;
  double style_scale = 1;
  // Objective, start and optimiser
  ObjectiveOptions objective;
  Init init = Init::kContent;
  double noise_deviation = 0;  ///< Init::kNoise: Gaussian around the mean colour, 0..255 units; 0: uniform
  std::uint64_t seed = 0;
  OptimizerOptions optimizer;
  int iterations = 100;       ///< evaluations of loss and gradient at each scale
  int coarse_iterations = 0;  ///< at each scale before the last; 0: as `iterations`
  double tolerance = 0;       ///< share of the loss (convergence.h) that ends a scale early; 0: never
  Handover handover = Handover::kPicture;
  GrainSource grain = GrainSource::kResult;
  int num_scales = 1;         ///< where min_size is 0; each scale doubles the one before, the last has `size`
  std::int64_t min_size = 0;  ///< > 0: as many scales as keep the long side at least this
  // Machine: changes speed and rounding, not the objective
  std::string device = "auto";
  std::string precision = "auto";
  int threads = 0;
  bool autotune = false;
  std::int64_t memory_bytes = 0;  ///< budget; 0: what the device has free, less a margin
};

/// Evaluations at scale `scale` (from 0) of `num_scales`, and at all the scales before that one; with a
/// tolerance at most so many.
[[nodiscard]] int iterations_at(const StyleOptions& options, int scale, int num_scales);
[[nodiscard]] long long iterations_before(const StyleOptions& options, long long scale);

/// "impasto", "paper", "neural-style-pt", "gatys-notebook"; Error(kUsage) naming these for another name.
[[nodiscard]] StyleOptions make_preset(const std::string& name);
[[nodiscard]] std::vector<std::string> preset_names();

/// L-BFGS with the Wolfe line search and without clamping; other optimisers work as if there were none.
[[nodiscard]] bool takes_preconditioner(const OptimizerOptions& options);

/// A preset with the options that were given beside it, "name" -> "value" as set_option takes them, whatever
/// their order. What the preset leaves to its own optimiser and scaling is not carried to others: its
/// learning rate is auto for another optimiser, and its line search none is wolfe with --scaling relative,
/// where none seldom finds a step (docs/losses.md), its tolerance is that of its own number of iterations,
/// and 0 with another, and its preconditioner goes where another optimiser or clamping rules it out; unless
/// they were given. Error(kUsage) for a given one that is ruled out, and for both of scales and min-size.
[[nodiscard]] StyleOptions make_options(const std::string& preset,
                                        const std::map<std::string, std::string>& given);
/// The same where the preset is one of the given; without it the default preset, StyleOptions().preset.
[[nodiscard]] StyleOptions make_options(std::map<std::string, std::string> given);

/// Error(kUsage) for values that make no sense (negative
/// sizes, unknown layers are found later, by the network).
void validate(const StyleOptions& options);

/// Every option as "name" -> "value", names as on the command line without "--"; numbers read back exactly.
/// What a picture's metadata and a checkpoint carry. `machine` options (device, precision, threads, autotune,
/// memory) are left out.
[[nodiscard]] std::map<std::string, std::string> describe(const StyleOptions& options);
/// A description that an earlier version made, with the options that it did not have yet: off, as it worked.
[[nodiscard]] std::map<std::string, std::string> with_later_options(
    std::map<std::string, std::string> described);

/// Sets one option from its text; the counterpart of describe, machine options included. `name` is as on the
/// command line, without "--". Error(kUsage) "option --NAME: expected ..., found ..." for an unknown name and
/// for a value that is not wholly one of those allowed (numbers are finite, in range and have no rest).
///   preset     only names the preset: start from make_preset() for its values.
///   clamp, autotune, normalize-layer-weights   true | false.       style-size   a number or auto.
///   content-layers, style-layers   none | relu4_2 | relu1_1=1,conv2_1=0.5,... (weight 1 where not given).
///   style-blend   equal | W,W,...
///   scales     N (which puts min-size out of use) or auto (min-size decides).
///   memory     bytes, with an optional suffix K, M or G (powers of 1024).
void set_option(StyleOptions& options, const std::string& name, const std::string& value);
/// Every name that set_option takes.
[[nodiscard]] std::vector<std::string> option_names();

/// Words as on the command line.
[[nodiscard]] std::string to_string(Scaling);
[[nodiscard]] std::string to_string(TotalVariation);
[[nodiscard]] std::string to_string(Init);
[[nodiscard]] std::string to_string(OptimizerKind);
[[nodiscard]] std::string to_string(LineSearch);
[[nodiscard]] std::string to_string(Preconditioner);

}  // namespace impasto
