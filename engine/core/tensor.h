#pragma once
// Shapes, element types and non-owning views. A view says nothing of where its memory lives: that is
// known by the Backend that allocated it, and only that backend may read or write through it.
#include <cstddef>
#include <cstdint>
#include <string>

namespace impasto {

/// Height, width, channels. Feature maps and pictures are NHWC with n = 1; a Gram matrix is {1, C, C};
/// a row of k scalars is {1, 1, k}. Element (y, x, c) lies at (y * w + x) * c_count + c.
struct Shape {
  std::int64_t h = 0, w = 0, c = 0;
  [[nodiscard]] constexpr std::int64_t positions() const { return h * w; }
  [[nodiscard]] constexpr std::int64_t elements() const { return h * w * c; }
  friend constexpr bool operator==(const Shape&, const Shape&) = default;
};
[[nodiscard]] inline std::string to_string(const Shape& s) {
  return "(" + std::to_string(s.h) + "," + std::to_string(s.w) + "," + std::to_string(s.c) + ")";
}

/// Of half the height and width, a last odd row and column counted.
[[nodiscard]] constexpr Shape halved(const Shape& s) { return {(s.h + 1) / 2, (s.w + 1) / 2, s.c}; }

/// kUInt8: bits that an operation writes for another one, not numbers.
enum class DType : std::uint8_t { kFloat64, kFloat32, kFloat16, kBFloat16, kUInt8 };
[[nodiscard]] constexpr std::size_t size_of(DType t) {
  return t == DType::kFloat64 ? 8 : t == DType::kFloat32 ? 4 : t == DType::kUInt8 ? 1 : 2;
}
[[nodiscard]] constexpr const char* to_string(DType t) {
  switch (t) {
    case DType::kFloat64: return "float64";
    case DType::kFloat32: return "float32";
    case DType::kFloat16: return "float16";
    case DType::kBFloat16: return "bfloat16";
    case DType::kUInt8: return "uint8";
  }
  return "?";
}

/// A tensor that is wanted.
struct TensorSpec {
  std::string name;
  Shape shape;
  DType dtype = DType::kFloat32;
};

struct ConstTensorView {
  const void* data = nullptr;
  Shape shape;
  DType dtype = DType::kFloat32;
  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(shape.elements()) * size_of(dtype);
  }
  [[nodiscard]] bool empty() const { return data == nullptr; }
  template <class T>
  [[nodiscard]] const T* as() const {
    return static_cast<const T*>(data);
  }
};

struct TensorView {
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::kFloat32;
  operator ConstTensorView() const {
    return {data, shape, dtype};
  }  // NOLINT: a view of T is a view of const T
  /// `count` of its rows from `first` on.
  [[nodiscard]] TensorView rows(std::int64_t first, std::int64_t count) const {
    const std::int64_t row = shape.w * shape.c * static_cast<std::int64_t>(size_of(dtype));
    return {static_cast<std::byte*>(data) + first * row, {count, shape.w, shape.c}, dtype};
  }
  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(shape.elements()) * size_of(dtype);
  }
  [[nodiscard]] bool empty() const { return data == nullptr; }
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(data);
  }
};

[[nodiscard]] constexpr std::size_t align_up(std::size_t bytes, std::size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace impasto
