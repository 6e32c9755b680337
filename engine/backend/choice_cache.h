#pragma once
// Choices among equal ways of doing something, by name: what a resumed render says, what was measured before,
// and a file in the user's cache folder for what is measured now.
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace impasto {

/// The file is shared: each process adds what it measured to what stands there. Its folder is the user's
/// own; one that is another's, or a link, is not used. Where the file cannot be written, the next run
/// measures again.
class ChoiceCache {
 public:
  static constexpr std::chrono::seconds kPause{5};

  /// `title`: what the measurements are of, one line: the file's first line, and in its name.
  /// `measuring`: reads the file now. One that is damaged or another's counts as empty.
  /// `pause`: for so long keep() leaves the file alone; what is lost where the process is killed.
  ChoiceCache(std::string title, bool measuring, std::chrono::milliseconds pause = kPause);
  /// Saves.
  ~ChoiceCache();
  ChoiceCache(const ChoiceCache&) = delete;
  ChoiceCache& operator=(const ChoiceCache&) = delete;

  /// "KEY = CHOICE", with its end of line.
  [[nodiscard]] static std::string line(const std::string& key, const std::string& choice) {
    return key + " = " + choice + "\n";
  }

  [[nodiscard]] const std::string& title() const { return title_; }
  [[nodiscard]] bool measuring() const { return measuring_; }

  /// Choices of an earlier run, "KEY = CHOICE" a line; other lines mean nothing. `source`: where they come
  /// from, for messages.
  void set_given(const std::string& lines, const std::string& source);
  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] std::optional<std::string> given(const std::string& key) const;
  /// False: neither given() nor measured() has anything, for no key.
  [[nodiscard]] bool has_any() const { return measuring() || !given_.empty(); }
  /// Measured in this run or before it began.
  [[nodiscard]] std::optional<std::string> measured(const std::string& key) const;
  /// Keeps a measurement; saves where the last time is a pause ago.
  void keep(const std::string& key, const std::string& choice);
  /// Adds what was kept since the last time to the file.
  void save() noexcept;

 private:
  [[nodiscard]] std::string file_name() const;

  std::string title_, source_;
  bool measuring_;
  std::chrono::milliseconds pause_;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();
  std::map<std::string, std::string> given_, measured_, unsaved_;
};

}  // namespace impasto
