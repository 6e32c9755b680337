#include "apps/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "engine/core/message.h"
#include "engine/core/utf8.h"

namespace impasto::apps {
namespace {

std::string print(const char* format, int digits, double value) {
  std::array<char, 400> text{};  // %f of the largest double has 309 digits
  std::snprintf(text.data(), text.size(), format, digits, value);
  return text.data();
}

/// Code points: what a terminal shows of UTF-8, apart from double width and combining ones.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

char visible(char c) { return static_cast<unsigned char>(c) < ' ' || c == 127 ? ' ' : c; }

}  // namespace

std::string format_fixed(double value, int digits) { return print("%.*f", digits, value); }
std::string format_significant(double value, int digits) { return print("%.*g", digits, value); }

std::string format_duration(double seconds) {
  const auto whole = static_cast<long long>(std::clamp(seconds, 0.0, 1e9) + 0.5);
  std::array<char, 40> text{};
  if (whole >= 3600) {
    std::snprintf(text.data(), text.size(), "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    std::snprintf(text.data(), text.size(), "%lld:%02lld", whole / 60, whole % 60);
  }
  return text.data();
}

std::string shell_quote(const std::string& word) {
  constexpr std::string_view safe =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,/:@%";
  if (!word.empty() && word.find_first_not_of(safe) == std::string::npos) return word;
  std::string quoted = "'", escaped = "$'";
  bool printable = true;
  for (std::string_view rest = word; !rest.empty();) {
    const std::size_t bytes = utf8_character(rest);
    const std::string character(rest.substr(0, std::max<std::size_t>(bytes, 1)));
    const auto first = static_cast<unsigned char>(character.front());
    rest.remove_prefix(character.size());
    quoted += character == "'" ? "'\\''" : character;
    if (bytes == 0 || first < 0x20 || first == 0x7F) {
      printable = false;
      std::array<char, 5> octal{};  // \377: unlike \xff, never longer than it is
      std::snprintf(octal.data(), octal.size(), "\\%03o", static_cast<unsigned>(first));
      escaped += octal.data();
    } else {
      escaped += character == "'" || character == "\\" ? "\\" + character : character;
    }
  }
  return (printable ? quoted : escaped) + "'";
}

void print_one_line(std::FILE* to, std::initializer_list<std::string_view> parts) {
  std::array<char, 4096> line;  // most lines go out at once, whoever else writes
  std::size_t size = 0;
  const auto put = [&](char c) {
    line[size++] = c;
    if (size < line.size() && c != '\n') return;
    std::fwrite(line.data(), 1, size, to);
    size = 0;
  };
  for (const std::string_view part : parts) {
    for (std::size_t i = 0; i < part.size(); ++i) {
      // U+0080 to U+009F, which terminals obey as well
      const bool obeyed = part[i] == '\xC2' && i + 1 < part.size() && (part[i + 1] & 0xE0) == 0x80;
      put(obeyed ? ' ' : visible(part[i]));
      if (obeyed) ++i;
    }
  }
  put('\n');
}

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!lines.back().empty() && columns(lines.back()) + 1 + columns(word) > width) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

std::int64_t parse_integer(const std::string& option, const std::string& text, std::int64_t lower,
                           std::int64_t upper) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  if (status != std::errc() || stop != end || value < lower || value > upper) {
    throw make_error(ErrorCode::kUsage, "{}: expected an integer from {} to {}, found '{}'", option, lower,
                     upper, text);
  }
  return value;
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string fill(widths[i] - columns(row[i]), ' ');
      if (i > 0) line += "  ";
      line += i < left_ ? row[i] + fill : fill + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

}  // namespace impasto::apps
