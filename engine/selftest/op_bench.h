#pragma once
// One call of one primitive on one backend, under guard: every operand lies between sentinels, outputs and
// workspace are poisoned with NaN before the call, and what must not change is compared afterwards.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/backend/backend.h"

namespace impasto {

/// What an operand is made of: feature maps, pictures and vectors, float64 scalars, or a pool's codes, which
/// are compared bit for bit.
enum class Role : std::uint8_t { kActivation, kReal, kSlot, kCodes };

enum class Values : std::uint8_t {
  kNormal,     ///< mean 0, deviation 1
  kFeatures,   ///< kNormal after a ReLU: half of them exactly 0
  kTies,       ///< whole numbers from -2 to 2
  kPixels,     ///< uniform in -128..128
  kSymmetric,  ///< kNormal with (a, b) = (b, a), for (1, C, C)
};
/// The same values for the same seed, on every machine with the same C++ library.
[[nodiscard]] std::vector<double> make_values(Values kind, Shape shape, std::uint64_t seed);

class OpBench {
 public:
  struct Output {
    std::string name;
    Shape shape;
    std::vector<double> values;
    bool exact = false;  ///< right is only the very same
  };
  /// What one run gave. `problem` is empty, or says what was broken apart from the numbers.
  struct Result {
    std::vector<Output> outputs;
    std::string problem;
  };

  /// With `inputs_of`, the operands start from that bench's values as its device holds them, rounded to its
  /// dtypes: operands must then be declared in the same order. `shifted`: tensors start one position into
  /// their memory, as the views of a strip do.
  OpBench(Backend& backend, std::uint64_t seed, bool shifted = false, const OpBench* inputs_of = nullptr)
      : backend_(backend), seed_(seed), shifted_(shifted), inputs_of_(inputs_of) {}

  [[nodiscard]] Backend& backend() { return backend_; }
  [[nodiscard]] std::uint64_t seed() const { return seed_; }

  /// Read only. `stored_channels` (0: shape.c) above shape.c appends channels that must not matter (NaN).
  ConstTensorView input(const char* name, Role role, Shape shape, Values values,
                        std::int64_t stored_channels = 0);
  ConstTensorView input(const char* name, Role role, Shape shape, std::vector<double> values);
  /// Written, never read. Stored channels above shape.c must come out as 0.
  TensorView output(const char* name, Role role, Shape shape, std::int64_t stored_channels = 0);
  /// Read and written.
  TensorView in_out(const char* name, Role role, Shape shape, Values values);
  TensorView in_out(const char* name, Role role, Shape shape, std::vector<double> values);
  /// `output` or `in_out`, as the call will use it.
  TensorView result(const char* name, Role role, Shape shape, Accumulate accumulate);
  Workspace workspace(std::size_t bytes);

  /// Sets every operand to its start, runs the call and looks at everything. Can be repeated.
  [[nodiscard]] Result run(const std::function<void()>& call);

 private:
  struct Operand {
    std::string name;
    Buffer memory;
    std::size_t offset = 0;  ///< of the tensor: the sentinel before it has so many bytes
    TensorView view;         ///< with the stored channels
    Shape shape;             ///< without them
    std::vector<double> start;
    bool written = false, read = false;
  };
  Operand& add(const char* name, DType dtype, Shape shape, std::int64_t stored_channels);
  Operand& add(const char* name, Role role, Shape shape, std::int64_t stored_channels,
               std::vector<double> start);
  [[nodiscard]] std::vector<double> download(const Operand& operand) const;
  void set_sentinels(const Operand& operand);
  [[nodiscard]] bool sentinels_intact(const Operand& operand) const;

  Backend& backend_;
  std::uint64_t seed_;
  bool shifted_;
  const OpBench* inputs_of_;
  std::vector<Operand> operands_;
};

}  // namespace impasto
