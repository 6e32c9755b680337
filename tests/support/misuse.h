#pragma once
// Ways to misuse the library, and what each must come to.
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>

#include "engine/impasto.h"
#include "tests/support/catch.h"
#include "tests/support/small_renders.h"

namespace impasto::test {

inline constexpr std::int64_t kHuge = std::int64_t{1} << 40;
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Misuse {
  const char* what;
  std::function<void()> use;
  ErrorCode code = ErrorCode::kUsage;
};

inline StyleOptions small() {
  StyleOptions options = options_with("cpu", OptimizerKind::kAdam);
  options.size = 32;
  options.num_scales = 1;
  options.iterations = 1;
  return options;
}

inline StyleOptions option(const std::function<void(StyleOptions&)>& change) {
  StyleOptions options = small();
  change(options);
  return options;
}

inline const std::string& place() {
  static const std::string file = (std::filesystem::temp_directory_path() / "impasto-misuse.png").string();
  return file;
}

inline void require_refused(const Misuse& misuse) {
  INFO(misuse.what);
  bool refused = false;
  try {
    misuse.use();
  } catch (const Error& error) {
    refused = true;
    const std::string message = error.what();
    INFO(message);
    CHECK(error.code() == misuse.code);
    CHECK(message.find('\n') == std::string::npos);
  }
  CHECK(refused);
}

inline void render(const Image* content, const Image* style, const Image* start = nullptr) {
  Session session(small(), weights());
  StyleOptions options = small();
  if (start != nullptr) options.init = Init::kPicture;
  Render render(session, options, {content, {{.picture = style}}, start, {}});
  while (render.step()) {
  }
  (void)render.picture();
}

}  // namespace impasto::test
