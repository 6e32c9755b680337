#include "engine/backend/reference/reference_backend.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "engine/backend/system.h"
#include "engine/core/error.h"
#include "kernels/reference/reference.h"

namespace impasto {
namespace {

constexpr std::size_t kAlignment = 64;

reference::Size size(const Shape& s) { return {s.h, s.w, s.c}; }

/// Calls use(T*) with the element type of a tensor in host memory.
template <class Use>
void with_type(DType dtype, Use use) {
  if (dtype == DType::kFloat64) return use(double{});
  if (dtype == DType::kFloat32) return use(float{});
  if (dtype == DType::kUInt8) return use(std::uint8_t{});
  throw Error(ErrorCode::kInternal,
              std::string("reference: expected float64, float32 or uint8, found ") + to_string(dtype));
}

void convert(void* dst, DType dst_dtype, const void* src, DType src_dtype, std::int64_t n) {
  with_type(dst_dtype, [&](auto to) {
    with_type(src_dtype, [&](auto from) {
      std::transform(static_cast<const decltype(from)*>(src), static_cast<const decltype(from)*>(src) + n,
                     static_cast<decltype(to)*>(dst), [](auto v) { return static_cast<decltype(to)>(v); });
    });
  });
}

class ReferenceConvFilter final : public ConvFilter {
 public:
  ReferenceConvFilter(const std::string& format, Buffer memory, const ConvFilterDesc& desc)
      : ConvFilter(format, desc), memory_(std::move(memory)), bias_(filter() + desc.filter.size()) {
    std::copy(desc.filter.begin(), desc.filter.end(), filter());
    std::copy(desc.bias.begin(), desc.bias.end(), bias_);
  }
  [[nodiscard]] double* filter() const { return static_cast<double*>(memory_.data()); }
  [[nodiscard]] const double* bias() const { return bias_; }

 private:
  Buffer memory_;
  double* bias_;
};

const ReferenceConvFilter& own(const ConvFilter& filter) {
  return static_cast<const ReferenceConvFilter&>(filter);
}

DeviceInfo reference_info() {
  return {"reference", "plain loops in double, one thread", usable_memory_bytes(), {Precision::kFp64}};
}

BackendTraits reference_traits() {
  BackendTraits traits;
  traits.precision = Precision::kFp64;
  traits.numerics = "reference";
  traits.activation = traits.real = DType::kFloat64;
  traits.input_channels = 3;
  traits.alignment = kAlignment;
  traits.filter_format = "reference";
  traits.conv_filter_bytes = [](std::int64_t in, std::int64_t out) {
    return static_cast<std::size_t>(9 * in * out + out) * sizeof(double);
  };
  traits.conv_workspace_bytes = [](const ConvTask&) { return std::size_t{0}; };
  traits.gram_workspace_bytes = [](Shape) { return std::size_t{0}; };
  return traits;
}

class ReferenceBackend final : public Backend {
 public:
  ReferenceBackend() : Backend(reference_info(), reference_traits()) {}

 private:
  void* do_allocate(std::size_t bytes) override {
    return ::operator new (bytes, std::align_val_t{kAlignment}, std::nothrow);
  }
  [[nodiscard]] Buffer::Deleter do_make_deleter() const override {
    return [](void* data) { ::operator delete (data, std::align_val_t{kAlignment}); };
  }

  void do_upload(TensorView dst, const void* src, DType src_dtype) override {
    convert(dst.data, dst.dtype, src, src_dtype, dst.shape.elements());
  }
  void do_download(void* dst, DType dst_dtype, ConstTensorView src) override {
    convert(dst, dst_dtype, src.data, src.dtype, src.shape.elements());
  }
  void do_fill(TensorView dst, double value) override {
    with_type(dst.dtype, [&](auto type) {
      std::fill_n(dst.as<decltype(type)>(), dst.shape.elements(), static_cast<decltype(type)>(value));
    });
  }
  void do_copy(TensorView dst, ConstTensorView src) override {
    if (src.bytes() > 0) std::memcpy(dst.data, src.data, src.bytes());
  }

