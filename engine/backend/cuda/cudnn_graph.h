#pragma once
// cuDNN's backend graph API with owners and checks: descriptors, the graphs of one 3x3 convolution, engine
// configurations and what cuDNN says of them. Which of them to use is decided in conv_plans.cpp. Nothing here
// needs a GPU or a handle.
#include <cudnn.h>

#include <bitset>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/ops.h"

namespace impasto::cuda {

/// Error(kInternal) unless it succeeded: "cudnn: expected <what> to succeed, found <status> (<message>)".
/// Call it straight after the call that it judges: cuDNN keeps the message of an older failure otherwise.
void check_cudnn(cudnnStatus_t status, const char* what);

/// One backend descriptor. Attributes are copied by cuDNN as they are set; finalise() ends the setting.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);
  [[nodiscard]] cudnnBackendDescriptor_t get() const { return handle_.get(); }
  /// Gives the descriptor away; it is destroyed with the last copy.
  [[nodiscard]] std::shared_ptr<void> release() && { return std::move(handle_); }

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
           const void* values);
  void set(cudnnBackendAttributeName_t name, std::int64_t value) { set(name, CUDNN_TYPE_INT64, 1, &value); }
  void set(cudnnBackendAttributeName_t name, float value) { set(name, CUDNN_TYPE_FLOAT, 1, &value); }
  void set(cudnnBackendAttributeName_t name, bool value) { set(name, CUDNN_TYPE_BOOLEAN, 1, &value); }
  void set(cudnnBackendAttributeName_t name, cudnnDataType_t value) {
    set(name, CUDNN_TYPE_DATA_TYPE, 1, &value);
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& value);
  void set(cudnnBackendAttributeName_t name, std::span<const std::int64_t> values) {
    set(name, CUDNN_TYPE_INT64, static_cast<std::int64_t>(values.size()), values.data());
  }
  void finalise();
  /// False if cuDNN refuses: where "not supported" is an answer and not a defect.
  [[nodiscard]] bool try_finalise();

  /// How many elements the attribute has. cuDNN knows it
  /// for the results of a heuristic, not for knob choices.
  [[nodiscard]] std::int64_t count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const;
  /// Copies at most `room` elements, returns how many.
  std::int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t room,
                   void* values) const;
  [[nodiscard]] std::int64_t get_int64(cudnnBackendAttributeName_t name) const;
  /// An attribute that consists of descriptors of this type, at most `room`.
  [[nodiscard]] std::vector<Descriptor> get_descriptors(cudnnBackendAttributeName_t name,
                                                        cudnnBackendDescriptorType_t type,
                                                        std::int64_t room) const;

 private:
  struct Destroy {
    void operator()(void* descriptor) const { cudnnBackendDestroyDescriptor(descriptor); }
  };
  std::unique_ptr<void, Destroy> handle_;
};

/// Names of the tensors in a variant pack.
enum TensorId : std::int64_t { kX = 1, kFilter, kY, kBias };

/// A 3x3 convolution of stride 1 in NHWC with n = 1: x (h,w,in), filter (out,3,3,in), bias (out), y
/// (h',w',out), all of type `io`; arithmetic, sums and what lies between the fused steps are float.
struct ConvGeometry {
  std::int64_t h = 0, w = 0, in_channels = 0, out_channels = 0;
  Padding padding;
  cudnnDataType_t io = CUDNN_DATA_FLOAT;
  std::int64_t x_alignment = 16, y_alignment = 16;  ///< bytes, of the tensors' first elements
  [[nodiscard]] std::int64_t out_h() const { return h + padding.top + padding.bottom - 2; }
  [[nodiscard]] std::int64_t out_w() const { return w + padding.left + padding.right - 2; }
};

/// y = act(conv(x) + bias).
[[nodiscard]] Descriptor forward_graph(const ConvGeometry& geometry, Relu relu);
/// x = (beta * x +) the data gradient of y.
[[nodiscard]] Descriptor backward_data_graph(const ConvGeometry& geometry, Accumulate accumulate);

/// The GPU that plans are made for: one of this machine, or one described by cuDNN's own JSON text.
[[nodiscard]] Descriptor device_properties(int device);
[[nodiscard]] Descriptor device_properties(const std::string& json);

/// What cuDNN's heuristic proposes, best first. Empty if it has nothing for this graph.
[[nodiscard]] std::vector<Descriptor> engine_configs(const Descriptor& graph, cudnnBackendHeurMode_t mode,
                                                     const Descriptor& device);

/// What cuDNN says of a configuration's engine.
struct EngineNotes {
  std::bitset<CUDNN_NUMERICAL_NOTE_TYPE_COUNT> numerical;  ///< by cudnnBackendNumericalNote_t
  std::bitset<CUDNN_BEHAVIOR_NOTE_TYPE_COUNT> behaviour;   ///< by cudnnBackendBehaviorNote_t
};
/// Of notes by number; what a newer cuDNN has beyond those that this was compiled with is left out.
[[nodiscard]] EngineNotes known_notes(std::span<const std::int32_t> numerical,
                                      std::span<const std::int32_t> behaviour);
[[nodiscard]] EngineNotes engine_notes(const Descriptor& config);
/// "9.19.0"
[[nodiscard]] std::string cudnn_version_text(std::size_t version);
/// Why a cuDNN of this version (cudnnGetVersion) cannot be used; empty if it can.
[[nodiscard]] std::string why_unfit_cudnn(std::size_t version);
/// "eng41 k2=3 k13=1": global index of the engine, then its
/// knobs by number. The same choice has the same text.
[[nodiscard]] std::string engine_text(const Descriptor& config);

}  // namespace impasto::cuda
