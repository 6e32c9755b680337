#pragma once
// What `render` and `plan` take: pictures, weights, every option of StyleOptions, and where results go.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apps/progress_display.h"
#include "engine/backend/backend.h"
#include "engine/impasto.h"

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

/// The preset first, then every option that was given, whatever their order; validated.
[[nodiscard]] StyleOptions resolve_options(const RenderArguments& arguments);

/// The options that say which device is opened, for the other subcommands.
void add_device_options(CLI::App& app, GivenOptions& given);

/// One line on standard error.
void print_warning(const std::string& message);

/// Opens the device that the options name. What --device auto has to say of a GPU that it passed over is
/// printed on standard error.
[[nodiscard]] std::unique_ptr<Backend> open_device(const StyleOptions& options);

/// A command line that repeats the render: every option that changes the result, written out.
[[nodiscard]] std::string repeat_command(const RenderArguments& arguments, const StyleOptions& options,
                                         const Weights& weights);

}  // namespace impasto::apps
