#pragma once
// What a batch tells: one line over all of its entries while it runs, an account at the end, and a report of
// each. For any number of threads.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "apps/batch_entries.h"
#include "apps/progress_display.h"
#include "engine/core/file.h"

namespace impasto::apps {

enum class EntryStatus : std::uint8_t { kDone, kSkipped, kFailed };

/// How an entry ended.
struct EntryEnd {
  EntryStatus status = EntryStatus::kDone;
  std::optional<Error> error{};  ///< of one that failed
  Progress last{};               ///< of one that was rendered
};

/// Appends a JSON object a line; several processes may do so in one file.
class EntryReport {
 public:
  /// Empty: none is written. Error(kBadInput) for a place that cannot be written and for a file that is no
  /// report.
  explicit EntryReport(const std::string& file);
  /// Error(kBadInput) where there is no room; nothing is written after that.
  void add(const std::string& line);

 private:
  std::string what_;
  Descriptor file_;
};

class BatchDisplay {
 public:
  /// `total_work` in the units of update().
  struct Whole {
    std::size_t entries = 0;
    double work = 0;
  };
  BatchDisplay(ProgressKind kind, const std::string& report);

  /// `how`: for people.
  void start(const Whole& whole, const std::string& how);
  void warn(const std::string& message);
  /// Of an entry that takes this much work, all of it; `share` of it is done.
  void update(const BatchEntry& entry, double work, double share);
  void end(const BatchEntry& entry, double work, const EntryEnd& how);
  /// The account of all; `measured`: style pictures.
  void finish(std::size_t measured);

  [[nodiscard]] std::size_t ended() const;
  [[nodiscard]] std::size_t failed() const;

 private:
  using Clock = std::chrono::steady_clock;
  // With the mutex held:
  void clear_line();
  void show(bool at_once);
  [[nodiscard]] double seconds_left() const;
  [[nodiscard]] std::size_t count(EntryStatus status) const {
    return counts_[static_cast<std::size_t>(status)];
  }

  mutable std::mutex mutex_;
  ProgressKind kind_;
  EntryReport report_;
  Whole whole_;
  std::size_t counts_[3] = {};
  double work_rendered_ = 0, work_left_out_ = 0;  // of entries that ended: rendered, and skipped or failed
  std::map<std::size_t, double> in_work_;         // work done of entries, by their index
  std::map<std::size_t, double> begun_at_;        // what of it an earlier run had done
  std::vector<std::string> failures_;
  Clock::time_point began_{}, shown_{};
  bool bar_shown_ = false;
};

}  // namespace impasto::apps
