#pragma once
// One render in a session, evaluation by evaluation.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/size.h"
#include "engine/image/image.h"
#include "engine/options/options.h"
#include "engine/style/checkpoint.h"
#include "engine/style/loss_value.h"
#include "engine/style/render_plan.h"
#include "engine/style/session.h"
#include "engine/style/source_file.h"

namespace impasto {

/// What belongs to one style picture.
struct StyleInput {
  PictureRef picture;  ///< borrowed
  /// In the blend of all; the weights are divided by their sum. ObjectiveOptions::style_blend is empty, or
  /// says the same.
  double weight = 1;
  double scale = 1;             ///< of its size beside the result, times what the options say of all
  const Image* mask = nullptr;  ///< where it is to show; no loss reads one yet: Error(kUsage) if given
};

/// The pictures with the weights of ObjectiveOptions::style_blend. Error(kUsage) where these are not as many.
[[nodiscard]] std::vector<StyleInput> style_inputs(const ObjectiveOptions& options,
                                                   std::span<const Image> pictures);
/// The same of pictures that need not be whole.
[[nodiscard]] std::vector<StyleInput> blended_inputs(const ObjectiveOptions& options,
                                                     std::span<const PictureRef> pictures);

/// The pictures are borrowed: they are read until the last scale has begun, and must live until then.
struct RenderInput {
  PictureRef content;
  std::vector<StyleInput> styles;
  PictureRef start;                          ///< the picture of Init::kPicture
  std::shared_ptr<const Checkpoint> resume;  ///< of the same options, pictures and weights; let go once read
  /// Goes on with one of another version, device, instruction set or precision too, whose choices it then
  /// does not take over: the result is neither that of a run there nor that of one here.
  bool resume_inexact = false;
};

struct RenderHooks {
  std::function<void(const std::string&)> warn;  ///< one line each
  int exact_every = 1;                           ///< see Render::step
};

/// One evaluation of the objective, at any scale.
struct Progress {
  int scale = 0, num_scales = 1;
  int iteration = 0;              ///< at this scale, from 1; the first is the loss of the starting picture
  int iterations = 0;             ///< at this scale; with a tolerance at most so many
  PixelSize size;                 ///< of the picture at this scale
  double loss = 0;                ///< J
  std::vector<LossValue> losses;  ///< "content", "style", "tv", unweighted
  double seconds = 0;             ///< spent in Render::step (resumed runs included)
  bool ends_scale = false;        ///< its last: all iterations are done, or it has converged (convergence.h)
};

/// Neither thread-safe nor to outlive its session. Several may be in work at once in one session, step by
/// step in turn: each has its memory and its optimiser, they share filters, style statistics and the device's
/// choices. Each ends with the bits it has alone, as long as these choices are the same: a render that goes
/// on brings those of its checkpoint.
class Render {
 public:
  /// Checks everything and plans; takes no device memory yet, but for the moments of autotune. Of the
  /// options, device, precision, threads and autotune are the session's; a budget is this render's own, and
  /// without one it is what others have left. Error(kUsage) for options or inputs that do not fit together,
  /// and for a checkpoint that has other choices for a layer than stand in the session; kBadInput for a
  /// picture that has nothing to show and for a checkpoint of another run or device, kResources if the plan
  /// does not fit the budget.
  Render(Session& session, StyleOptions options, RenderInput input, RenderHooks hooks = {});
  ~Render();
  Render(Render&&) noexcept;

  [[nodiscard]] const RenderPlan& plan() const;

  /// What the first step does before its evaluation: from here on picture() and checkpoint() show where the
  /// render begins, and progress() says where a resumed one goes on. Errors as of step().
  void begin();
  /// Makes one more evaluation, and reports it in progress(). False, and nothing reported, once all scales
  /// are done or the render was stopped. picture() and checkpoint() show the state after that evaluation. But
  /// so that a GPU never waits for the host, the next one may be queued already when one is reported (never
  /// with a tolerance, which may end the scale), and both then show the state after that one; where the
  /// number of the evaluation over all scales is a multiple of RenderHooks::exact_every (0: nowhere but at a
  /// scale's end) they show its own. Error(kBadInput) for a loss that is not finite; picture() then is the
  /// last good one. No step after an error.
  bool step();
  /// Of the last step; iteration 0 before the first, but for begin().
  [[nodiscard]] const Progress& progress() const;
  /// From here on no evaluation is begun: step() reports the one that is queued, if one is, and ends.
  void stop();
  /// Has every scale gone to its end? (Whether to go on is for step() to say.)
  [[nodiscard]] bool finished() const;

  /// The picture so far, at the current scale's size, with the content's alpha; after begin() or the first
  /// step. Where the next scale could not begin, the one before's, and there is no checkpoint then.
  [[nodiscard]] Image picture() const;
  [[nodiscard]] Checkpoint checkpoint() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace impasto
