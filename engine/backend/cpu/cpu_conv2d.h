#pragma once
// Convolutions of the CPU backend: Winograd's where there are channels enough to make up for its transforms,
// direct ones for the first layer and with --precision exact.
#include <memory>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/winograd_choices.h"

namespace impasto {

/// Bytes that one layer's filters and bias take, and its workspace for an input of this shape.
[[nodiscard]] std::size_t cpu_conv_filter_bytes(const cpu::Kernels& kernels, Precision precision,
                                                std::int64_t in_channels, std::int64_t out_channels);
[[nodiscard]] std::size_t cpu_conv_workspace_bytes(const cpu::Kernels& kernels, Precision precision,
                                                   int num_threads, WinogradChoices& choices, Shape input,
                                                   std::int64_t out_channels, Padding padding);

/// buffer: cpu_conv_filter_bytes(). All references stay valid as long as the layer.
[[nodiscard]] std::unique_ptr<Conv2d> make_cpu_conv2d(const cpu::Kernels& kernels, Precision precision,
                                                      cpu::ThreadPool& pool, WinogradChoices& choices,
                                                      Buffer buffer, const Conv2dDesc& desc);

}  // namespace impasto
