#include "engine/style/targets.h"

#include <algorithm>
#include <utility>

namespace impasto {

std::size_t StyleTargets::bytes() const {
  std::size_t bytes = sizeof(StyleTargets);
  for (const auto& [name, numbers] : statistics) bytes += name.size() + numbers.size() * sizeof(double);
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
  Entry entry{key, targets};
  if (entry.bytes() > capacity_) return targets;
  bytes_ += entry.bytes();
  entries_.push_front(std::move(entry));
  while (bytes_ > capacity_) {
    bytes_ -= entries_.back().bytes();
    entries_.pop_back();
  }
  return targets;
}

void TargetCache::clear() {
  entries_.clear();
  bytes_ = 0;
}

}  // namespace impasto
