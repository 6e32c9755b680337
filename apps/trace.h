#pragma once
// One JSON object a line for each evaluation of the objective.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "engine/core/file.h"
#include "engine/core/new_file.h"
#include "engine/style/stylizer.h"

namespace impasto::apps {

/// The members of the line's object, without its braces. Numbers are the shortest that read back as the same
/// double; a number that JSON does not have (infinite, not a number) is null.
[[nodiscard]] std::string trace_members(const Progress& progress);

/// An evaluation: the iteration, from 1, of a scale.
struct TracePosition {
  std::int64_t scale = 0, iteration = 0;
  auto operator<=>(const TracePosition&) const = default;
};

/// Writes whole lines: one that the disk has no room for is taken back. A file is this process's alone.
class TraceWriter {
 public:
  /// A new trace, or, with `after`, one that goes on behind the lines up to that evaluation: what an earlier
  /// run wrote of later ones, and half a line at its end, are cut off. Error(kBadInput) for a place that
  /// cannot be written, a file that is to be kept or that another process writes, and one to go on with that
  /// is no trace.
  TraceWriter(const std::filesystem::path& path, Existing existing, std::optional<TracePosition> after);
  /// Error(kBadInput) where that is impossible.
  void write(const Progress& progress);

 private:
  void cut_behind(TracePosition last);

  std::string what_;  // in messages
  Descriptor file_;
  bool regular_ = false;
  std::uint64_t bytes_ = 0;  // of whole lines, where it is regular
};

}  // namespace impasto::apps
