#pragma once
// Vectors in runs, a work item each. The runs, and the order in which their sums are added, depend on the
// length alone.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/cpu/kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace impasto::cpu {

class Runs {
 public:
  static constexpr std::int64_t kGrain = 32 * 1024;  // elements of an elementwise run: 128 KB a vector
  static constexpr std::int64_t kMostSums = 256;     // runs of a reduction
  static constexpr std::int64_t kPartials = 64 * kMostSums;

  /// partials: kPartials doubles, for sum() and for what a caller adds up itself.
  Runs(ThreadPool& pool, double* partials) : pool_(pool), partials_(partials) {}
  [[nodiscard]] ThreadPool& pool() const { return pool_; }
  [[nodiscard]] double* partials() const { return partials_; }

  /// body(first, count) for runs of at most kGrain of n elements.
  template <class Body>
  void each(std::int64_t n, Body body) const {
    pool_.parallel_for(divide_up(n, kGrain), [&](std::int64_t item, int) {
      body(item * kGrain, std::min(kGrain, n - item * kGrain));
    });
  }

  /// Elements of a run where there are at most kMostSums.
  [[nodiscard]] static std::int64_t run_of_sum(std::int64_t n) {
    return std::max(kGrain, divide_up(n, kMostSums));
  }
  /// Sum of body(first, count) over runs of run_of_sum(n).
  template <class Body>
  [[nodiscard]] double sum(std::int64_t n, Body body) const {
    const std::int64_t run = run_of_sum(n), num_runs = divide_up(n, run);
    pool_.parallel_for(num_runs, [&](std::int64_t item, int) {
      partials_[item] = body(item * run, std::min(run, n - item * run));
    });
    double total = 0;
    for (std::int64_t i = 0; i < num_runs; ++i) total += partials_[i];
    return total;
  }

 private:
  ThreadPool& pool_;
  double* partials_;
};

template <class To, class From>
void convert(const Runs& runs, To* to, const From* from, std::int64_t n) {
  runs.each(n, [=](std::int64_t first, std::int64_t count) {
    if constexpr (std::is_same_v<To, From>) {
      std::memcpy(to + first, from + first, static_cast<std::size_t>(count) * sizeof(To));
    } else {
      for (std::int64_t i = first; i < first + count; ++i) to[i] = static_cast<To>(from[i]);
    }
  });
}

}  // namespace impasto::cpu