  std::shared_ptr<const ConvFilter> do_make_conv_filter(const ConvFilterDesc& desc) override {
    return std::make_shared<const ReferenceConvFilter>(
        traits_.filter_format, allocate(traits_.conv_filter_bytes(desc.in_channels, desc.out_channels)),
        desc);
  }
  void do_conv2d_forward(TensorView y, ConstTensorView x, const ConvFilter& filter, Padding padding,
                         Relu relu, Workspace /*workspace*/) override {
    reference::conv2d_forward(y.as<double>(), x.as<double>(), own(filter).filter(), own(filter).bias(),
                              size(x.shape), filter.out_channels(), padding, relu);
  }
  void do_conv2d_backward_data(TensorView dx, ConstTensorView dy, const ConvFilter& filter, Padding padding,
                               Accumulate accumulate, ConstTensorView mask,
                               Workspace /*workspace*/) override {
    reference::conv2d_backward_data(dx.as<double>(), dy.as<double>(), own(filter).filter(), mask.as<double>(),
                                    size(dx.shape), filter.out_channels(), padding, accumulate);
  }
  void do_picture_to_input(TensorView input, ConstTensorView picture) override { do_copy(input, picture); }
  void do_input_to_picture(TensorView dpicture, ConstTensorView dinput, Accumulate accumulate) override {
    if (accumulate == Accumulate::kOverwrite) do_fill(dpicture, 0);
    reference::add_scaled(dpicture.as<double>(), dpicture.as<double>(), 1, dinput.as<double>(),
                          dinput.shape.elements());
  }
  void do_relu_forward(TensorView y, ConstTensorView x) override {
    reference::relu_forward(y.as<double>(), x.as<double>(), x.shape.elements());
  }
  void do_relu_backward(TensorView dx, ConstTensorView dy, ConstTensorView y,
                        Accumulate accumulate) override {
    reference::relu_backward(dx.as<double>(), dy.as<double>(), y.as<double>(), y.shape.elements(),
                             accumulate);
  }
  void do_pool_forward(TensorView y, TensorView codes, ConstTensorView x, Pooling pooling) override {
    if (!y.empty()) reference::pool_forward(y.as<double>(), x.as<double>(), size(x.shape), pooling);
    if (!codes.empty())
      reference::pool_codes(codes.as<std::uint8_t>(), x.as<double>(), size(x.shape), pooling);
  }
  void do_pool_backward(TensorView dx, ConstTensorView dy, ConstTensorView codes, Pooling pooling,
                        Accumulate accumulate, Relu mask) override {
    reference::pool_backward(dx.as<double>(), dy.as<double>(), codes.as<std::uint8_t>(), size(dx.shape),
                             pooling, accumulate, mask);
  }

  void do_gram(TensorView g, ConstTensorView f, double scale, Accumulate accumulate,
               Workspace /*workspace*/) override {
    reference::gram(g.as<double>(), f.as<double>(), f.shape.positions(), f.shape.c, scale, accumulate);
  }
  void do_gram_backward(TensorView df, ConstTensorView f, ConstTensorView dg, double scale,
                        Accumulate accumulate, Relu mask, Workspace /*workspace*/) override {
    reference::gram_backward(df.as<double>(), f.as<double>(), dg.as<double>(), f.shape.positions(), f.shape.c,
                             scale, accumulate, mask);
  }
  void do_gram_loss(TensorView loss, TensorView d, ConstTensorView g, ConstTensorView target,
                    LossScales scales) override {
    reference::gram_loss(loss.as<double>(), d.as<double>(), g.as<double>(), target.as<double>(), g.shape.c,
                         scales);
  }
  void do_squared_error(TensorView loss, TensorView d, ConstTensorView x, ConstTensorView target,
                        LossScales scales, Accumulate accumulate, Relu mask) override {
    reference::squared_error(loss.as<double>(), d.as<double>(), x.as<double>(), target.as<double>(),
                             x.shape.elements(), scales, accumulate, mask);
  }
  void do_total_variation(TensorView loss, TensorView d, ConstTensorView x, TotalVariation kind,
                          double weight) override {
    reference::total_variation(loss.as<double>(), d.as<double>(), x.as<double>(), size(x.shape), kind,
                               weight);
  }

