#include "apps/batch_job.h"

#include <new>

#include "apps/interruption.h"
#include "apps/text.h"
#include "engine/core/message.h"

namespace impasto::apps {
namespace {

namespace fs = std::filesystem;

fs::path hidden_beside(const fs::path& file, const std::string& suffix) {
  return folder_of(file) / ("." + file.filename().string() + suffix);
}

/// Of one more render on the device: waits its turn.
class InWork {
 public:
  explicit InWork(BatchDevice& device) : device_(device) {}
  ~InWork() {
    const std::lock_guard lock(device_.admitting);
    --device_.in_work;
    device_.freed.notify_all();
  }
  InWork(const InWork&) = delete;
  InWork& operator=(const InWork&) = delete;

 private:
  BatchDevice& device_;
};

double flops_up_to(const RenderPlan& plan, int scale, int iteration) {
  double flops = 0;
  for (int i = 0; i < scale; ++i) {
    const ScalePlan& s = plan.scales[static_cast<std::size_t>(i)];
    flops += s.flops * s.iterations;
  }
  return flops + plan.scales[static_cast<std::size_t>(scale)].flops * iteration;
}

}  // namespace

fs::path state_file(const fs::path& output) { return hidden_beside(output, ".checkpoint"); }

std::shared_ptr<const SourceFile> SharedPictures::read(const std::string& what, const std::string& path,
                                                       const ChooseSizes& choose, std::int64_t max_pixels,
                                                       const std::function<void(const std::string&)>& warn) {
  {
    const std::lock_guard lock(mutex_);
    for (auto at = pictures_.begin(); at != pictures_.end(); ++at) {
      if (at->path != path) continue;
      const PixelSize own = at->file->picture().size();
      if (own.pixels() > max_pixels || choose(own) != at->sizes) continue;
      pictures_.splice(pictures_.begin(), pictures_, at);
      return at->file;
    }
  }
  std::vector<PixelSize> sizes;
  const auto noted = [&](PixelSize own) { return sizes = choose(own); };
  auto file = std::make_shared<const SourceFile>(read_visible(what, path, noted, max_pixels, warn));
  const std::lock_guard lock(mutex_);
  pictures_.push_front({path, sizes, file});
  std::size_t bytes = 0;
  for (auto at = pictures_.begin(); at != pictures_.end();) {
    bytes += at->file->bytes();
    at = bytes > kMaxBytes ? pictures_.erase(at) : std::next(at);
  }
  return file;
}

void BatchJob::warn(const std::string& message) {
  common_.display.warn(fmt::format("{}: {}", entry_.where, message));
}

void BatchJob::update(const Progress& progress) {
  const double flops = flops_up_to(run_->plan(), progress.scale, progress.iteration);
  common_.display.update(entry_, size_.work, flops_ > 0 ? flops / flops_ : 0);
}

void BatchJob::skip() {
  remove_leftovers();
  run_.reset();
  end({EntryStatus::kSkipped, {}, {}});
}

void BatchJob::fail() {
  run_.reset();
  const auto end_with = [this](ErrorCode code, const std::string& message) {
    const bool says_where = message.starts_with(entry_.where);
    end({EntryStatus::kFailed, Error(code, says_where ? message : entry_.where + ": " + message), last_});
  };
  try {
    throw;
  } catch (const Error& error) {
    end_with(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    end_with(ErrorCode::kResources, std::string(kNoMemory));
  } catch (const fs::filesystem_error& error) {
    end_with(ErrorCode::kBadInput,
             fmt::format("files: expected those named to be within reach, found: {}", error.what()));
  } catch (const std::exception& error) {
    end_with(ErrorCode::kInternal, std::string(kInternal) + error.what());
  }
}

void BatchJob::remove_leftovers() const {
  const fs::path output = entry_.arguments.output, state = state_file(output);
  std::error_code ignored;
  bool any = false;
  for (const fs::path& file : {state, hidden_beside(output, ".lock"), hidden_beside(state, ".lock")}) {
    any = any || fs::exists(fs::symlink_status(file, ignored));
  }
  if (!any) return;
  try {
    const Claim of_output("output", output), of_state("checkpoint", state);
    fs::remove(state, ignored);
  } catch (const Error&) {  // another process is at it, or the folder is not to be written: it means nothing
  }
}

BatchJob::Read BatchJob::read() {
  try {
    if (entry_.fault) throw Error(*entry_.fault);
    arguments_ = entry_.arguments;
    arguments_.checkpoint = state_file(arguments_.output).string();
    recipe_ = make_recipe(arguments_, entry_.options, common_.weights->digest, common_.digests);
    if (is_done()) {
      skip();
      return Read::kEnded;
    }
    run_.emplace(arguments_, entry_.options, *this, StateKeeping{true, common_.state_seconds});
    run_->take_places();
    if (is_done()) {  // another process was at it
      run_.reset();
      skip();
      return Read::kEnded;
    }
    run_->load(*common_.weights,
               [this](const std::string& what, const std::string& path, const ChooseSizes& choose) {
                 return common_.pictures.read(what, path, choose, arguments_.max_pixels,
                                              [this](const std::string& message) { warn(message); });
               });
    run_->describe(*common_.weights, recipe_);
    return Read::kReady;
  } catch (const HeldElsewhere&) {
    run_.reset();
    return Read::kHeldElsewhere;
  } catch (const std::exception&) {
    const bool came_meanwhile = !recipe_.empty() && is_done();
    came_meanwhile ? skip() : fail();
    return Read::kEnded;
  }
}

bool BatchJob::begin(BatchDevice& device, Session& session) {
  std::unique_lock lock(device.admitting);
  while (!stop_requested()) {
    try {
      run_->begin(session);
      ++device.in_work;
      flops_ = run_->plan().flops();
      return true;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kResources) throw;
      if (device.in_work > 0) {
        device.freed.wait(lock);
      } else if (!run_->let_go_of_state(error)) {  // of a machine with more memory, perhaps
        throw;
      }
    }
  }
  return false;
}

bool BatchJob::render(BatchDevice& device, Session& session) {
  try {
    if (!begin(device, session)) {
      run_.reset();
      return false;
    }
    const InWork in_work(device);
    try {
      run_->render();
      last_ = run_->progress();
      if (run_->failure()) std::rethrow_exception(run_->failure());
      if (!run_->stopped()) {
        picture_ = run_->take_picture();
        return true;
      }
    } catch (const std::exception&) {
      (void)run_->rescue();
      fail();
      return false;
    }
    run_.reset();
  } catch (const std::exception&) {
    fail();
  }
  return false;
}

void BatchJob::save() {
  const fs::path output = arguments_.output;
  std::error_code ignored;
  try {
    const WriteSection section;
    const bool hides = arguments_.no_metadata && !recipe_.empty();
    if (hides) announce_recipe(output, recipe_);
    run_->write(picture_);
    hides ? settle_recipe(output, recipe_) : static_cast<void>(fs::remove(recipe_file(output), ignored));
    fs::remove(arguments_.checkpoint, ignored);
    run_.reset();
    end({EntryStatus::kDone, {}, last_});
  } catch (const std::exception&) {
    if (arguments_.no_metadata) fs::remove(recipe_file(output), ignored);
    fail();
  }
}

}  // namespace impasto::apps
