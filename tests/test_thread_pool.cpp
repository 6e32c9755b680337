// The threads of the CPU backend. Also meant to be run under ThreadSanitizer (IMPASTO_SANITIZE=thread).
#include "kernels/cpu/thread_pool.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <numeric>
#include <system_error>
#include <thread>
#include <vector>

#include "engine/backend/devices.h"
#include "engine/core/sanitizers.h"

#include "tests/support/catch.h"
#include "tests/support/forked.h"

using impasto::cpu::ThreadPool;

TEST_CASE("parallel_for runs every item once and returns when all have run") {
  const int num_threads = GENERATE(1, 2, 3, 4, 9);
  ThreadPool pool(num_threads);
  REQUIRE(pool.num_threads() == num_threads);
  for (const std::int64_t num_items : {0, 1, 2, 3, 7, 1000}) {
    // Plain integers: a missing happens-before between an
    // item and the return is a race that the sanitizer sees.
    std::vector<int> runs(static_cast<std::size_t>(num_items), 0);
    pool.parallel_for(num_items, [&](std::int64_t item, int) { ++runs[static_cast<std::size_t>(item)]; });
    REQUIRE(runs == std::vector<int>(static_cast<std::size_t>(num_items), 1));
  }
}

TEST_CASE("no two items run on one thread number at a time") {
  ThreadPool pool(4);
  std::atomic<bool> in_range{true};
  std::vector<std::int64_t> of_thread(4, 0);  // unguarded: each is written under its own thread number only
  for (int job = 0; job < 50; ++job) {
    pool.parallel_for(64, [&](std::int64_t item, int thread) {
      if (thread < 0 || thread >= 4) in_range = false;
      of_thread[static_cast<std::size_t>(thread % 4)] += item;
    });
  }
  std::int64_t total = 0;
  for (const std::int64_t part : of_thread) total += part;
  REQUIRE(in_range);
  REQUIRE(total == 50 * 64 * 63 / 2);
}

TEST_CASE("thousands of short jobs follow each other without a lost or repeated item") {
  ThreadPool pool(3);
  std::int64_t total = 0;
  for (std::int64_t job = 0; job < 5000; ++job) {
    const std::int64_t num_items = 2 + job % 5;
    std::vector<std::int64_t> values(static_cast<std::size_t>(num_items));
    pool.parallel_for(num_items,
                      [&](std::int64_t item, int) { values[static_cast<std::size_t>(item)] = job + item; });
    for (std::int64_t item = 0; item < num_items; ++item) {
      if (values[static_cast<std::size_t>(item)] != job + item) FAIL("job " << job << ", item " << item);
    }
    total += num_items;
  }
  REQUIRE(total == 5000 * 4);
}

TEST_CASE("threads that have gone to sleep wake for the next job, and a sleeping caller for its end") {
  ThreadPool pool(2);
  for (int job = 0; job < 5; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // longer than any spin
    std::atomic<int> num_started{0};
    // Each item waits for the other: only two threads can finish.
    pool.parallel_for(2, [&](std::int64_t, int thread) {
      ++num_started;
      while (num_started < 2) std::this_thread::yield();
      if (thread != 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
    REQUIRE(num_started == 2);
  }
}

TEST_CASE("pools are independent and can be destroyed at once, used or not") {
  for (int round = 0; round < 20; ++round) {
    const ThreadPool unused(3);
    std::vector<std::thread> users;
    std::vector<std::int64_t> sums(3, 0);
    for (std::size_t user = 0; user < sums.size(); ++user) {
      users.emplace_back([&sums, user] {
        ThreadPool pool(2);
        std::atomic<std::int64_t> sum{0};
        for (int job = 0; job < 10; ++job)
          pool.parallel_for(10, [&](std::int64_t item, int) { sum += item; });
        sums[user] = sum;
      });
    }
    for (std::thread& user : users) user.join();
    REQUIRE(sums == std::vector<std::int64_t>(3, 450));
  }
}

TEST_CASE("a pool goes on with the threads that the system gave") {
  const int num_given = GENERATE(0, 1, 3);
  int left = num_given;
  ThreadPool pool(8, [&left](std::function<void()> body) {
    if (left-- == 0) throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
    return std::thread(std::move(body));
  });
  REQUIRE(pool.num_threads() == 1 + num_given);
  std::vector<int> runs(100, 0);
  pool.parallel_for(100, [&](std::int64_t item, int) { ++runs[static_cast<std::size_t>(item)]; });
  REQUIRE(runs == std::vector<int>(100, 1));
}

// The sanitizers map far more than a limit allows.
#if !IMPASTO_SANITIZED
TEST_CASE("a processor that gives fewer threads than asked for is opened with these, and says so") {
  CHECK(impasto::testing::in_fork([] {
          // Room for some stacks, of 8 MiB mostly, but not for 500.
          if (!impasto::testing::limit_memory(rlim_t{300} << 20)) return 10;
          const impasto::OpenedDevice device = impasto::open_device({.device = "cpu", .threads = 500});
          const bool said = device.note.find("threads: expected 500, found that the system gives ") == 0 &&
                            device.note.find('\n') == std::string::npos;
          if (!said) return 11;
          std::vector<float> values(10000), back(10000);
          std::iota(values.begin(), values.end(), 0.0F);
          const impasto::Buffer buffer = device.backend->allocate(values.size() * sizeof(float));
          const impasto::TensorView view = buffer.view(0, {1, 1, 10000}, impasto::DType::kFloat32);
          device.backend->upload(view, std::span<const float>(values));
          device.backend->download(std::span(back), view);
          return back == values ? 0 : 12;
        }) == 0);
}
#endif
