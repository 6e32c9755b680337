#pragma once
// What is known of a style picture at one size: made once, shared by every render that asks for the same.
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "engine/style/grain.h"

namespace impasto {

/// The statistics of one style picture at one size for the terms that asked (LossTerm::style_statistic). On
/// the host: they serve every render of the same size, network and precision.
struct StyleTargets {
  std::map<std::string, std::vector<double>> statistics;
  Grain grain;  ///< where that is asked for
  [[nodiscard]] std::size_t bytes() const;
};

/// One of the style pictures that are blended; weights sum to 1.
struct WeightedTargets {
  const StyleTargets* targets = nullptr;
  double weight = 1;
};

/// Targets by a key that says all they depend on, but for the network and the device's choices. Those used
/// last are kept, as far as they fit its capacity; whoever holds some keeps them alive beyond it. For any
/// number of threads.
class TargetCache {
 public:
  explicit TargetCache(std::size_t capacity_bytes) : capacity_(capacity_bytes) {}

  /// Who asks for what another thread is making waits for it.
  [[nodiscard]] std::shared_ptr<const StyleTargets> find_or_make(const std::string& key,
                                                                 const std::function<StyleTargets()>& make);
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] std::size_t bytes() const;  ///< kept now
  [[nodiscard]] std::size_t made() const;   ///< calls of make so far

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const StyleTargets> targets;
    [[nodiscard]] std::size_t bytes() const { return key.size() + targets->bytes(); }
  };
  class Making;
  [[nodiscard]] std::shared_ptr<const StyleTargets> find(const std::string& key);
  void keep(Entry entry);

  const std::size_t capacity_;
  mutable std::mutex mutex_;  // of all that follows
  std::condition_variable one_was_made_;
  std::set<std::string> in_making_;
  std::size_t bytes_ = 0, made_ = 0;
  std::list<Entry> entries_;  // the one used last first
};

}  // namespace impasto
