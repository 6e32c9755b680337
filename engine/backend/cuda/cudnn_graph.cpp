#include "engine/backend/cuda/cudnn_graph.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/core/error.h"

namespace impasto::cuda {
namespace {

/// A tensor that lies in memory (alignment in bytes) or only between two steps of a graph (alignment 0).
Descriptor tensor(std::int64_t id, const std::array<std::int64_t, 4>& nchw, cudnnDataType_t type,
                  std::int64_t alignment) {
  const auto [n, c, h, w] = nchw;
  const std::array<std::int64_t, 4> strides{h * w * c, 1, w * c, c};
  Descriptor descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
  descriptor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, nchw);
  descriptor.set(CUDNN_ATTR_TENSOR_STRIDES, strides);
  descriptor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
  descriptor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment > 0 ? alignment : std::int64_t{16});
  descriptor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, alignment == 0);
  descriptor.finalise();
  return descriptor;
}
Descriptor x_tensor(const ConvGeometry& g) {
  return tensor(kX, {1, g.in_channels, g.h, g.w}, g.io, g.x_alignment);
}
Descriptor y_tensor(const ConvGeometry& g) {
  return tensor(kY, {1, g.out_channels, g.out_h(), g.out_w()}, g.io, g.y_alignment);
}
/// Filter and bias have allocations of their own, so any alignment that an engine can ask for holds.
Descriptor filter_tensor(const ConvGeometry& g) {
  return tensor(kFilter, {g.out_channels, g.in_channels, 3, 3}, g.io, 16);
}
Descriptor bias_tensor(const ConvGeometry& g) { return tensor(kBias, {1, g.out_channels, 1, 1}, g.io, 16); }
Descriptor intermediate(const ConvGeometry& g, std::int64_t id) {
  return tensor(id, {1, g.out_channels, g.out_h(), g.out_w()}, CUDNN_DATA_FLOAT, 0);
}

Descriptor convolution(const Padding& padding) {
  const std::array<std::int64_t, 2> before{padding.top, padding.left}, after{padding.bottom, padding.right},
      ones{1, 1};
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  Descriptor descriptor(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2});
  descriptor.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, before);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, after);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, ones);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, ones);
  descriptor.finalise();
  return descriptor;
}

/// y = mode(x) or, with b, mode(x, b).
Descriptor pointwise(cudnnPointwiseMode_t mode, const Descriptor& x, const Descriptor* b,
                     const Descriptor& y) {
  Descriptor what(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  what.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
  what.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  what.finalise();
  Descriptor operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, what);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
  if (b != nullptr) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b);
  operation.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  operation.finalise();
  return operation;
}

Descriptor graph_of(std::span<const Descriptor> operations) {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const Descriptor& operation : operations) raw.push_back(operation.get());
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
            static_cast<std::int64_t>(raw.size()), raw.data());
  graph.finalise();
  return graph;
}

Descriptor engine_of(const Descriptor& config) {
  return std::move(
      config.get_descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1).at(0));
}

}  // namespace

void check_cudnn(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 1024> message{};
  cudnnGetLastErrorString(message.data(), message.size());
  throw Error(ErrorCode::kInternal, std::string("cudnn: expected ") + what + " to succeed, found " +
                                        cudnnGetErrorString(status) + " (" + message.data() + ")");
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  cudnnBackendDescriptor_t descriptor = nullptr;
  check_cudnn(cudnnBackendCreateDescriptor(type, &descriptor), "cudnnBackendCreateDescriptor");
  handle_.reset(descriptor);
}

void Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                     const void* values) {
  check_cudnn(cudnnBackendSetAttribute(get(), name, type, count, values), "cudnnBackendSetAttribute");
}

void Descriptor::set(cudnnBackendAttributeName_t name, const Descriptor& value) {
  cudnnBackendDescriptor_t raw = value.get();
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
}

void Descriptor::finalise() { check_cudnn(cudnnBackendFinalize(get()), "cudnnBackendFinalize"); }

bool Descriptor::try_finalise() { return cudnnBackendFinalize(get()) == CUDNN_STATUS_SUCCESS; }

std::int64_t Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                             std::int64_t room, void* values) const {
  std::int64_t count = 0;
  check_cudnn(cudnnBackendGetAttribute(get(), name, type, room, &count, values), "cudnnBackendGetAttribute");
  return room > 0 ? std::min(count, room) : count;
}

std::int64_t Descriptor::count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type) const {
  return get(name, type, 0, nullptr);
}

std::int64_t Descriptor::get_int64(cudnnBackendAttributeName_t name) const {
  std::int64_t value = 0;
  get(name, CUDNN_TYPE_INT64, 1, &value);
  return value;
}

std::vector<Descriptor> Descriptor::get_descriptors(cudnnBackendAttributeName_t name,
                                                    cudnnBackendDescriptorType_t type,
                                                    std::int64_t room) const {
  // cuDNN fills descriptors that the caller has made.
  std::vector<Descriptor> descriptors;
  if (room < 1) return descriptors;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < room; ++i) raw.push_back(descriptors.emplace_back(type).get());
  const std::int64_t filled = get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, room, raw.data());
  descriptors.erase(descriptors.begin() + filled, descriptors.end());
  return descriptors;
}

