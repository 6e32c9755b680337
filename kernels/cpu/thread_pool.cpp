#include "kernels/cpu/thread_pool.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace impasto::cpu {
namespace {

// A few microseconds: longer than the gap between two operations of a backend, far shorter than a time slice.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

constexpr std::uint32_t left(std::uint64_t ticket) { return static_cast<std::uint32_t>(ticket); }

template <class Condition>
bool spin_until(Condition condition) {
  for (int i = 0; i < kSpins; ++i) {
    if (condition()) return true;
    pause();
  }
  return condition();
}

}  // namespace

ThreadPool::ThreadPool(int num_threads, const Start& start) {
  try {
    workers_.reserve(static_cast<std::size_t>(std::max(num_threads, 1) - 1));
    for (int thread = 1; thread < num_threads; ++thread)
      workers_.push_back(start([this, thread] { worker(thread); }));
  } catch (const std::exception&) {  // a limit of processes, no memory for a stack: those that started do it
  }
}

std::thread ThreadPool::start_thread(std::function<void()> body) { return std::thread(std::move(body)); }

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_ready_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void ThreadPool::run(std::int64_t num_items, Function function, void* context) {
  if (num_items <= 1 || workers_.empty()) {
    for (std::int64_t item = 0; item < num_items; ++item) function(context, item, 0);
    return;
  }
  run_part(static_cast<std::uint32_t>(num_items), function, context);
}

void ThreadPool::run_part(std::uint32_t num_items, Function function, void* context) {
  function_ = function;
  context_ = context;
  num_items_ = num_items;
  num_done_.store(0, std::memory_order_relaxed);
  const std::uint64_t job = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_ = job << 32 | num_items;
  // Sequentially consistent with worker(): either it sees the ticket before it sleeps, or we see it asleep.
  if (num_sleeping_ > 0) {
    { const std::lock_guard lock(mutex_); }
    work_ready_.notify_all();
  }
  work(0);
  const auto all_done = [&] { return num_done_.load(std::memory_order_acquire) == num_items; };
  if (spin_until(all_done)) return;
  std::unique_lock lock(mutex_);
  caller_sleeps_ = true;
  work_done_.wait(lock, [&] { return num_done_ == num_items; });
  caller_sleeps_ = false;
}

void ThreadPool::work(int thread) {
  std::uint64_t ticket = ticket_;
  while (left(ticket) > 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1)) continue;
    const std::uint32_t num_items = num_items_;
    function_(context_, num_items - left(ticket), thread);
    // After this line the job may be over and another may have begun.
    if (num_done_.fetch_add(1) + 1 == num_items && caller_sleeps_) {
      { const std::lock_guard lock(mutex_); }
      work_done_.notify_one();
    }
    ticket = ticket_;
  }
}

void ThreadPool::worker(int thread) {
  const auto ready = [this] { return left(ticket_) > 0 || stop_; };
  while (!stop_) {
    if (!spin_until(ready)) {
      std::unique_lock lock(mutex_);
      ++num_sleeping_;
      work_ready_.wait(lock, ready);
      --num_sleeping_;
    }
    work(thread);
  }
}

}  // namespace impasto::cpu
