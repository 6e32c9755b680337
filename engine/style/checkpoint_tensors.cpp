#include "engine/style/checkpoint_tensors.h"

#include <span>

#include "engine/core/error.h"

namespace impasto {

Checkpoint::Tensor save_tensor(Backend& backend, const std::string& name, TensorView view) {
  Checkpoint::Tensor tensor{name, view.shape, view.dtype, std::vector<std::byte>(view.bytes())};
  const auto n = static_cast<std::size_t>(view.shape.elements());
  if (view.dtype == DType::kFloat64) {
    backend.download(std::span(reinterpret_cast<double*>(tensor.data.data()), n), view);
  } else {
    backend.download(std::span(reinterpret_cast<float*>(tensor.data.data()), n), view);
  }
  return tensor;
}

void restore_tensor(Backend& backend, const Checkpoint& checkpoint, const std::string& name,
                    TensorView view) {
  for (const Checkpoint::Tensor& tensor : checkpoint.tensors) {
    if (tensor.name != name) continue;
    if (tensor.shape != view.shape || tensor.dtype != view.dtype) {
      throw Error(ErrorCode::kBadInput, "checkpoint: expected '" + name + "' as " + to_string(view.dtype) +
                                            to_string(view.shape) + " for this device and size, found " +
                                            to_string(tensor.dtype) + to_string(tensor.shape));
    }
    if (tensor.data.size() != view.bytes()) {
      throw Error(ErrorCode::kBadInput, "checkpoint: expected '" + name + "' in " +
                                            std::to_string(view.bytes()) + " bytes, found " +
                                            std::to_string(tensor.data.size()));
    }
    const auto n = static_cast<std::size_t>(view.shape.elements());
    if (view.dtype == DType::kFloat64) {
      backend.upload(view, std::span(reinterpret_cast<const double*>(tensor.data.data()), n));
    } else {
      backend.upload(view, std::span(reinterpret_cast<const float*>(tensor.data.data()), n));
    }
    return;
  }
  throw Error(ErrorCode::kBadInput, "checkpoint: expected a tensor '" + name + "', found none");
}

}  // namespace impasto
