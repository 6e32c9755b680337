#include "apps/batch_run.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "apps/batch_job.h"
#include "apps/batch_report.h"
#include "apps/bounded_queue.h"
#include "apps/interruption.h"
#include "apps/text.h"
#include "engine/backend/backend.h"
#include "engine/backend/system.h"
#include "engine/core/message.h"

namespace impasto::apps {
namespace {

/// Of an entry that another process is at, before it is asked for again.
constexpr auto kPatience = std::chrono::milliseconds(200);
/// What the pictures that wait for a device may take, at least; else an eighth of what is free.
constexpr std::int64_t kWaitingBytes = std::int64_t{256} << 20;

using JobPointer = std::unique_ptr<BatchJob>;

struct Queued {
  const BatchEntry* entry = nullptr;
  BatchJob::Size size{};
  RenderSizes sizes{};
};

/// By the headers of its pictures; without sizes where one cannot be read, which reading it will say.
/// `known`: of pictures that others have, too.
Queued measured(const BatchEntry& entry, std::map<std::string, PixelSize>& known) {
  Queued queued{&entry};
  if (entry.fault || stop_requested()) return queued;
  try {
    const RenderArguments& a = entry.arguments;
    const auto size_of = [&](const std::string& path) {
      const auto found = known.find(path);
      if (found != known.end()) return found->second;
      // A pipe can be read once only.
      if (!std::filesystem::is_regular_file(path)) return PixelSize{1, 1};
      return known[path] = probe_image(path, a.max_pixels).size;
    };
    RenderSizes sizes{size_of(a.content), {}};
    std::int64_t pixels = sizes.content.pixels();
    for (const std::string& style : a.styles) {
      sizes.styles.push_back({size_of(style)});
      pixels += sizes.styles.back().size.pixels();
    }
    const auto side = static_cast<double>(sizes.content.long_side());
    const bool own = entry.options.size == 0 || entry.options.size == StyleOptions::kLargest;
    const double scale = own ? 1 : static_cast<double>(entry.options.size) / side;
    queued.size.work = scale * scale * static_cast<double>(sizes.content.pixels()) * entry.options.iterations;
    queued.size.bytes = static_cast<std::size_t>(pixels) * 3 * sizeof(float);
    queued.sizes = std::move(sizes);
  } catch (const Error&) {
  } catch (const std::filesystem::filesystem_error&) {
  }
  return queued;
}

/// The largest first, so that no device is left with one when the others are done; of equal ones those of a
/// style together.
std::deque<Queued> in_order(const std::vector<BatchEntry>& entries) {
  std::deque<Queued> order;
  std::map<std::string, PixelSize> known;
  for (const BatchEntry& entry : entries) order.push_back(measured(entry, known));
  std::sort(order.begin(), order.end(), [](const Queued& a, const Queued& b) {
    if (a.size.work != b.size.work) return a.size.work > b.size.work;
    const auto &of_a = a.entry->arguments.styles, &of_b = b.entry->arguments.styles;
    return of_a != of_b ? of_a < of_b : a.entry->index < b.entry->index;
  });
  return order;
}

/// What is still to be begun.
class Agenda {
 public:
  explicit Agenda(std::deque<Queued> all) : todo_(std::move(all)) {}
  /// Waits where only such are left as other processes are at; nothing once there are none, or the batch is
  /// to stop.
  [[nodiscard]] std::optional<Queued> next() {
    std::unique_lock lock(mutex_);
    while (!stop_requested()) {
      if (!todo_.empty()) {
        const Queued first = todo_.front();
        todo_.pop_front();
        return first;
      }
      if (later_.empty()) return {};
      lock.unlock();
      std::this_thread::sleep_for(kPatience);
      lock.lock();
      todo_.swap(later_);
    }
    return {};
  }
  void put_off(const Queued& one) {
    const std::lock_guard lock(mutex_);
    later_.push_back(one);
  }

 private:
  std::mutex mutex_;
  std::deque<Queued> todo_, later_;
};

double result_pixels(const Queued& one) { return one.size.work / std::max(1, one.entry->options.iterations); }

class BatchRun {
 public:
  /// The report is not made before there are weights.
  BatchRun(const BatchSettings& settings, const std::vector<BatchEntry>& entries,
           std::shared_ptr<Weights> weights)
      : settings_(settings), entries_(entries), display_(settings.progress, settings.report) {
    if (!weights->note.empty()) display_.warn(std::exchange(weights->note, {}));  // not of each picture
    common_.weights = std::move(weights);
    common_.state_seconds = settings.state_seconds;
  }

  void run();

 private:
  /// On the CPU, where --jobs does not say: one for each core, as far as the largest fit beside each other;
  /// with fewer threads each wastes less time waiting.
  [[nodiscard]] int renders_at_a_time(Session& session, int cores) const;
  void open_devices();
  void work();
  [[nodiscard]] std::size_t measured_styles() const;

