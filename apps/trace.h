#pragma once
// One JSON object a line for each evaluation of the objective.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "engine/style/stylizer.h"

namespace impasto::apps {

/// The line without its end. Numbers are the shortest that read back as the same double; a number that JSON
/// does not have (infinite, not a number) is null.
[[nodiscard]] std::string trace_line(const Progress& progress);

/// Writes and flushes line by line, so that the file never ends in half a line while the disk has room.
/// Error(kBadInput) for a file that cannot be opened or written.
class TraceWriter {
 public:
  enum class Mode { kReplace, kAppend };
  TraceWriter(const std::filesystem::path& path, Mode mode);
  void write(const Progress& progress);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string name_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace impasto::apps
