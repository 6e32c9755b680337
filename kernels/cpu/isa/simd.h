// Vectors of the instruction set that is being compiled. Included by the files of this folder only, inside a
// namespace of that instruction set. No header of the C++ library may be included here or after: its inline
// functions would be compiled with instructions that the rest of the program must not use, and the linker
// keeps one copy of each.

#if defined(__AVX512F__)
constexpr int kLanes = 16;
constexpr int kRows = 12;     // pixels of the micro-kernel: kRows x kVectors accumulators of 32 registers
constexpr int kGramRows = 8;  // divides kPanel
#elif defined(__AVX2__)
constexpr int kLanes = 8;
constexpr int kRows = 6;
constexpr int kGramRows = 4;
#elif defined(__aarch64__)  // NEON: 32 registers of four floats
constexpr int kLanes = 4;
constexpr int kRows = 12;
constexpr int kGramRows = 8;
#else
constexpr int kLanes = 4;
constexpr int kRows = 6;
constexpr int kGramRows = 4;
#endif
constexpr int kVectors = 2;
constexpr int kPanel = kLanes * kVectors;

typedef float Vector __attribute__((vector_size(kLanes * 4)));
typedef float UnalignedVector __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef float HalfVector __attribute__((vector_size(kLanes * 2)));
typedef float UnalignedHalf __attribute__((vector_size(kLanes * 2), aligned(4), may_alias));
typedef double DoubleVector __attribute__((vector_size(kLanes * 4)));
typedef double UnalignedDouble __attribute__((vector_size(kLanes * 4), aligned(8), may_alias));
constexpr int kDoubleLanes = kLanes / 2;

static IMPASTO_INLINE Vector load(const float* p) { return *reinterpret_cast<const UnalignedVector*>(p); }
static IMPASTO_INLINE void store(float* p, Vector v) { *reinterpret_cast<UnalignedVector*>(p) = v; }
/// Past the caches: for what is not read again soon. p aligned to the vector; finish_streaming() before
/// another thread reads it.
static IMPASTO_INLINE void stream(float* p, Vector v) {
#if defined(__clang__)
  __builtin_nontemporal_store(v, reinterpret_cast<Vector*>(p));
#elif defined(__AVX512F__)
  __builtin_ia32_movntps512(p, v);
#elif defined(__AVX2__)
  __builtin_ia32_movntps256(p, v);
#elif defined(__SSE2__)
  __builtin_ia32_movntps(p, v);
#else
  store(p, v);
#endif
}
static IMPASTO_INLINE void finish_streaming() {
#if defined(__SSE2__)
  __builtin_ia32_sfence();
#endif
}
// x - 0 is folded to a broadcast; 0 + x is not (it would turn -0 into 0) and costs an addition.
static IMPASTO_INLINE Vector broadcast(float x) { return x - Vector{}; }
static IMPASTO_INLINE Vector zero_if_not_positive(Vector v, Vector mask) { return mask > 0 ? v : Vector{}; }
/// Not a number stays one: what overflowed is not to look like nothing.
static IMPASTO_INLINE Vector zero_if_negative(Vector v) { return v <= 0 ? Vector{} : v; }
static IMPASTO_INLINE DoubleVector load_double(const float* p) {
  return __builtin_convertvector(*reinterpret_cast<const UnalignedHalf*>(p), DoubleVector);
}
static IMPASTO_INLINE double sum(DoubleVector v) {
  double total = 0;
  for (int i = 0; i < kDoubleLanes; ++i) total += v[i];
  return total;
}
static IMPASTO_INLINE double sum_in_double(Vector v) {
  double total = 0;
  for (int i = 0; i < kLanes; ++i) total += static_cast<double>(v[i]);
  return total;
}
/// Sum of the lanes, halving the vector: few instructions, unlike taking lanes out one by one.
static IMPASTO_INLINE float sum_in_float(Vector v) {
#if defined(__AVX512F__)
  const auto eight = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                     __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
#elif defined(__AVX2__)
  const auto eight = v;
#endif
#if defined(__AVX2__)
  const auto four =
      __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
#else
  const auto four = v;
#endif
  const auto two = four + __builtin_shufflevector(four, four, 2, 3, 0, 1);
  return two[0] + two[1];
}
static IMPASTO_INLINE std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