  const BatchSettings& settings_;
  const std::vector<BatchEntry>& entries_;
  BatchDisplay display_;
  BatchCommon common_{nullptr, display_};
  BatchJobs jobs_;
  std::deque<BatchDevice> devices_;
  std::deque<Queued> order_;
};

int BatchRun::renders_at_a_time(Session& session, int cores) const {
  const auto entries = static_cast<int>(std::min<std::size_t>(entries_.size(), 1024));
  const int most = std::max(1, std::min(cores, entries));
  if (order_.empty() || order_.front().sizes.styles.empty()) return most;
  try {
    const Queued& largest =
        *std::max_element(order_.begin(), order_.end(), [](const Queued& a, const Queued& b) {
          return std::pair(result_pixels(a), a.size.bytes) < std::pair(result_pixels(b), b.size.bytes);
        });
    const RenderPlan plan = session.plan(largest.entry->options, largest.sizes);
    // Beside its arena a render has its pictures, and now and then a copy of its state.
    const std::size_t each = plan.arena_bytes() + plan.scales.back().optimizer_bytes + plan.host_bytes;
    const auto free = plan.budget_bytes - static_cast<std::int64_t>(plan.device_bytes - plan.arena_bytes());
    const auto fit = free / std::max<std::int64_t>(1, static_cast<std::int64_t>(each));
    return static_cast<int>(std::clamp<std::int64_t>(fit, 1, most));
  } catch (const Error&) {  // that entry's own
    return most;
  }
}

void BatchRun::open_devices() {
  jobs_ = settings_.jobs;
  const int cores = settings_.machine.threads > 0 ? settings_.machine.threads : usable_cores();
  for (const std::string& name : settings_.devices) {
    StyleOptions machine = settings_.machine;
    machine.device = name;
    BatchDevice& device = devices_.emplace_back();
    std::optional<Session> first(std::in_place, machine, common_.weights);
    const bool is_cpu = first->backend().info().name == "cpu";
    int renders = jobs_.render;
    if (renders == 0) renders = is_cpu ? renders_at_a_time(*first, cores) : 1;
    if (is_cpu && renders > 1) {
      machine.threads = std::max(1, cores / renders);
      first.emplace(machine, common_.weights);
    }
    if (const std::string note = first->device_note(); !note.empty()) display_.warn(note);
    for (int i = 1; i < renders; ++i) device.sessions.push_back(first->sibling());
    device.sessions.push_back(std::move(*first));
  }
  std::size_t renders = 0;
  for (const BatchDevice& device : devices_) renders += device.sessions.size();
  const int of_stage = std::max(1, static_cast<int>(renders) / 4);
  if (jobs_.load == 0) jobs_.load = of_stage;
  if (jobs_.save == 0) jobs_.save = of_stage;
  jobs_.render = static_cast<int>(renders);
}

void BatchRun::work() {
  Agenda agenda(order_);
  const auto bytes = static_cast<std::size_t>(std::max(kWaitingBytes, usable_memory_bytes() / 8));
  const auto waiting = static_cast<std::size_t>(jobs_.render);
  BoundedQueue<JobPointer> read({waiting, bytes, jobs_.load}), rendered({waiting, bytes, jobs_.render});
  const auto load = [&] {
    while (const auto next = agenda.next()) {
      auto job = std::make_unique<BatchJob>(*next->entry, common_, next->size);
      const BatchJob::Read how = job->read();
      if (how == BatchJob::Read::kHeldElsewhere) agenda.put_off(*next);
      if (how == BatchJob::Read::kReady) read.push(std::move(job), next->size.bytes);
    }
    read.end_producer();
  };
  const auto render = [&](BatchDevice& device, Session& session) {
    while (auto job = read.pop()) {
      if (stop_requested()) continue;  // its places are free again
      const std::size_t size = (*job)->size().bytes;
      if ((*job)->render(device, session)) rendered.push(std::move(*job), size);
    }
    rendered.end_producer();
  };
  const auto save = [&] {
    while (auto job = rendered.pop()) (*job)->save();
  };
  std::vector<std::jthread> threads;
  // A stage without its threads would leave the others waiting: the program ends where there are none.
  const auto start = [&threads](const auto& stage) noexcept { threads.emplace_back(stage); };
  for (int i = 0; i < jobs_.load; ++i) start(load);
  for (BatchDevice& device : devices_) {
    for (Session& session : device.sessions) start([&] { render(device, session); });
  }
  for (int i = 0; i < jobs_.save; ++i) start(save);
}

std::size_t BatchRun::measured_styles() const {
  std::size_t sum = 0;
  for (const BatchDevice& device : devices_) sum += device.sessions.front().measured_styles();
  return sum;
}

void BatchRun::run() {
  set_repeatable();
  begin_run();
  order_ = in_order(entries_);
  open_devices();
  BatchDisplay::Whole whole{entries_.size(), 0};
  for (const Queued& one : order_) whole.work += one.size.work;
  std::string on;
  for (const BatchDevice& device : devices_) {
    on += (on.empty() ? "" : "; ") + device.sessions.front().device_description();
  }
  display_.start(whole, fmt::format("{} at a time with {} on {}", jobs_.render, common_.weights->name, on));
  work();
  display_.finish(measured_styles());
  const std::size_t left = entries_.size() - display_.ended(), failed = display_.failed();
  if (left > 0) {
    throw make_error(ErrorCode::kInterruptedResumable,
                     "batch: expected to finish, found an interruption with {} of {} entries left{}", left,
                     entries_.size(), way_on());
  }
  if (failed > 0) {
    throw make_error(ErrorCode::kSomeFailed,
                     "batch: expected every entry to be done, found {} of {} that failed", failed,
                     entries_.size());
  }
}

}  // namespace

BatchJobs parse_jobs(const std::string& text) {
  if (text == "auto") return {};
  const std::size_t first = text.find(':'), second = text.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos) {
    throw make_error(ErrorCode::kUsage,
                     "option --jobs: expected auto or load:render:save, as 1:2:1, found '{}'", text);
  }
  const auto number = [](const char* what, const std::string& part) {
    return static_cast<int>(parse_integer(std::string("option --jobs, ") + what, part, 1, 1024));
  };
  return {number("load", text.substr(0, first)), number("render", text.substr(first + 1, second - first - 1)),
          number("save", text.substr(second + 1))};
}

void run_batch(const BatchSettings& settings, const std::vector<BatchEntry>& entries) {
  BatchRun run(settings, entries, std::make_shared<Weights>(find_weights(settings.weights)));
  run.run();
  end_run();
}

}  // namespace impasto::apps
