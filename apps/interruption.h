#pragma once
// SIGINT, SIGTERM and SIGHUP. Before a render has something to save, a signal ends the program at once
// (exit code 130). From begin_run() on, the first only raises a flag, which the render reads after each
// iteration; the second ends the program at once, or, while a file is being written, when that file is whole
// or gone again, so that nothing half-written is left.
#include <filesystem>
#include <string>
#include <string_view>

namespace impasto::apps {

/// Takes over the three signals, except those that are
/// ignored when the program begins (nohup, background jobs).
/// `what` is named in the message of ending at once, and stays.
void install_interruption(const char* what);
/// From here the first signal is a request.
void begin_run();
/// Was the render asked to stop?
[[nodiscard]] bool stop_requested();
/// Ending at once removes this file. Of the first few; the others stay.
void remove_when_ended_at_once(const std::filesystem::path& file);
/// The run is over, and its files are removed elsewhere: a signal does nothing any more.
void end_run();
/// This checkpoint of the run exists: ending at once then returns 75, not 130.
void set_resumable(const std::string& checkpoint);
/// What was done so far counts for whoever runs the same command again: ending at once returns 75.
void set_repeatable();
/// "; go on with --resume FILE" for the ends of messages; empty where there is none. Takes no memory.
[[nodiscard]] std::string_view way_on();

/// While one lives, a file is being written.
class WriteSection {
 public:
  WriteSection();
  ~WriteSection();
  WriteSection(const WriteSection&) = delete;
  WriteSection& operator=(const WriteSection&) = delete;
};

}  // namespace impasto::apps
