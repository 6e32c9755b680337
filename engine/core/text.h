#pragma once
// Numbers and choices as people read them.
#include <string>
#include <vector>

namespace impasto {

/// Shortest text that reads back as the same double.
[[nodiscard]] std::string format_number(double value);

/// "512 B", "1.50 MiB", "12.3 GiB".
[[nodiscard]] std::string format_bytes(double bytes);

/// What stands between the separators, also nothing: one part more than there are of them.
[[nodiscard]] std::vector<std::string> split(const std::string& text, char separator);

/// "a, b or c"
[[nodiscard]] std::string any_of(const std::vector<std::string>& names);

}  // namespace impasto
