#pragma once
// What one stage of a pipeline hands to the next: so much at most, so that a fast stage waits for a slow one.
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace impasto::apps {

template <class Item>
class BoundedQueue {
 public:
  struct Bounds {
    std::size_t items = 1, bytes = 0;  ///< one item is taken however large it is
    int producers = 1;
  };
  explicit BoundedQueue(Bounds bounds) : bounds_(bounds), producers_(bounds.producers) {}

  /// Waits for room.
  void push(Item item, std::size_t bytes) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      return items_.empty() || (items_.size() < bounds_.items && bytes_ + bytes <= bounds_.bytes);
    });
    items_.emplace_back(std::move(item), bytes);
    bytes_ += bytes;
    changed_.notify_all();
  }
  /// Waits for an item; none once every producer has ended and nothing is left.
  [[nodiscard]] std::optional<Item> pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !items_.empty() || producers_ == 0; });
    if (items_.empty()) return std::nullopt;
    auto [item, bytes] = std::move(items_.front());
    items_.pop_front();
    bytes_ -= bytes;
    changed_.notify_all();
    return std::optional<Item>(std::move(item));
  }
  void end_producer() {
    const std::lock_guard lock(mutex_);
    --producers_;
    changed_.notify_all();
  }

 private:
  const Bounds bounds_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<Item, std::size_t>> items_;
  std::size_t bytes_ = 0;
  int producers_;
};

}  // namespace impasto::apps
