#pragma once
// How each convolution is cut: what a resumed render says, else what was timed before or is timed now
// (autotune), else choose_winograd()'s.
#include <map>
#include <string>

#include "engine/backend/backend.h"
#include "engine/backend/choice_cache.h"
#include "kernels/cpu/winograd.h"

namespace impasto {

/// One direction of a layer: backward-data is a convolution from out to in channels with a flipped filter.
struct WinogradKey {
  std::int64_t out_h = 0, out_w = 0, in_c = 0, out_c = 0;
  bool flipped = false;
  auto operator<=>(const WinogradKey&) const = default;
};

class WinogradChoices {
 public:
  /// `tile`: m of every convolution, or 0.
  WinogradChoices(const cpu::Kernels& kernels, cpu::ThreadPool& pool, std::string processor, bool autotune,
                  int tile);

  [[nodiscard]] const cpu::WinogradPlan& plan(const WinogradKey& key);
  /// The choices of all plans used so far, a line each.
  [[nodiscard]] std::string text() const;
  void set(const std::string& text);
  /// "timed 24 convolutions"; empty without autotune.
  [[nodiscard]] std::string activity() const;

 private:
  [[nodiscard]] cpu::WinogradChoice choose(const WinogradKey& key);
  [[nodiscard]] cpu::WinogradChoice fastest(const WinogradKey& key);

  const cpu::Kernels& kernels_;
  cpu::ThreadPool& pool_;
  ChoiceCache cache_;
  int tile_, num_timed_ = 0;
  std::map<WinogradKey, std::pair<cpu::WinogradChoice, cpu::WinogradPlan>> chosen_;
};

}  // namespace impasto
