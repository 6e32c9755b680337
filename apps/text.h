#pragma once
// Numbers and tables as people read them, and the integers that they type.
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace impasto::apps {

/// What is said where there is no memory, and before what nobody foresaw.
inline constexpr std::string_view kNoMemory = "memory: expected enough on the host, found none left";
inline constexpr std::string_view kInternal = "internal: expected no failure here, found: ";

/// "4:07", "1:02:33".
[[nodiscard]] std::string format_duration(double seconds);
/// printf's %.{digits}g.
[[nodiscard]] std::string format_significant(double value, int digits);
/// Printf's %.{digits}f.
[[nodiscard]] std::string format_fixed(double value, int digits);
/// One word of a POSIX shell: as it is where nothing needs quotes, $'...' with octal bytes where it holds
/// control characters or is not UTF-8.
[[nodiscard]] std::string shell_quote(const std::string& word);
/// The parts as one line, with a blank for every control character, so that a file's name cannot break a line
/// or move the cursor. Takes no memory.
void print_one_line(std::FILE* to, std::initializer_list<std::string_view> parts);
/// Broken at spaces so that no line is longer than `width`; a word that is longer stands alone.
[[nodiscard]] std::vector<std::string> wrap(std::string_view text, std::size_t width);
/// The whole text as a decimal integer from `lower` to `upper`; else Error(kUsage) naming `option`.
[[nodiscard]] std::int64_t parse_integer(const std::string& option, const std::string& text,
                                         std::int64_t lower, std::int64_t upper);

/// Rows of cells in columns as wide as their widest cell; the first `left` columns are flush left, the
/// others flush right.
class Table {
 public:
  explicit Table(std::size_t left = 1) : left_(left) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text() const;

 private:
  std::size_t left_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace impasto::apps
