#pragma once
// One render from its files to its picture, phase by phase: what `render` does once, and `batch` for each
// of its entries, the phases in different threads.
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/picture_mark.h"
#include "apps/places.h"
#include "apps/render_arguments.h"
#include "apps/trace.h"
#include "engine/core/error.h"
#include "engine/style/session.h"

namespace impasto::apps {

/// Whom a run tells what it does, in the thread that is at it.
class RunObserver {
 public:
  RunObserver() = default;
  virtual ~RunObserver() = default;
  RunObserver(const RunObserver&) = delete;
  RunObserver& operator=(const RunObserver&) = delete;
  virtual void warn(const std::string& message) = 0;
  virtual void update(const Progress& progress) = 0;
  /// From here on there is this checkpoint of the run.
  virtual void saved(const std::filesystem::path& checkpoint) = 0;
};

/// How a run keeps its state.
struct StateKeeping {
  /// The checkpoint is the program's, not the user's: gone on with where it fits, replaced where it does not.
  bool own_checkpoint = false;
  /// Seconds between two states; below 0: by iterations, as --save-every says, and at each scale's end.
  double seconds = -1;
};

/// A picture for a render that reads it at the chosen sizes. It may be shared by several runs.
using PictureReader = std::function<std::shared_ptr<const SourceFile>(
    const std::string& what, const std::string& path, const ChooseSizes& choose)>;

/// Reads a picture that has something to show.
[[nodiscard]] SourceFile read_visible(const std::string& what, const std::string& path,
                                      const ChooseSizes& choose, std::int64_t max_pixels,
                                      const std::function<void(const std::string&)>& warn);

/// The options of the arguments, validated, with a weight for each style picture where there are weights.
[[nodiscard]] StyleOptions checked_options(const RenderArguments& arguments);

/// The phases in the order in which they are called; one thread at a time.
class RenderRun {
 public:
  /// The arguments and the observer must outlive it. Error(kUsage) for an output that is no picture's name.
  RenderRun(const RenderArguments& arguments, StyleOptions options, RunObserver& observer,
            StateKeeping keeping = {});

  /// Everything that can be known of files to go wrong at the end is found here, before the work. From here
  /// on no other process writes what this one does (HeldElsewhere).
  void take_places();
  /// The pictures, for a network of these weights, and the state to go on from. `read_style` empty: as the
  /// others are read.
  void load(const Weights& weights, const PictureReader& read_style);
  /// What the picture will say of itself.
  void describe(const Weights& weights, const std::string& recipe);
  /// Plans, and checks what is left to check. May be called again after Error(kResources).
  void begin(Session& session);
  /// After such an error of a program's own checkpoint: the next begin() begins anew. False: there is none.
  [[nodiscard]] bool let_go_of_state(const Error& error);
  /// To the end, or until stop_requested() or a file that cannot be written; the state is kept then.
  void render();

  [[nodiscard]] bool stopped() const { return stopped_; }
  /// What ended it, if it was a file.
  [[nodiscard]] std::exception_ptr failure() const { return failure_; }
  [[nodiscard]] bool started() const { return render_.has_value(); }
  [[nodiscard]] const RenderPlan& plan() const { return render_->plan(); }
  [[nodiscard]] const Progress& progress() const { return render_->progress(); }
  [[nodiscard]] std::string done_so_far() const;
  [[nodiscard]] Image picture() const { return render_->picture(); }
  /// The picture; what the render had on the device is free from here on.
  [[nodiscard]] Image take_picture();
  /// In its place, finished.
  void write(const Image& picture);
  /// The picture so far, beside the output or in its place. Gives back where it is.
  std::filesystem::path save_partial();
  /// After a failure: keeps what can be kept. What its message has to add.
  [[nodiscard]] std::string rescue();
  /// The files that say that its places are taken.
  [[nodiscard]] std::vector<std::filesystem::path> lock_files() const;
  /// Does it go on with the checkpoint in its own place?
  [[nodiscard]] bool goes_on() const { return goes_on_; }

 private:
  void load_pictures(const Weights& weights, const PictureReader& read, const PictureReader& read_style);
  void load_state();
  void make_render(Session& session, std::shared_ptr<const Checkpoint> resume);
  void check_intermediates(const RenderPlan& plan);
  /// Writes the numbered picture of where a resumed render begins: the run before may have failed over it.
  void save_missed();
  void after_iteration(const Progress& progress);
  [[nodiscard]] bool is_time_to_save(const Progress& progress) const;
  void trace(const Progress& progress);
  /// Once the last scale has begun they are not read any more.
  void release_pictures();
  void save(const std::filesystem::path& path, const Image& image, bool replace, bool finished);
  /// The same of the picture that the run is for.
  void save_last(const std::filesystem::path& path, const Image& image, bool replace, bool finished);
  /// Keeps what can be kept of the state, unless it is there already.
  void save_state();
  /// Evaluations so far over all scales, with those that a
  /// converged scale left out: what numbers intermediate pictures.
  [[nodiscard]] long long total(const Progress& p) const {
    return iterations_before(options_, p.scale) + p.iteration;
  }

  const RenderArguments& args_;
  StyleOptions options_;
  RunObserver& observer_;
  StateKeeping keeping_;
  WriteOptions write_;
  PictureMark mark_;
  std::shared_ptr<const SourceFile> content_, start_;
  std::vector<std::shared_ptr<const SourceFile>> styles_;
  std::shared_ptr<const Checkpoint> resume_;  // handed over: the engine frees it
  long long done_before_ = 0;                 // evaluations that the resumed one had
  bool missed_ = false;                       // the numbered picture of these
  std::optional<Render> render_;
  std::unique_ptr<Claim> output_claim_, checkpoint_claim_;
  std::optional<TraceWriter> trace_;
  std::optional<TracePosition> resumed_at_;
  std::exception_ptr failure_;  // of a file that could not be written on the way
  bool stopped_ = false;
  bool goes_on_ = false;
  bool replaces_output_ = false;
  bool finished_ = false;               // and its picture written in its place
  bool picture_is_safe_ = false;        // the last one, finished or not
  bool untraced_ = false;               // the last step's line has yet to be written
  bool stepping_ = false;               // an error now leaves no state that could be gone on from
  bool replaces_state_ = false;         // it, or what the user wants replaced
  std::optional<TracePosition> saved_;  // what the checkpoint that is there is of
  double saved_seconds_ = 0;            // Progress::seconds of that
};

}  // namespace impasto::apps
