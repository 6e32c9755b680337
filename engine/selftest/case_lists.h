#pragma once
// The parts of make_op_cases(), a file for each kind of operation, and what they share.
#include <functional>
#include <string>
#include <vector>

#include "engine/selftest/op_cases.h"

namespace impasto::op_cases {

using Call = std::function<void()>;
using Cases = std::vector<OpCase>;

inline constexpr Accumulate kModes[] = {Accumulate::kOverwrite, Accumulate::kAdd};

[[nodiscard]] std::string name(Accumulate mode);
[[nodiscard]] std::string name(Relu relu);
[[nodiscard]] std::string name(Pooling pooling);
[[nodiscard]] std::string name(Values values);
[[nodiscard]] std::string name(Padding padding);

// Each appends the cases of its operations.
void add_conv(Cases& cases);
void add_pointwise(Cases& cases);
void add_pool(Cases& cases);
void add_gram(Cases& cases);
void add_gram_loss(Cases& cases);
void add_style_loss(Cases& cases);
void add_losses(Cases& cases);
void add_steps(Cases& cases);
void add_sums(Cases& cases);
void add_lbfgs(Cases& cases);
void add_descent(Cases& cases);

}  // namespace impasto::op_cases
