#pragma once
// One entry of a batch on its way: read, rendered, written, each in a thread of that stage. What goes wrong
// is the entry's end and nobody else's.
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/batch_entries.h"
#include "apps/batch_report.h"
#include "apps/recipe.h"
#include "apps/render_run.h"
#include "engine/style/session.h"

namespace impasto::apps {

/// Pictures that were read last: entries of one style follow each other. For any number of threads.
class SharedPictures {
 public:
  [[nodiscard]] std::shared_ptr<const SourceFile> read(const std::string& what, const std::string& path,
                                                       const ChooseSizes& choose, std::int64_t max_pixels,
                                                       const std::function<void(const std::string&)>& warn);

 private:
  static constexpr std::size_t kMaxBytes = std::size_t{256} << 20;
  std::mutex mutex_;
  struct Kept {
    std::string path;
    std::vector<PixelSize> sizes;  // as chosen for it
    std::shared_ptr<const SourceFile> file;
  };
  std::list<Kept> pictures_;  // the one used last first
};

/// What all entries share.
struct BatchCommon {
  std::shared_ptr<const Weights> weights;
  BatchDisplay& display;
  double state_seconds = 60;  ///< StateKeeping::seconds
  FileDigests digests{};
  SharedPictures pictures{};
};

/// A device with a session for each render that it does at a time.
struct BatchDevice {
  std::vector<Session> sessions;
  std::mutex admitting;  // of what follows, and of planning
  std::condition_variable freed;
  int in_work = 0;
};

class BatchJob : public RunObserver {
 public:
  enum class Read : std::uint8_t { kReady, kEnded, kHeldElsewhere };

  /// `work`: in BatchDisplay's units; `bytes`: of its pictures once they are read, about.
  struct Size {
    double work = 0;
    std::size_t bytes = 0;
  };
  BatchJob(const BatchEntry& entry, BatchCommon& common, Size size)
      : entry_(entry), common_(common), size_(size) {}

  /// Is it done already? Else takes its places and reads its pictures. An entry that another process is at is
  /// neither: it is to be asked again.
  [[nodiscard]] Read read();
  /// Waits for memory that other renders of the device have. False where it ended, or was interrupted: its
  /// state is kept then.
  [[nodiscard]] bool render(BatchDevice& device, Session& session);
  void save();

  [[nodiscard]] const Size& size() const { return size_; }

  void warn(const std::string& message) override;
  void update(const Progress& progress) override;
  void saved(const std::filesystem::path& /*checkpoint*/) override {}

 private:
  [[nodiscard]] bool is_done() const { return is_made_by(entry_.arguments.output, recipe_); }
  /// Of a process that was killed when the picture was there.
  void remove_leftovers() const;
  /// False: it is to stop.
  [[nodiscard]] bool begin(BatchDevice& device, Session& session);
  void skip();
  /// Ends it with the exception that is being handled.
  void fail();
  void end(const EntryEnd& how) { common_.display.end(entry_, size_.work, how); }

  const BatchEntry& entry_;
  BatchCommon& common_;
  Size size_;
  std::string recipe_;
  RenderArguments arguments_;  // the entry's, with its checkpoint
  std::optional<RenderRun> run_;
  double flops_ = 0;  // of the whole render
  Image picture_;
  Progress last_;
};

/// ".out.png.checkpoint": where the state of the render of "out.png" is kept.
[[nodiscard]] std::filesystem::path state_file(const std::filesystem::path& output);

}  // namespace impasto::apps
