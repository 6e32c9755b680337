// The program: declares the subcommands, and turns every failure into one line and an exit code.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <new>
#include <string_view>
#include <system_error>

#include "apps/commands.h"
#include "apps/completion.h"
#include "apps/declare.h"
#include "apps/help.h"
#include "apps/interruption.h"
#include "apps/text.h"
#include "engine/core/error.h"

namespace {

using namespace impasto;

using apps::kInternal, apps::kNoMemory;

/// Takes no memory: there may be none left.
template <class... Parts>
int fail(ErrorCode code, const Parts&... message) {
  apps::print_one_line(stderr, {"impasto: error: ", message...});
  return static_cast<int>(code);
}

/// What is thrown where nothing can be, for want of memory most of all, ends the program as other failures
/// do.
[[noreturn]] void end_at_once() {
  try {
    if (std::current_exception()) throw;
  } catch (const std::bad_alloc&) {
    ::_exit(fail(ErrorCode::kResources, kNoMemory, "; ended at once"));
  } catch (const std::exception& error) {
    ::_exit(fail(ErrorCode::kInternal, kInternal, error.what(), "; ended at once"));
  } catch (...) {
  }
  ::_exit(fail(ErrorCode::kInternal, kInternal, "another; ended at once"));
}

/// What the build installs beside the program, made from its own declarations: the manual page, and
/// completion.
void add_texts(CLI::App& app) {
  CLI::App* const man = app.add_subcommand("man", "Print the manual page")->group("");
  man->callback([&app] { std::fputs(apps::man_page(app, IMPASTO_VERSION).c_str(), stdout); });
  CLI::App* const completion = app.add_subcommand("completion", "Print a shell's completion")->group("");
  const auto shell = std::make_shared<std::string>();
  const std::vector<Choice> shells{{"bash"}};
  apps::declare_operand(*completion, "SHELL", *shell, "", shells);
  completion->callback([&app, shell, shells] {
    (void)require_word("SHELL", words_of(shells), *shell);
    std::fputs(apps::bash_completion(app).c_str(), stdout);
  });
}

int run(int argc, char** argv) {
  int exit_code = 0;
  CLI::App app("Paint photographs in the style of paintings", "impasto");
  app.formatter(std::make_shared<apps::HelpFormatter>());
  app.set_help_flag("-h,--help", "show this help and exit");
  app.set_version_flag("--version", "impasto " IMPASTO_VERSION, "show the version and exit");
  app.require_subcommand(1);
  for (const auto add : {apps::add_render, apps::add_batch, apps::add_plan, apps::add_weights,
                         apps::add_devices, apps::add_bench, apps::add_selftest}) {
    add(app, exit_code);
  }
  add_texts(app);
  app.footer(
      "Examples:\n"
      "  impasto weights fetch vgg16\n"
      "  impasto render photo.jpg painting.jpg -o result.png\n"
      "  impasto render photo.jpg a.jpg b.jpg --style-blend 2,1 --size 1024 -o result.png\n"
      "  impasto plan photo.jpg painting.jpg --size 2048\n"
      "  impasto batch --contents photos --styles paintings -o 'out/{content}-{style}.jpg'\n"
      "Exit codes: 0 done, 1 internal error, 2 usage, 3 an input or output cannot be used, 4 not enough "
      "memory\n"
      "or no such device, 5 some entries of a batch failed, 75 interrupted with a checkpoint, 130 "
      "interrupted "
      "without.\n"
      "`impasto COMMAND --help` shows the options of a command.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (apps::lacks_only_a_command(app, error)) {  // `impasto` alone: someone's first look
      std::fputs(app.help().c_str(), stdout);
    } else if (error.get_exit_code() != 0) {
      return fail(ErrorCode::kUsage, apps::explain(app, error));
    } else {
      app.exit(error);  // prints the text of --help or --version
    }
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return fail(ErrorCode::kBadInput, "standard output: expected room for the text, found an error");
  }
  return exit_code;
}

/// Where a standard stream is closed, the first file that is opened would take its number, and progress would
/// be written into a picture. The stand-in is for reading: writing to it fails as before.
void fill_standard_streams() {
  for (int stream = 0; stream <= STDERR_FILENO; ++stream) {
    if (::fcntl(stream, F_GETFD) == -1 && ::open("/dev/null", O_RDONLY) < 0) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is then a failed write, as a full disk is
  std::set_terminate(end_at_once);
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    return fail(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kResources, kNoMemory, apps::way_on());
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(ErrorCode::kBadInput,
                "files: expected those named to be within reach, found: ", error.what());
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::not_enough_memory) return fail(ErrorCode::kResources, kNoMemory);
    return fail(ErrorCode::kInternal, kInternal, error.what());
  } catch (const std::exception& error) {
    return fail(ErrorCode::kInternal, kInternal, error.what());
  }
}
