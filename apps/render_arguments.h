#pragma once
// What `render` and `plan` take: pictures, weights, every option of StyleOptions, and where results go.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/impasto.h"

namespace impasto::apps {

struct RenderArguments {
  std::string content;
  std::vector<std::string> styles;
  std::string output;
  std::string weights;
  std::map<std::string, std::string> style_options;  ///< by name, only those that were given
  std::string checkpoint, resume, trace;
  std::string progress = "auto";
  std::string save_every = "0", quality = "95", output_bits = "8", max_pixels;
  bool overwrite = false, verbose = false, quiet = false;
};

/// Declares the operands and options; `arguments` must outlive the parse.
void add_render_arguments(CLI::App& app, RenderArguments& arguments);

/// The preset first, then every option that was given, whatever their order; validated.
[[nodiscard]] StyleOptions resolve_options(const RenderArguments& arguments);
/// The file of --init, if its value is one.
[[nodiscard]] std::optional<std::string> init_file(const RenderArguments& arguments);

/// --device, --precision, --threads for the other subcommands.
void add_device_options(CLI::App& app, std::map<std::string, std::string>& style_options);

/// Opens the device that the options name. What --device auto has to say of a GPU that it passed over is
/// printed on standard error.
[[nodiscard]] std::unique_ptr<Backend> open_device(const StyleOptions& options);

/// A command line that repeats the render: every option that changes the result, written out.
[[nodiscard]] std::string repeat_command(const RenderArguments& arguments, const StyleOptions& options,
                                         const Weights& weights);

}  // namespace impasto::apps
