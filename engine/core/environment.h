#pragma once
// Variables of the environment. All count as not set where the process has rights that who started it has not
// (setuid, setgid, file capabilities): they name files to read, to write and to run.
#include <stdlib.h>

#include <filesystem>

namespace impasto {

/// Null where it is not set.
[[nodiscard]] inline const char* environment(const char* name) { return ::secure_getenv(name); }

/// The folder or file that a variable names; empty where it is not set or empty.
[[nodiscard]] inline std::filesystem::path environment_path(const char* name) {
  const char* const value = environment(name);
  return value == nullptr ? std::filesystem::path() : std::filesystem::path(value);
}

/// The same of a variable of the XDG Base Directory Specification, and of HOME: a relative path counts as not
/// set.
[[nodiscard]] inline std::filesystem::path environment_folder(const char* name) {
  std::filesystem::path path = environment_path(name);
  return path.is_absolute() ? path : std::filesystem::path();
}

}  // namespace impasto
