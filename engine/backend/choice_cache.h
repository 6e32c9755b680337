#pragma once
// Choices among equal ways of doing something, by name: what a resumed render says, what was measured before,
// and a file in the user's cache folder for what is measured now.
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace impasto {

class ChoiceCache {
 public:
  /// `title`: what the measurements are of, one line: the file's first line, and in its name.
  /// `measuring`: reads the file now. One that is damaged or another's counts as empty.
  ChoiceCache(std::string title, bool measuring);

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
  /// Measured in this run or an earlier one.
  [[nodiscard]] std::optional<std::string> measured(const std::string& key) const;
  /// Keeps a measurement and writes the file anew; where that is impossible, the next run measures again.
  void keep(const std::string& key, const std::string& choice);

 private:
  [[nodiscard]] std::filesystem::path file() const;
  void save() const;

  std::string title_, source_;
  bool measuring_;
  std::map<std::string, std::string> given_, measured_;
};

}  // namespace impasto
