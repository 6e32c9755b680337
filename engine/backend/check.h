#pragma once
// The check of one call's operands, with which every operation of the seam begins.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/backend/backend.h"
#include "engine/core/error.h"
#include "engine/core/trace.h"

namespace impasto {

inline std::string describe(const Shape& shape, DType dtype) {
  return to_string(shape) + " " + to_string(dtype);
}

/// Collects the operands of one call: each is checked for shape, dtype and alignment as it is named, and
/// against those named before it for overlap (allowed only between two that are read).
class Check {
 public:
  explicit Check(const char* operation) : operation_(operation) {}

  void output(const char* name, ConstTensorView view, DType dtype, Shape shape) {
    add(name, view, dtype, shape, true, nullptr);
  }
  /// `in_place`: the name of the output that this operand may be (the very same memory).
  void input(const char* name, ConstTensorView view, DType dtype, Shape shape,
             const char* in_place = nullptr) {
    add(name, view, dtype, shape, false, in_place);
  }
  void slot(const char* name, ConstTensorView view, bool written) {
    add(name, view, DType::kFloat64, {1, 1, 1}, written, nullptr);
  }
  /// A vector of which only the number of elements matters.
  void elements(const char* name, ConstTensorView view, DType dtype, std::int64_t count, bool written) {
    if (view.shape.elements() != count || view.dtype != dtype) {
      fail(name, std::to_string(count) + " elements of " + to_string(dtype),
           describe(view.shape, view.dtype));
    }
    add(name, view, dtype, view.shape, written, nullptr);
  }
  void workspace(Workspace workspace, std::size_t needed) {
    if (workspace.bytes < needed || (needed > 0 && workspace.data == nullptr)) {
      fail("workspace", std::to_string(needed) + " bytes",
           workspace.data == nullptr ? "none" : std::to_string(workspace.bytes) + " bytes");
    }
    add_range({"workspace", workspace.data, workspace.bytes, true}, nullptr);
  }
  void filter(const ConvFilter& filter, const std::string& format) const {
    if (filter.format() != format) fail("filter", "one for " + format, "one for " + filter.format());
  }
  void require(bool ok, const char* name, const std::string& expected, const std::string& found) const {
    if (!ok) fail(name, expected, found);
  }
  [[noreturn]] void fail(const char* name, const std::string& expected, const std::string& found) const {
    throw Error(ErrorCode::kInternal,
                std::string(operation_) + ": " + name + ": expected " + expected + ", found " + found);
  }

 private:
  struct Range {
    const char* name = nullptr;
    const void* data = nullptr;
    std::size_t bytes = 0;
    bool written = false;
  };

  void add(const char* name, ConstTensorView view, DType dtype, Shape shape, bool written,
           const char* in_place) {
    if (view.shape != shape || view.dtype != dtype) {
      fail(name, describe(shape, dtype), describe(view.shape, view.dtype));
    }
    require(shape.h >= 0 && shape.w >= 0 && shape.c >= 0, name, "sizes of 0 or more", to_string(shape));
    require(!view.empty() || shape.elements() == 0, name, describe(shape, dtype), "no memory");
    require(reinterpret_cast<std::uintptr_t>(view.data) % size_of(dtype) == 0, name,
            std::string("memory aligned for ") + to_string(dtype), "an odd address");
    add_range({name, view.data, view.bytes(), written}, in_place);
  }

  void add_range(const Range& range, const char* in_place) {
    const auto begin = reinterpret_cast<std::uintptr_t>(range.data);
    for (int i = 0; i < num_ranges_; ++i) {
      const Range& other = ranges_[static_cast<std::size_t>(i)];
      const auto other_begin = reinterpret_cast<std::uintptr_t>(other.data);
      if (!(range.written || other.written)) continue;
      if (in_place != nullptr && other.name == std::string(in_place) && begin == other_begin) continue;
      if (begin < other_begin + other.bytes && other_begin < begin + range.bytes) {
        fail(range.name, std::string("memory apart from ") + other.name, "an overlap");
      }
    }
    ranges_[static_cast<std::size_t>(num_ranges_++)] = range;
  }

  const char* operation_;
  TraceRange trace_{operation_};  // as long as the call
  std::array<Range, 8> ranges_{};
  int num_ranges_ = 0;
};

}  // namespace impasto
