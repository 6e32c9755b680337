#include "engine/backend/cuda/conv_plans.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

#include "engine/backend/cuda/cudnn_graph.h"
#include "engine/core/error.h"

namespace impasto::cuda {
namespace {

std::int64_t element_bytes(Precision precision) {
  return precision == Precision::kBf16 || precision == Precision::kFp16 ? 2 : 4;
}

cudnnDataType_t io_type(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
    case Precision::kTf32: return CUDNN_DATA_FLOAT;
    case Precision::kBf16: return CUDNN_DATA_BFLOAT16;
    case Precision::kFp16: return CUDNN_DATA_HALF;
    case Precision::kAuto:
    case Precision::kExact:
    case Precision::kFp64: break;
  }
  throw Error(
      ErrorCode::kInternal,
      std::string("cudnn: expected precision fp32, tf32, bf16 or fp16, found ") + to_string(precision));
}

ConvGeometry geometry_of(const ConvKey& key) {
  ConvGeometry g{.h = key.h,
                 .w = key.w,
                 .in_channels = key.in_channels,
                 .out_channels = key.out_channels,
                 .padding = key.padding,
                 .io = io_type(key.precision),
                 .x_alignment = alignment_of(key.in_channels, key.precision),
                 .y_alignment = alignment_of(key.out_channels, key.precision)};
  if (g.h < 1 || g.w < 1 || g.in_channels < 1 || g.out_channels < 1 || g.out_h() < 1 || g.out_w() < 1) {
    throw Error(ErrorCode::kInternal,
                "cudnn: expected at least one element in input and output, found " + to_string(key));
  }
  // cuDNN's fast engines index with 32 bits; what remains beyond is too slow or too hungry to be of use.
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto check_size = [&](const char* what, std::int64_t h, std::int64_t w, std::int64_t c) {
    if (h <= kMost / w && h * w <= kMost / c) return;
    throw Error(ErrorCode::kResources, "cudnn: expected at most " + std::to_string(kMost) +
                                           " elements in the " + what + " of " + to_string(key) + ", found " +
                                           std::to_string(h) + "x" + std::to_string(w) + "x" +
                                           std::to_string(c));
  };
  check_size("input", g.h, g.w, g.in_channels);
  check_size("output", g.out_h(), g.out_w(), g.out_channels);
  return g;
}

Descriptor graph_of(const ConvKey& key) {
  const ConvGeometry geometry = geometry_of(key);
  switch (key.op) {
    case ConvOp::kForwardRelu: return forward_graph(geometry, Relu::kYes);
    case ConvOp::kForward: return forward_graph(geometry, Relu::kNo);
    case ConvOp::kBackwardData: return backward_data_graph(geometry, Accumulate::kOverwrite);
    case ConvOp::kBackwardDataAdd: break;
  }
  return backward_data_graph(geometry, Accumulate::kAdd);
}

/// 16-bit engines: far above what the fastest ones want (kilobytes to a few megabytes), far below the
/// gigabytes that some ask for. The fastest 32-bit engines of most GPUs copy input and output to another
/// layout: room for that and some more, within a share of the GPU's memory.
std::size_t workspace_cap(const ConvKey& key, std::size_t memory_bytes) {
  if (element_bytes(key.precision) == 2) return std::size_t{1} << 26;
  const ConvGeometry g = geometry_of(key);
  const std::int64_t copies = 4 * (g.h * g.w * g.in_channels + g.out_h() * g.out_w() * g.out_channels);
  return std::max(std::size_t{1} << 28,
                  std::min(static_cast<std::size_t>(copies / 4 * 5), memory_bytes / 16));
}

/// Why an engine may not be used; nullptr if it may.
const char* refusal(const EngineNotes& notes, Precision precision) {
  // Compiling needs NVRTC and seconds a plan, and the same engines exist compiled.
  if (notes.behaviour[CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION]) return "compiled at run time";
  if (notes.numerical[CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC]) return "not deterministic";
  if (notes.numerical[CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS]) return "rounds its inputs";
  if (notes.numerical[CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION]) return "sums in reduced precision";
  if (precision == Precision::kFp32) {
    if (notes.numerical[CUDNN_NUMERICAL_NOTE_TENSOR_CORE]) return "on tensor cores";
    if (notes.numerical[CUDNN_NUMERICAL_NOTE_FFT]) return "by FFT";
    if (notes.numerical[CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13]) return "by Winograd 13x13";
  }
  return nullptr;
}

}  // namespace

std::string to_string(const ConvKey& key) {
  static constexpr std::array<const char*, 4> kOps{"forward_relu", "forward", "backward", "backward_add"};
  const auto number = [](auto value) { return std::to_string(value); };
  return std::string(kOps.at(static_cast<std::size_t>(key.op))) + " " + to_string(key.precision) + " " +
         number(key.h) + "x" + number(key.w) + " " + number(key.in_channels) + "-" +
         number(key.out_channels) + " pad " + number(key.padding.top) + number(key.padding.bottom) +
         number(key.padding.left) + number(key.padding.right);
}

