#pragma once
// File names are bytes; metadata and JSON are UTF-8.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace impasto {

/// Bytes of the character that the text begins with; 0 where it begins with none (Unicode, table 3-7: no
/// overlong forms, no surrogates, nothing past U+10FFFF).
[[nodiscard]] inline std::size_t utf8_character(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t bytes = first >= 0xC2 && first <= 0xDF   ? 2
                            : (first & 0xF0) == 0xE0         ? 3
                            : first >= 0xF0 && first <= 0xF4 ? 4
                                                             : 0;
  if (bytes == 0 || text.size() < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool beyond = (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F);
  return overlong || beyond ? 0 : bytes;
}

/// The text with U+FFFD for every byte that is no part of a character, for
/// control characters other than tab and line feed, and for U+FFFE and U+FFFF:
/// what XML 1.0 and PNG's text chunks can hold. CR LF and CR become LF.
[[nodiscard]] inline std::string printable_utf8(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t bytes = utf8_character(text);
    const std::string_view character = text.substr(0, bytes);
    const auto first = static_cast<unsigned char>(text.front());
    text.remove_prefix(bytes == 0 ? 1 : bytes);
    if (character == "\r") {
      if (text.substr(0, 1) != "\n") result += '\n';
    } else if (bytes == 0 || (first < 0x20 && first != '\t' && first != '\n') || first == 0x7F ||
               character == "\xEF\xBF\xBE" || character == "\xEF\xBF\xBF") {
      result += "\xEF\xBF\xBD";
    } else {
      result += character;
    }
  }
  return result;
}

}  // namespace impasto
