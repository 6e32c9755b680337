#pragma once
// Convolutions of the CPU backend: Winograd's where there are channels enough to make up for its transforms,
// direct ones for the first layer and with --precision exact.
#include <memory>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/winograd_choices.h"

namespace impasto {

/// What every convolution of one backend has in common. All references stay valid as long as it is used.
struct CpuConvolutions {
  const cpu::Kernels& kernels;
  Precision precision;
  cpu::ThreadPool& pool;
  const WinogradChoices& choices;

  [[nodiscard]] bool is_direct(std::int64_t in_channels, std::int64_t out_channels) const;
  /// Bytes that one layer's filters and bias take, and its workspace.
  [[nodiscard]] std::size_t filter_bytes(std::int64_t in_channels, std::int64_t out_channels) const;
  [[nodiscard]] std::size_t workspace_bytes(const ConvTask& task) const;

  /// buffer: filter_bytes().
  [[nodiscard]] std::shared_ptr<const ConvFilter> make_filter(const std::string& format, Buffer buffer,
                                                              const ConvFilterDesc& desc) const;
  void forward(TensorView y, ConstTensorView x, const ConvFilter& filter, Padding padding, Relu relu,
               Workspace workspace) const;
  void backward_data(TensorView dx, ConstTensorView dy, const ConvFilter& filter, Padding padding,
                     Accumulate accumulate, ConstTensorView mask, Workspace workspace) const;
};

}  // namespace impasto
