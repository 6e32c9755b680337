#pragma once
// What a device's choices look like as text.
#include <string>

namespace impasto::test {

/// The CPU's choices, each with another tile than its own.
inline std::string with_other_tiles(std::string choices) {
  for (std::size_t at = 0; (at = choices.find(" = F", at)) != std::string::npos; at += 5) {
    choices[at + 4] = choices[at + 4] == '4' ? '2' : '4';
  }
  return choices;
}

}  // namespace impasto::test
