#pragma once
// How each convolution is cut: what a resumed render says, else what was timed (autotune), now when it is
// prepared or before, else choose_winograd()'s. Asking for a plan times nothing.
#include <string>

#include "engine/backend/backend.h"
#include "engine/backend/tuned_choices.h"
#include "kernels/cpu/winograd.h"

namespace impasto {

/// One direction of a layer: backward-data is a convolution from out to in channels with a flipped filter.
struct WinogradKey {
  std::int64_t out_h = 0, out_w = 0, in_c = 0, out_c = 0;
  bool flipped = false;
  auto operator<=>(const WinogradKey&) const = default;
};

[[nodiscard]] WinogradKey winograd_key(const ConvTask& task);
[[nodiscard]] std::string to_string(const WinogradKey& key);

class WinogradChoices final : public TunedChoices<WinogradKey, cpu::WinogradChoice> {
 public:
  /// `tile`: m of every convolution, or 0.
  WinogradChoices(const cpu::Kernels& kernels, cpu::ThreadPool& pool, std::string processor, bool autotune,
                  int tile);

  /// Makes the choice that plan() is to take: times it where no one did and autotune asks for it.
  void prepare(const WinogradKey& key);
  /// What was prepared, else what prepare() would choose without timing.
  [[nodiscard]] cpu::WinogradPlan plan(const WinogradKey& key) const;

 private:
  [[nodiscard]] std::string describe(const cpu::WinogradChoice& choice) const override;
  /// What a resumed render says or was timed before; m = 0: neither.
  [[nodiscard]] cpu::WinogradChoice known(const WinogradKey& key) const;
  [[nodiscard]] cpu::WinogradChoice by_rule(const WinogradKey& key) const;
  [[nodiscard]] cpu::WinogradChoice fastest(const WinogradKey& key);

  const cpu::Kernels& kernels_;
  cpu::ThreadPool& pool_;
  int tile_;
};

}  // namespace impasto
