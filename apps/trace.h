#pragma once
// One JSON object a line for each evaluation of the objective.
#include <filesystem>
#include <string>

#include "engine/core/file.h"
#include "engine/style/stylizer.h"

namespace impasto::apps {

/// The members of the line's object, without its braces. Numbers are the shortest that read back as the same
/// double; a number that JSON does not have (infinite, not a number) is null.
[[nodiscard]] std::string trace_members(const Progress& progress);

/// Writes line by line, so that the file never ends in half a line while the disk has room.
/// Error(kBadInput) for a file that cannot be opened or written.
class TraceWriter {
 public:
  enum class Mode { kReplace, kAppend };
  TraceWriter(const std::filesystem::path& path, Mode mode);
  void write(const Progress& progress);

 private:
  std::string what_;  // in messages
  Descriptor file_;
};

}  // namespace impasto::apps