  void do_momentum_step(TensorView x, TensorView v, ConstTensorView g, double learning_rate,
                        double momentum) override {
    reference::momentum_step(x.as<double>(), v.as<double>(), g.as<double>(), g.shape.elements(),
                             learning_rate, momentum);
  }
  void do_adam_step(TensorView x, TensorView m, TensorView v, TensorView step, ConstTensorView g,
                    const AdamParameters& parameters) override {
    reference::adam_step(x.as<double>(), m.as<double>(), v.as<double>(), step.as<double>(), g.as<double>(),
                         g.shape.elements(), parameters);
  }
  void do_clamp(TensorView x, const std::array<double, 3>& lower,
                const std::array<double, 3>& upper) override {
    reference::clamp(x.as<double>(), x.shape.positions(), lower.data(), upper.data());
  }
  void do_average_channels(TensorView x) override {
    reference::average_channels(x.as<double>(), x.shape.positions());
  }
  void do_add_scaled(TensorView out, ConstTensorView a, ConstTensorView scale, ConstTensorView b) override {
    reference::add_scaled(out.as<double>(), a.as<double>(), *scale.as<double>(), b.as<double>(),
                          a.shape.elements());
  }
  void do_dot(TensorView out, ConstTensorView a, ConstTensorView b) override {
    *out.as<double>() = reference::dot(a.as<double>(), b.as<double>(), a.shape.elements());
  }
  void do_halve(TensorView y, ConstTensorView x) override {
    reference::halve(y.as<double>(), x.as<double>(), x.shape.h, x.shape.w, x.shape.c);
  }
  void do_halve_transposed_add(TensorView x, ConstTensorView y, double scale) override {
    reference::halve_transposed_add(x.as<double>(), y.as<double>(), scale, x.shape.h, x.shape.w, x.shape.c);
  }
  void do_lbfgs_push(TensorView history, TensorView g_previous, ConstTensorView state, ConstTensorView d,
                     ConstTensorView g) override {
    reference::lbfgs_push(history.as<double>(), g_previous.as<double>(), state.as<double>(), d.as<double>(),
                          g.as<double>(), history.shape.h / 2, g.shape.elements());
  }
  void do_lbfgs_dots(TensorView dots, ConstTensorView history, ConstTensorView state, ConstTensorView g,
                     LbfgsDots of) override {
    reference::lbfgs_dots(dots.as<double>(), history.as<double>(), state.as<double>(), g.as<double>(),
                          history.shape.h / 2, g.shape.elements(), of);
  }
  void do_lbfgs_direction(TensorView coefficients, TensorView state, ConstTensorView dots,
                          const LbfgsDirectionParameters& parameters) override {
    reference::lbfgs_direction(coefficients.as<double>(), state.as<double>(), dots.as<double>(),
                               coefficients.shape.elements() / 2, parameters);
  }
  void do_lbfgs_pair_dots(TensorView with_previous, ConstTensorView history, ConstTensorView state,
                          ConstTensorView v) override {
    reference::lbfgs_pair_dots(with_previous.as<double>(), history.as<double>(), state.as<double>(),
                               v.as<double>(), history.shape.h / 2, v.shape.elements());
  }
  void do_lbfgs_condition(TensorView dots, TensorView with_previous, ConstTensorView products) override {
    reference::lbfgs_condition(dots.as<double>(), with_previous.as<double>(), products.as<double>(),
                               with_previous.shape.elements() / 2);
  }
  void do_lbfgs_decide(TensorView machine, TensorView state, ConstTensorView sums, LbfgsDecision decision,
                       const LbfgsDecisionParameters& parameters) override {
    impasto::lbfgs_decide(machine.as<double>(), state.as<double>(), sums.as<double>(), decision, parameters);
  }
  void do_descent_decide(TensorView machine, ConstTensorView dots, DescentDecision decision,
                         const DescentDecisionParameters& parameters) override {
    impasto::descent_decide(machine.as<double>(), dots.as<double>(), decision, parameters);
  }
  void do_weighted_sum(TensorView out, ConstTensorView weights, ConstTensorView values) override {
    *out.as<double>() =
        reference::weighted_sum(weights.as<double>(), values.as<double>(), values.shape.elements());
  }
  void do_lincomb(TensorView out, ConstTensorView coefficients, ConstTensorView rows,
                  ConstTensorView g) override {
    reference::lincomb(out.as<double>(), coefficients.as<double>(), rows.as<double>(), g.as<double>(),
                       rows.shape.h, g.shape.elements());
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace impasto
