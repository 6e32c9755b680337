#include "apps/shard.h"

#include <cstdint>
#include <optional>

#include "apps/text.h"
#include "engine/core/environment.h"
#include "engine/core/message.h"

namespace impasto::apps {
namespace {

constexpr std::int64_t kMost = 1'000'000;

/// Of a variable of the environment, where it is set.
std::optional<std::int64_t> number_in(const char* variable) {
  const char* const text = environment(variable);
  if (text == nullptr || *text == '\0') return {};
  return parse_integer(variable, text, 0, 1'000'000'000);
}

struct Variables {
  const char *task, *count, *first, *step;  // first, step: null where tasks are numbered 0, 1, 2, ...
};

Shard of_array(std::int64_t task, const Variables& v) {
  const auto count = number_in(v.count);
  if (!count) {
    throw make_error(ErrorCode::kUsage, "{}: expected {} beside it, or --shard, found none", v.task, v.count);
  }
  const std::int64_t first = v.first == nullptr ? 0 : number_in(v.first).value_or(0);
  const std::int64_t step = v.step == nullptr ? 1 : number_in(v.step).value_or(1);
  const std::int64_t offset = task - first, index = step > 0 ? offset / step : -1;
  if (index < 0 || index >= *count || offset % step != 0) {  // as where an array has gaps
    throw make_error(ErrorCode::kUsage,
                     "{}: expected a task of {} that follow each other, or --shard, found {}", v.task, *count,
                     task);
  }
  return {static_cast<std::size_t>(index), static_cast<std::size_t>(*count)};
}

}  // namespace

Shard find_shard(const std::string& text) {
  if (text.empty()) {
    constexpr Variables kArrays[] = {
        {"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP"},
        {"JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", nullptr, nullptr},
        {"PBS_ARRAY_INDEX", "PBS_ARRAY_COUNT", "PBS_ARRAY_FIRST", nullptr}};
    for (const Variables& array : kArrays) {
      if (const auto task = number_in(array.task)) return of_array(*task, array);
    }
    return {};
  }
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) {
    throw make_error(ErrorCode::kUsage,
                     "option --shard: expected i/n, as 0/4 for the first of four, found '{}'", text);
  }
  const std::int64_t count = parse_integer("option --shard, n", text.substr(slash + 1), 1, kMost);
  const std::int64_t index = parse_integer("option --shard, i", text.substr(0, slash), 0, count - 1);
  return {static_cast<std::size_t>(index), static_cast<std::size_t>(count)};
}

}  // namespace impasto::apps
