#pragma once
// libjpeg and libpng report errors through a handler that must not return. Ours jumps back to guarded(),
// which throws. C++ exceptions may not cross the C frames, and a jump may not cross C++ objects with
// destructors, so: owners live outside of the guarded body, which only calls C.
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <type_traits>

#include "engine/image/codec.h"

namespace impasto::codec {

struct CError {
  std::jmp_buf jump;
  char message[256] = "";
  const char* expected = nullptr;  ///< set where the file is whole, but of a kind that is not read
  [[noreturn]] void raise(const char* text) {
    std::snprintf(message, sizeof message, "%s", text);
    std::longjmp(jump, 1);
  }
};

/// Runs body(); if error.raise was called in it, throws
/// damaged(format, message), or unsupported(expected, message).
template <class Body>
void guarded(CError& error, const char* format, const Body& body) {
  static_assert(std::is_trivially_destructible_v<Body>, "a jump would skip its destructor");
  if (setjmp(error.jump) != 0) {
    throw error.expected == nullptr ? damaged(format, error.message)
                                    : unsupported(error.expected, error.message);
  }
  body();
}

}  // namespace impasto::codec