std::int64_t alignment_of(std::int64_t channels, Precision precision) {
  const std::int64_t row = channels * element_bytes(precision);
  return std::min<std::int64_t>(row & -row, 16);
}

struct ConvPlanner::Impl {
  Impl(Descriptor properties, std::size_t memory) : device(std::move(properties)), memory_bytes(memory) {}

  /// Builds candidates in order and hands them to `take` until it returns false. Returns what was refused,
  /// for a message.
  template <class Take>
  std::string enumerate(const ConvKey& key, const Take& take) const {
    const Descriptor graph = graph_of(key);
    const std::size_t cap = workspace_cap(key, memory_bytes);
    std::set<std::string> seen;  // the fallback repeats engines of mode A
    std::map<std::string, int> refused;
    const auto told = [&] {
      std::string text;
      for (const auto& [why, count] : refused) {
        text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + why;
      }
      return text.empty() ? std::string("none") : "only unfit ones: " + text;
    };
    for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
      for (const Descriptor& config : engine_configs(graph, mode, device)) {
        const EngineNotes notes = engine_notes(config);
        if (const char* why = refusal(notes, key.precision)) {
          ++refused[why];
          continue;
        }
        Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
        plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device);
        if (!plan.try_finalise()) {
          ++refused["that could not be built"];
          continue;
        }
        const auto workspace =
            static_cast<std::size_t>(plan.get_int64(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
        if (workspace > cap) {
          ++refused["above the workspace cap"];
          continue;
        }
        std::string engine = engine_text(config);
        if (!seen.insert(engine).second) continue;
        const bool more = take(ConvPlan{.plan = std::move(plan).release(),
                                        .workspace_bytes = workspace,
                                        .tensor_cores = notes.numerical[CUDNN_NUMERICAL_NOTE_TENSOR_CORE],
                                        .engine = std::move(engine)});
        if (!more) return told();
      }
    }
    return told();
  }

  const ConvPlan& keep(const ConvKey& key, ConvPlan plan) {
    std::string engine = plan.engine;
    return built.try_emplace({key, std::move(engine)}, std::move(plan)).first->second;
  }

  const Descriptor device;
  const std::size_t memory_bytes;
  std::map<std::pair<ConvKey, std::string>, ConvPlan> built;  // only grows: references are given out
  std::map<ConvKey, const ConvPlan*> first;
};

ConvPlanner::ConvPlanner(int device, std::size_t memory_bytes, const std::string& device_json)
    : impl_(std::make_unique<Impl>(
          device_json.empty() ? device_properties(device) : device_properties(device_json), memory_bytes)) {}
ConvPlanner::~ConvPlanner() = default;

std::vector<ConvPlan> ConvPlanner::candidates(const ConvKey& key, int most) {
  std::vector<ConvPlan> found;
  if (most < 1) return found;
  impl_->enumerate(key, [&](ConvPlan plan) {
    found.push_back(std::move(plan));
    return static_cast<int>(found.size()) < most;
  });
  return found;
}

const ConvPlan& ConvPlanner::plan(const ConvKey& key) {
  if (const auto known = impl_->first.find(key); known != impl_->first.end()) return *known->second;
  const ConvPlan* first = nullptr;
  const std::string refused = impl_->enumerate(key, [&](ConvPlan plan) {
    first = &impl_->keep(key, std::move(plan));
    return false;
  });
  if (first == nullptr) {
    throw Error(ErrorCode::kResources,
                "cudnn: expected an engine for " + to_string(key) + " on this GPU, found " + refused);
  }
  impl_->first[key] = first;
  return *first;
}

const ConvPlan* ConvPlanner::find(const ConvKey& key, const std::string& engine) {
  if (const auto known = impl_->built.find({key, engine}); known != impl_->built.end()) return &known->second;
  const ConvPlan* found = nullptr;
  impl_->enumerate(key, [&](ConvPlan plan) {
    if (plan.engine == engine) found = &impl_->keep(key, std::move(plan));
    return found == nullptr;
  });
  return found;
}

void run_conv(cudnnHandle_t handle, const ConvPlan& plan, ConvOp op, void* x, const void* filter, void* y,
              const void* bias, void* workspace) {
  const std::array<std::int64_t, 4> ids{kX, kFilter, kY, kBias};
  // cuDNN takes one list of pointers without const; filter and bias are only read.
  const std::array<void*, 4> pointers{x, const_cast<void*>(filter), y, const_cast<void*>(bias)};
  const std::int64_t count = is_forward(op) ? 4 : 3;
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers.data());
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  pack.finalise();
  check_cudnn(cudnnBackendExecute(handle, plan.plan.get(), pack.get()), "a convolution");
}

}  // namespace impasto::cuda
