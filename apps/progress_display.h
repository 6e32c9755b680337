#pragma once
// What a render shows while it runs, on standard error.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "apps/forecast.h"
#include "engine/core/size.h"
#include "engine/options/option_values.h"
#include "engine/style/stylizer.h"

namespace impasto::apps {

enum class ProgressKind : std::uint8_t {
  kAuto,   ///< kBar on a terminal, else kLines
  kBar,    ///< a line that is redrawn, and a line at start and end
  kLines,  ///< a line at start and end
  kJson,   ///< one object a line: start, progress, warning, end
  kNone,   ///< warnings only
  kQuiet,  ///< nothing
};

/// The kinds that can be asked for, with their words.
[[nodiscard]] const Names<ProgressKind>& progress_kinds();

/// How a render ended.
struct Outcome {
  std::string output;  ///< the file that was written
  PixelSize size;
  bool finished = false;          ///< every scale went to its end
  std::size_t counted_bytes = 0;  ///< peak on the device, as counted
};

class ProgressDisplay {
 public:
  explicit ProgressDisplay(ProgressKind kind);

  /// `device` for people; the plan is kept for the forecast of what later scales take.
  void start(const RenderPlan& plan, const Forecast& forecast, const std::string& device,
             const std::string& weights);
  void update(const Progress& progress);
  void warn(const std::string& message);
  void end(const Outcome& outcome);
  /// The evaluation that was shown last; iteration 0 before the first.
  [[nodiscard]] const Progress& last() const { return last_; }
  /// Makes room for another line: a bar is taken off the screen.
  void clear_line();

 private:
  using Clock = std::chrono::steady_clock;
  void draw_bar();
  /// Seconds until the end, at most: this run's seconds for
  /// each unit of work, times the work that may be left.
  [[nodiscard]] double seconds_left() const;

  ProgressKind kind_;
  RenderPlan plan_;
  Progress scale_first_, last_;               // of this scale; of this run, which may have been resumed
  long long iterations_ = 0;                  // of this run
  double first_seconds_ = 0, work_done_ = 0;  // when its first iteration was done, and work (flops) since
  Clock::time_point began_{}, drawn_{};
  bool bar_shown_ = false;
};

}  // namespace impasto::apps
