#pragma once
// All entries of a batch through three stages (read, render, write) in threads, on one device or several.
#include <string>
#include <vector>

#include "apps/batch_entries.h"
#include "apps/progress_display.h"

namespace impasto::apps {

/// Threads of each stage; 0: as many as the machine suggests.
struct BatchJobs {
  int load = 0;
  int render = 0;  ///< on each device
  int save = 0;
};
/// "1:2:1". Error(kUsage).
[[nodiscard]] BatchJobs parse_jobs(const std::string& text);

struct BatchSettings {
  StyleOptions machine;              ///< precision, threads and autotune of all sessions
  std::vector<std::string> devices;  ///< by name
  std::string weights, report;
  BatchJobs jobs;
  double state_seconds = 60;
  ProgressKind progress = ProgressKind::kAuto;
};

/// Error(kSomeFailed) where an entry failed, kInterruptedResumable where some are left; others as of weights,
/// devices and the report, before the work.
void run_batch(const BatchSettings& settings, const std::vector<BatchEntry>& entries);

}  // namespace impasto::apps
