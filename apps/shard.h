#pragma once
// Which part of a batch this process does, of several that share it: said on the command line, or by a
// scheduler of arrays in the environment.
#include <cstddef>
#include <string>

namespace impasto::apps {

struct Shard {
  std::size_t index = 0;  ///< from 0
  std::size_t count = 1;
  /// By the entry's index in the whole: a part stays the same, whatever is done already.
  [[nodiscard]] bool has(std::size_t entry) const { return entry % count == index; }
};

/// "2/8": the third of eight parts. Without a text, the task of an array of Slurm (SLURM_ARRAY_TASK_ID, _MIN,
/// _STEP, _COUNT), Kubernetes (JOB_COMPLETION_INDEX, with JOB_COMPLETIONS) or PBS (PBS_ARRAY_INDEX, with
/// PBS_ARRAY_COUNT); without these the whole. Error(kUsage) for what says no part.
[[nodiscard]] Shard find_shard(const std::string& text);

}  // namespace impasto::apps
