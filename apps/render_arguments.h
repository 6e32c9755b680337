#pragma once
// What `render` and `plan` take: pictures, weights, every option of StyleOptions, and where results go.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apps/progress_display.h"
#include "engine/backend/backend.h"
#include "engine/impasto.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace impasto::apps {

/// The group that their own options stand in.
inline constexpr const char* kOutputAndProgress = "Output and progress";

/// Options of StyleOptions by name, only those that were given.
using GivenOptions = std::map<std::string, std::string>;

struct RenderArguments {
  std::string content;
  std::vector<std::string> styles;
  std::string output;
  std::string weights;
  GivenOptions style_options;
  std::string start_picture;  ///< the file whose name was given for --init; else empty
  std::string checkpoint, resume, trace;
  ProgressKind progress = ProgressKind::kAuto;
  long long save_every = 0;  ///< iterations; 0: never
  WriteOptions write;
  std::int64_t max_pixels = kDefaultMaxPixels;
  bool overwrite = false, verbose = false, quiet = false, no_metadata = false, resume_inexact = false;
};

/// Declares the operands and options; `arguments` must outlive the parse. Gives back the output's.
CLI::Option* add_render_arguments(CLI::App& app, RenderArguments& arguments);

/// For many renders: without the operands, and without what belongs to one run (its checkpoint, its trace).
/// `device` is kept as it is given, for several of them.
void add_batch_render_options(CLI::App& app, RenderArguments& arguments);

/// An option as one of many renders may have it for itself.
struct EntryOption {
  bool is_flag = false;
  std::function<void(RenderArguments& arguments, const std::string& text)> set;  ///< Error(kUsage)
};
/// Error(kUsage) for a name that is none, and for an option of all renders together or of one run.
[[nodiscard]] EntryOption find_entry_option(const std::string& name);

/// The preset first, then every option that was given, whatever their order; validated.
[[nodiscard]] StyleOptions resolve_options(const RenderArguments& arguments);

/// The options that say which device is opened, for the other subcommands.
void add_device_options(CLI::App& app, GivenOptions& given);
/// Those and the ones that say what is minimised, at which size and in which memory. `size_here`: what to add
/// to the help of the size.
void add_objective_options(CLI::App& app, GivenOptions& given, const std::string& size_here);

/// One line on standard error.
void print_warning(const std::string& message);

/// Opens the device that the options name. What --device auto has to say of a GPU that it passed over is
/// printed on standard error.
[[nodiscard]] std::unique_ptr<Backend> open_device(const StyleOptions& options);

/// A command line that repeats the render: every option that changes the result, written out.
[[nodiscard]] std::string repeat_command(const RenderArguments& arguments, const StyleOptions& options,
                                         const Weights& weights);

}  // namespace impasto::apps
