#include "engine/style/targets.h"

#include <algorithm>
#include <utility>

namespace impasto {

std::size_t StyleTargets::bytes() const {
  std::size_t bytes = 0;
  for (const auto& [name, numbers] : statistics) bytes += numbers.size() * sizeof(double);
  return bytes;
}

std::shared_ptr<const StyleTargets> TargetCache::find_or_make(const std::string& key,
                                                              const std::function<StyleTargets()>& make) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().targets;
  }
  auto targets = std::make_shared<const StyleTargets>(make());
  ++made_;
  if (targets->bytes() > capacity_) return targets;
  entries_.push_front({key, targets});
  bytes_ += targets->bytes();
  while (bytes_ > capacity_) {
    bytes_ -= entries_.back().targets->bytes();
    entries_.pop_back();
  }
  return targets;
}

}  // namespace impasto
