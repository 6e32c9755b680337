#include "engine/style/checkpoint_device.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <span>
#include <system_error>

#include "engine/core/message.h"
#include "engine/core/safetensors.h"
#include "engine/style/plan_record.h"

namespace impasto {
namespace {

/// What the device chose; empty where there is none.
std::string recorded_choice(const Checkpoint& checkpoint, const char* name) {
  const auto found = checkpoint.device.find(name);
  return found == checkpoint.device.end() ? "" : found->second;
}

}  // namespace

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
      throw make_error(ErrorCode::kBadInput,
                       "checkpoint: expected '{}' as {}{} for this device and size, found {}{}", name,
                       to_string(view.dtype), to_string(view.shape), to_string(tensor.dtype),
                       to_string(tensor.shape));
    }
    if (tensor.data.size() != view.bytes()) {
      throw make_error(ErrorCode::kBadInput, "checkpoint: expected '{}' in {} bytes, found {}", name,
                       view.bytes(), tensor.data.size());
    }
    const auto n = static_cast<std::size_t>(view.shape.elements());
    const auto upload = [&](const auto* data) {
      const std::span values(data, n);
      const bool finite = std::all_of(values.begin(), values.end(), [](auto v) { return std::isfinite(v); });
      const bool scalars = view.shape.h == 1 && view.shape.w == 1;  // their optimisers check them
      if (!finite && !scalars) {
        throw make_error(ErrorCode::kBadInput, "checkpoint: expected finite numbers in '{}', found others",
                         name);
      }
      backend.upload(view, values);
    };
    if (view.dtype == DType::kFloat64) {
      upload(reinterpret_cast<const double*>(tensor.data.data()));
    } else {
      upload(reinterpret_cast<const float*>(tensor.data.data()));
    }
    return;
  }
  throw make_error(ErrorCode::kBadInput, "checkpoint: expected a tensor '{}', found none", name);
}

std::string maker(const Backend& backend) {
  const BackendTraits& traits = backend.traits();
  return fmt::format("impasto {}, {}, {}", IMPASTO_VERSION, traits.numerics, to_string(traits.precision));
}

std::optional<std::string> other_maker(const Backend& backend, const Checkpoint& checkpoint) {
  const std::string recorded = recorded_choice(checkpoint, "maker");
  if (recorded == maker(backend)) return {};
  return recorded.empty() ? "an earlier version" : recorded.substr(0, recorded.find('\n'));
}

std::string recorded_tuning(Backend& backend, const Checkpoint* checkpoint) {
  std::string choices = checkpoint == nullptr ? "" : recorded_choice(*checkpoint, "tuning");
  if (choices.empty() || backend.tuning() != nullptr) return choices;
  throw make_error(ErrorCode::kBadInput,
                   "checkpoint: expected one of device {}, found the choices of another device",
                   backend.info().name);
}

std::vector<ScaleWays> recorded_plan(const Checkpoint& checkpoint) {
  const std::string text = recorded_choice(checkpoint, "plan");
  return text.empty() ? std::vector<ScaleWays>{} : parse_plan(text);
}

std::optional<double> recorded_gradient_scale(const Checkpoint& checkpoint, bool wanted) {
  const std::string text = recorded_choice(checkpoint, "gradient_scale");
  if (text.empty() && !wanted) return {};
  double scale = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), scale);
  constexpr int kMostExponent = 128;  // next_gradient_scale ends before
  int exponent = 0;
  if (error != std::errc() || end != text.data() + text.size() || std::frexp(scale, &exponent) != 0.5 ||
      std::abs(exponent) > kMostExponent) {
    throw make_error(ErrorCode::kBadInput,
                     "checkpoint: expected a power of two as the gradients' scale, found {}",
                     text.empty() ? "none" : safetensors::in_quotes(text));
  }
  return scale;
}

}  // namespace impasto
