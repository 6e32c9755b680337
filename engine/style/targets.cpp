#include "engine/style/targets.h"

#include <algorithm>
#include <utility>

namespace impasto {

std::size_t StyleTargets::bytes() const {
  std::size_t bytes = sizeof(StyleTargets);
  for (const auto& [name, numbers] : statistics) bytes += name.size() + numbers.size() * sizeof(double);
  return bytes;
}

/// A key that a thread is at, also if it fails.
class TargetCache::Making {
 public:
  Making(TargetCache& cache, const std::string& key) : cache_(cache), key_(key) {
    cache_.in_making_.insert(key_);
  }
  ~Making() {
    const std::lock_guard lock(cache_.mutex_);
    cache_.in_making_.erase(key_);
    cache_.one_was_made_.notify_all();
  }
  Making(const Making&) = delete;
  Making& operator=(const Making&) = delete;

 private:
  TargetCache& cache_;
  const std::string& key_;
};

std::shared_ptr<const StyleTargets> TargetCache::find(const std::string& key) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  return entries_.front().targets;
}

void TargetCache::keep(Entry entry) {
  ++made_;
  if (entry.bytes() > capacity_) return;
  bytes_ += entry.bytes();
  entries_.push_front(std::move(entry));
  while (bytes_ > capacity_) {
    bytes_ -= entries_.back().bytes();
    entries_.pop_back();
  }
}

std::shared_ptr<const StyleTargets> TargetCache::find_or_make(const std::string& key,
                                                              const std::function<StyleTargets()>& make) {
  std::unique_lock lock(mutex_);
  one_was_made_.wait(lock, [&] { return !in_making_.contains(key); });
  if (auto found = find(key)) return found;
  const Making making(*this, key);
  lock.unlock();
  auto targets = std::make_shared<const StyleTargets>(make());
  lock.lock();
  keep({key, targets});
  lock.unlock();
  return targets;
}

std::size_t TargetCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}
std::size_t TargetCache::made() const {
  const std::lock_guard lock(mutex_);
  return made_;
}

}  // namespace impasto
