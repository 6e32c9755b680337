#pragma once
// Threads of one CPU backend. The caller of parallel_for works too, so a pool of one thread has no workers.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace impasto::cpu {

class ThreadPool {
 public:
  using Start = std::function<std::thread(std::function<void()> body)>;

  /// At most num_threads; fewer where the system gives no more. `start` makes a thread, in tests another way.
  explicit ThreadPool(int num_threads, const Start& start = start_thread);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(item, thread) once for every item in [0, num_items), thread in [0, num_threads()), and
  /// returns when all calls have returned. Items are claimed one at a time by whoever is free, so which
  /// thread runs an item is not repeatable and no result may depend on it. `body` must not throw and must not
  /// call parallel_for of the same pool. Called by one thread at a time.
  template <class Body>
  void parallel_for(std::int64_t num_items, Body&& body) {
    run(
        num_items,
        [](void* context, std::int64_t item, int thread) { (*static_cast<Body*>(context))(item, thread); },
        &body);
  }

 private:
  using Function = void (*)(void* context, std::int64_t item, int thread);
  [[nodiscard]] static std::thread start_thread(std::function<void()> body);
  void run(std::int64_t num_items, Function function, void* context);
  void run_part(std::uint32_t num_items, Function function, void* context);
  /// Claims and runs items until none is left.
  void work(int thread);
  void worker(int thread);

  // The ticket holds the job's number in its high half and the items left to claim in its low half, so a
  // worker that wakes late cannot claim from another job than the one it then reads.
  std::atomic<std::uint64_t> ticket_{0};
  std::atomic<std::uint32_t> num_done_{0};
  // Written between jobs, read only by a thread that holds a claimed item.
  Function function_ = nullptr;
  void* context_ = nullptr;
  std::uint32_t num_items_ = 0;

  std::atomic<int> num_sleeping_{0};
  std::atomic<bool> caller_sleeps_{false}, stop_{false};
  std::mutex mutex_;
  std::condition_variable work_ready_, work_done_;
  std::vector<std::thread> workers_;
};

}  // namespace impasto::cpu