Descriptor forward_graph(const ConvGeometry& geometry, Relu relu) {
  constexpr std::int64_t kConvolved = 10, kBiased = 11;  // ids of what is never stored
  const Descriptor what = convolution(geometry.padding);
  const Descriptor x = x_tensor(geometry), filter = filter_tensor(geometry), bias = bias_tensor(geometry);
  const Descriptor y = y_tensor(geometry);
  const Descriptor convolved = intermediate(geometry, kConvolved), biased = intermediate(geometry, kBiased);

  Descriptor conv(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, what);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, filter);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, convolved);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0F);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0F);
  conv.finalise();

  std::vector<Descriptor> operations;
  operations.push_back(std::move(conv));
  if (relu == Relu::kYes) {
    operations.push_back(pointwise(CUDNN_POINTWISE_ADD, convolved, &bias, biased));
    operations.push_back(pointwise(CUDNN_POINTWISE_RELU_FWD, biased, nullptr, y));
  } else {
    operations.push_back(pointwise(CUDNN_POINTWISE_ADD, convolved, &bias, y));
  }
  return graph_of(operations);
}

Descriptor backward_data_graph(const ConvGeometry& geometry, Accumulate accumulate) {
  const Descriptor what = convolution(geometry.padding);
  const Descriptor dx = x_tensor(geometry), filter = filter_tensor(geometry), dy = y_tensor(geometry);
  std::vector<Descriptor> operations;
  Descriptor& conv = operations.emplace_back(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, what);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, filter);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, dx);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, dy);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, 1.0F);
  conv.set(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, accumulate == Accumulate::kAdd ? 1.0F : 0.0F);
  conv.finalise();
  return graph_of(operations);
}

Descriptor device_properties(int device) {
  const std::int32_t id = device;
  Descriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  properties.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &id);
  properties.finalise();
  return properties;
}

Descriptor device_properties(const std::string& json) {
  Descriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  properties.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                 static_cast<std::int64_t>(json.size()), json.data());
  properties.finalise();
  return properties;
}

std::vector<Descriptor> engine_configs(const Descriptor& graph, cudnnBackendHeurMode_t mode,
                                       const Descriptor& device) {
  Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device);
  if (!heuristic.try_finalise()) return {};
  return heuristic.get_descriptors(
      CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
      heuristic.count(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR));
}

EngineNotes known_notes(std::span<const std::int32_t> numerical, std::span<const std::int32_t> behaviour) {
  EngineNotes notes;
  const auto set = [](auto& bits, std::int32_t note) {
    if (note >= 0 && static_cast<std::size_t>(note) < bits.size()) bits.set(static_cast<std::size_t>(note));
  };
  for (const std::int32_t note : numerical) set(notes.numerical, note);
  for (const std::int32_t note : behaviour) set(notes.behaviour, note);
  return notes;
}

EngineNotes engine_notes(const Descriptor& config) {
  static_assert(sizeof(cudnnBackendNumericalNote_t) == sizeof(std::int32_t) &&
                sizeof(cudnnBackendBehaviorNote_t) == sizeof(std::int32_t));
  const Descriptor engine = engine_of(config);
  std::array<std::int32_t, 64> numerical{}, behaviour{};  // room for those of newer versions
  const auto read = [&](cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, auto& notes) {
    const std::int64_t count = engine.get(name, type, static_cast<std::int64_t>(notes.size()), notes.data());
    return std::span<const std::int32_t>(notes).first(static_cast<std::size_t>(count));
  };
  return known_notes(read(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, numerical),
                     read(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, behaviour));
}

std::string why_unfit_cudnn(std::size_t version) {
  // Plans from a GPU's description are of 9.8; nothing newer is asked for, whatever this was compiled with.
  // Another major version has other enumerations.
  constexpr std::size_t kLeast = 90800, kMajor = 10000;
  if (version >= kLeast && version / kMajor == kLeast / kMajor) return {};
  return "cuDNN: expected version 9.8 or a newer 9, found " + cudnn_version_text(version) +
         "; install one, or put its folder into LD_LIBRARY_PATH";
}

std::string cudnn_version_text(std::size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version % 10000 / 100) + "." +
         std::to_string(version % 100);
}

std::string engine_text(const Descriptor& config) {
  std::string text = "eng" + std::to_string(engine_of(config).get_int64(CUDNN_ATTR_ENGINE_GLOBAL_INDEX));
  std::vector<std::pair<std::int64_t, std::int64_t>> knobs;
  for (const Descriptor& choice : config.get_descriptors(
           CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS)) {
    cudnnBackendKnobType_t type{};
    choice.get(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
    knobs.emplace_back(type, choice.get_int64(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
  }
  std::ranges::sort(knobs);
  for (const auto& [type, value] : knobs) text += " k" + std::to_string(type) + "=" + std::to_string(value);
  return text;
}

}  // namespace impasto::cuda
