// The public side of the seam: every argument is checked here, once for all devices.
#include "engine/backend/backend.h"

#include <algorithm>

#include "engine/backend/check.h"
#include "engine/core/error.h"

namespace impasto {
namespace {

Shape padded_output(const Check& check, const ConvTask& task) {
  const Padding& padding = task.padding;
  for (const int edge : {padding.top, padding.bottom, padding.left, padding.right}) {
    check.require(edge == 0 || edge == 1, "padding", "0 or 1 at each edge", std::to_string(edge));
  }
  const Shape output = task.output();
  check.require(output.h >= 1 && output.w >= 1, "padding", "an output of at least one pixel",
                to_string(output));
  return output;
}

Shape pooled(const Shape& x) { return {x.h / 2, x.w / 2, x.c}; }

std::int64_t num_slots(const Check& check, const char* name, std::int64_t rows) {
  check.require(rows >= 4 && rows % 2 == 0, name, "2 * slots rows, slots at least 2", std::to_string(rows));
  return rows / 2;
}

}  // namespace

TensorView Buffer::view(std::size_t offset, Shape shape, DType dtype) const {
  const TensorView view{static_cast<std::byte*>(data()) + offset, shape, dtype};
  if (shape.h < 0 || shape.w < 0 || shape.c < 0 || offset > bytes_ || view.bytes() > bytes_ - offset ||
      offset % size_of(dtype) != 0) {
    throw Error(ErrorCode::kInternal,
                "buffer: expected " + describe(shape, dtype) + " at byte " + std::to_string(offset) +
                    " to fit and be aligned, found a buffer of " + std::to_string(bytes_) + " bytes");
  }
  return view;
}

// --- Backend: memory

Backend::Backend(DeviceInfo info, BackendTraits traits)
    : info_(std::move(info)), traits_(std::move(traits)) {}

Buffer Backend::allocate(std::size_t bytes) {
  if (bytes == 0) return {};
  void* data = do_allocate(bytes);
  if (data == nullptr) {
    throw Error(ErrorCode::kResources, "memory of " + info_.name + ": expected " + std::to_string(bytes) +
                                           " bytes more, found not enough with " +
                                           std::to_string(counts_->bytes.load()) + " bytes in use");
  }
  const std::size_t now = counts_->bytes += bytes;
  counts_->peak = std::max(counts_->peak, now);
  ++counts_->allocations;
  return {data, bytes, [bytes, release = do_make_deleter(), counts = counts_](void* memory) {
            counts->bytes -= bytes;
            release(memory);
          }};
}

void Backend::upload(TensorView dst, std::span<const float> src) {
  Check check("upload");
  check.elements("dst", dst, dst.dtype, static_cast<std::int64_t>(src.size()), true);
  do_upload(dst, src.data(), DType::kFloat32);
}

void Backend::upload(TensorView dst, std::span<const double> src) {
  Check check("upload");
  check.elements("dst", dst, dst.dtype, static_cast<std::int64_t>(src.size()), true);
  do_upload(dst, src.data(), DType::kFloat64);
}

void Backend::download(std::span<float> dst, ConstTensorView src) {
  Check check("download");
  check.elements("src", src, src.dtype, static_cast<std::int64_t>(dst.size()), false);
  do_download(dst.data(), DType::kFloat32, src);
}

void Backend::download(std::span<double> dst, ConstTensorView src) {
  Check check("download");
  check.elements("src", src, src.dtype, static_cast<std::int64_t>(dst.size()), false);
  do_download(dst.data(), DType::kFloat64, src);
}

void Backend::fill(TensorView dst, double value) {
  Check check("fill");
  check.output("dst", dst, dst.dtype, dst.shape);
  do_fill(dst, value);
}

void Backend::copy(TensorView dst, ConstTensorView src) {
  Check check("copy");
  check.output("dst", dst, src.dtype, src.shape);
  check.input("src", src, src.dtype, src.shape);
  do_copy(dst, src);
}

namespace {

/// Of a device whose work is done when the call returns.
class HostReadback final : public Readback {
 public:
  HostReadback(Backend& backend, std::int64_t count)
      : backend_(backend), values_(static_cast<std::size_t>(count)) {}
  void start(ConstTensorView source) override { backend_.download(std::span<double>(values_), source); }
  [[nodiscard]] std::span<const double> wait() override { return values_; }

 private:
  Backend& backend_;
  std::vector<double> values_;
};

}  // namespace

std::unique_ptr<Readback> Backend::do_make_readback(std::int64_t count) {
  return std::make_unique<HostReadback>(*this, count);
}

void Backend::do_repeat(std::unique_ptr<Recording>& /*recording*/, const std::function<void()>& work) {
  work();
}

void Backend::do_when(ConstTensorView flag, const std::function<void()>& work) {
  double number = 0;
  download(std::span<double>(&number, 1), flag);
  if (number != 0) work();
}

// --- Backend: network

std::shared_ptr<const ConvFilter> Backend::make_conv_filter(const ConvFilterDesc& desc) {
  const Check check("make_conv_filter");
  check.require(desc.in_channels >= 1 && desc.out_channels >= 1, "channels", "at least 1 in and 1 out",
                std::to_string(desc.in_channels) + " and " + std::to_string(desc.out_channels));
  const auto num_filter = static_cast<std::size_t>(9 * desc.in_channels * desc.out_channels);
  check.require(desc.filter.size() == num_filter, "filter", std::to_string(num_filter) + " values",
                std::to_string(desc.filter.size()));
  check.require(desc.bias.size() == static_cast<std::size_t>(desc.out_channels), "bias",
                std::to_string(desc.out_channels) + " values", std::to_string(desc.bias.size()));
  return do_make_conv_filter(desc);
}

void Backend::conv2d_forward(TensorView y, ConstTensorView x, const ConvFilter& filter, Padding padding,
                             Relu relu, Workspace workspace) {
  Check check("conv2d_forward");
  check.filter(filter, traits_.filter_format);
  const Shape input{x.shape.h, x.shape.w, filter.in_channels()};
  const ConvTask task{conv_op(relu), input, filter.out_channels(), padding};
  check.output("y", y, traits_.activation, padded_output(check, task));
  check.input("x", x, traits_.activation, input);
  check.workspace(workspace, traits_.conv_workspace_bytes(task));
  do_conv2d_forward(y, x, filter, padding, relu, workspace);
}

void Backend::conv2d_backward_data(TensorView dx, ConstTensorView dy, const ConvFilter& filter,
                                   Padding padding, Accumulate accumulate, ConstTensorView mask,
                                   Workspace workspace) {
  Check check("conv2d_backward_data");
  check.filter(filter, traits_.filter_format);
  const Shape input{dx.shape.h, dx.shape.w, filter.in_channels()};
  const ConvTask task{conv_op(accumulate), input, filter.out_channels(), padding};
  check.output("dx", dx, traits_.activation, input);
  check.input("dy", dy, traits_.activation, padded_output(check, task));
  if (!mask.empty()) check.input("mask", mask, traits_.activation, input);
  check.workspace(workspace, traits_.conv_workspace_bytes(task));
  do_conv2d_backward_data(dx, dy, filter, padding, accumulate, mask, workspace);
}

void Backend::picture_to_input(TensorView input, ConstTensorView picture) {
  Check check("picture_to_input");
  const Shape& s = picture.shape;
  check.output("input", input, traits_.activation, {s.h, s.w, traits_.input_channels});
  check.input("picture", picture, traits_.real, {s.h, s.w, 3});
  do_picture_to_input(input, picture);
}

void Backend::input_to_picture(TensorView dpicture, ConstTensorView dinput, Accumulate accumulate) {
  Check check("input_to_picture");
  const Shape& s = dinput.shape;
  check.output("dpicture", dpicture, traits_.real, {s.h, s.w, 3});
  check.input("dinput", dinput, traits_.activation, {s.h, s.w, traits_.input_channels});
  do_input_to_picture(dpicture, dinput, accumulate);
}

void Backend::relu_forward(TensorView y, ConstTensorView x) {
  Check check("relu_forward");
  check.output("y", y, traits_.activation, x.shape);
  check.input("x", x, traits_.activation, x.shape, "y");
  do_relu_forward(y, x);
}

void Backend::relu_backward(TensorView dx, ConstTensorView dy, ConstTensorView y, Accumulate accumulate) {
  Check check("relu_backward");
  check.output("dx", dx, traits_.activation, y.shape);
  check.input("dy", dy, traits_.activation, y.shape, accumulate == Accumulate::kOverwrite ? "dx" : nullptr);
  check.input("y", y, traits_.activation, y.shape);
  do_relu_backward(dx, dy, y, accumulate);
}

void Backend::pool_forward(TensorView y, TensorView codes, ConstTensorView x, Pooling pooling) {
  Check check("pool_forward");
  if (!y.empty()) check.output("y", y, traits_.activation, pooled(x.shape));
  if (!codes.empty()) check.output("codes", codes, DType::kUInt8, halved(x.shape));
  check.input("x", x, traits_.activation, x.shape);
  do_pool_forward(y, codes, x, pooling);
}

void Backend::pool_backward(TensorView dx, ConstTensorView dy, ConstTensorView codes, Pooling pooling,
                            Accumulate accumulate, Relu mask) {
  Check check("pool_backward");
  check.output("dx", dx, traits_.activation, dx.shape);
  check.input("dy", dy, traits_.activation, pooled(dx.shape));
  const bool needed = pooling == Pooling::kMax || mask == Relu::kYes;
  if (needed || !codes.empty()) check.input("codes", codes, DType::kUInt8, halved(dx.shape));
  do_pool_backward(dx, dy, codes, pooling, accumulate, mask);
}

// --- Backend: losses

void Backend::gram(TensorView g, ConstTensorView f, double scale, Accumulate accumulate,
                   Workspace workspace) {
  Check check("gram");
  check.output("g", g, traits_.real, {1, f.shape.c, f.shape.c});
  check.input("f", f, traits_.activation, f.shape);
  check.workspace(workspace, traits_.gram_workspace_bytes(f.shape));
  do_gram(g, f, scale, accumulate, workspace);
}

void Backend::gram_backward(TensorView df, ConstTensorView f, ConstTensorView dg, double scale,
                            Accumulate accumulate, Relu mask, Workspace workspace) {
  Check check("gram_backward");
  check.output("df", df, traits_.activation, f.shape);
  check.input("f", f, traits_.activation, f.shape);
  check.input("dg", dg, traits_.activation, {1, f.shape.c, f.shape.c});
  check.workspace(workspace, traits_.gram_workspace_bytes(f.shape));
  do_gram_backward(df, f, dg, scale, accumulate, mask, workspace);
}

void Backend::gram_loss(TensorView loss, TensorView d, ConstTensorView g, ConstTensorView target,
                        LossScales scales) {
  Check check("gram_loss");
  const Shape square{1, g.shape.c, g.shape.c};
  check.slot("loss", loss, true);
  check.output("d", d, traits_.activation, square);
  check.input("g", g, traits_.real, square);
  check.input("target", target, traits_.real, square);
  do_gram_loss(loss, d, g, target, scales);
}

void Backend::style_loss(TensorView loss, TensorView d, TensorView scratch, ConstTensorView f,
                         ConstTensorView target, double gram_scale, LossScales scales, Workspace workspace) {
  Check check("style_loss");
  const Shape square{1, f.shape.c, f.shape.c};
  check.slot("loss", loss, true);
  check.output("d", d, traits_.activation, square);
  check.output("scratch", scratch, traits_.real, square);
  check.input("f", f, traits_.activation, f.shape);
  check.input("target", target, traits_.real, square);
  check.workspace(workspace, traits_.gram_workspace_bytes(f.shape));
  do_style_loss(loss, d, scratch, f, target, gram_scale, scales, workspace);
}

void Backend::do_style_loss(TensorView loss, TensorView d, TensorView scratch, ConstTensorView f,
                            ConstTensorView target, double gram_scale, LossScales scales,
                            Workspace workspace) {
  do_gram(scratch, f, gram_scale, Accumulate::kOverwrite, workspace);
  do_gram_loss(loss, d, scratch, target, scales);
}

void Backend::squared_error(TensorView loss, TensorView d, ConstTensorView x, ConstTensorView target,
                            LossScales scales, Accumulate accumulate, Relu mask) {
  Check check("squared_error");
  check.require(x.dtype == traits_.activation || x.dtype == traits_.real, "x",
                std::string(to_string(traits_.activation)) + " or " + to_string(traits_.real),
                to_string(x.dtype));
  check.slot("loss", loss, true);
  if (!d.empty()) check.output("d", d, x.dtype, x.shape);
  check.input("x", x, x.dtype, x.shape);
  check.input("target", target, x.dtype, x.shape);
  do_squared_error(loss, d, x, target, scales, accumulate, mask);
}

void Backend::watch_gradients(TensorView peak, GradientRoom room) {
  Check check("watch_gradients");
  check.slot("peak", peak, true);
  do_watch_gradients(peak, room);
}

void Backend::total_variation(TensorView loss, TensorView d, ConstTensorView x, TotalVariation kind,
                              double weight) {
  Check check("total_variation");
  check.slot("loss", loss, true);
  if (!d.empty()) check.output("d", d, traits_.real, x.shape);
  check.input("x", x, traits_.real, {x.shape.h, x.shape.w, 3});
  do_total_variation(loss, d, x, kind, weight);
}

// --- Backend: optimisers

void Backend::momentum_step(TensorView x, TensorView v, ConstTensorView g, double learning_rate,
                            double momentum) {
  Check check("momentum_step");
  check.output("x", x, traits_.real, g.shape);
  check.output("v", v, traits_.real, g.shape);
  check.input("g", g, traits_.real, g.shape);
  do_momentum_step(x, v, g, learning_rate, momentum);
}

void Backend::adam_step(TensorView x, TensorView m, TensorView v, TensorView step, ConstTensorView g,
                        const AdamParameters& parameters) {
  Check check("adam_step");
  check.output("x", x, traits_.real, g.shape);
  check.output("m", m, traits_.real, g.shape);
  check.output("v", v, traits_.real, g.shape);
  check.slot("step", step, true);
  check.input("g", g, traits_.real, g.shape);
  do_adam_step(x, m, v, step, g, parameters);
}

void Backend::clamp(TensorView x, const std::array<double, 3>& lower, const std::array<double, 3>& upper) {
  Check check("clamp");
  check.output("x", x, traits_.real, {x.shape.h, x.shape.w, 3});
  do_clamp(x, lower, upper);
}

void Backend::average_channels(TensorView x) {
  Check check("average_channels");
  check.output("x", x, traits_.real, {x.shape.h, x.shape.w, 3});
  do_average_channels(x);
}

void Backend::add_scaled(TensorView out, ConstTensorView a, ConstTensorView scale, ConstTensorView b) {
  Check check("add_scaled");
  check.output("out", out, traits_.real, a.shape);
  check.input("a", a, traits_.real, a.shape, "out");
  check.slot("scale", scale, false);
  check.input("b", b, traits_.real, a.shape);
  do_add_scaled(out, a, scale, b);
}

void Backend::dot(TensorView out, ConstTensorView a, ConstTensorView b) {
  Check check("dot");
  check.slot("out", out, true);
  check.input("a", a, a.dtype == traits_.activation ? traits_.activation : traits_.real, a.shape);
  check.input("b", b, a.dtype, a.shape);
  do_dot(out, a, b);
}

void Backend::halve(TensorView y, ConstTensorView x) {
  Check check("halve");
  check.output("y", y, traits_.real, halved(x.shape));
  check.input("x", x, traits_.real, x.shape);
  do_halve(y, x);
}

void Backend::halve_transposed_add(TensorView x, ConstTensorView y, double scale) {
  Check check("halve_transposed_add");
  check.output("x", x, traits_.real, x.shape);
  check.input("y", y, traits_.real, halved(x.shape));
  do_halve_transposed_add(x, y, scale);
}

void Backend::lbfgs_push(TensorView history, TensorView g_previous, ConstTensorView state, ConstTensorView d,
                         ConstTensorView g) {
  Check check("lbfgs_push");
  const std::int64_t n = g.shape.elements();
  const std::int64_t slots = num_slots(check, "history", history.shape.h);
  check.output("history", history, traits_.real, {2 * slots, 1, n});
  check.elements("g_previous", g_previous, traits_.real, n, true);
  check.elements("state", state, DType::kFloat64, LbfgsState::size(slots), false);
  check.elements("d", d, traits_.real, n, false);
  check.input("g", g, traits_.real, g.shape);
  do_lbfgs_push(history, g_previous, state, d, g);
}

void Backend::lbfgs_dots(TensorView dots, ConstTensorView history, ConstTensorView state, ConstTensorView g,
                         LbfgsDots of) {
  Check check("lbfgs_dots");
  const std::int64_t slots = num_slots(check, "history", history.shape.h);
  check.elements("dots", dots, DType::kFloat64, LbfgsState::num_dots(slots), true);
  check.input("history", history, traits_.real, {2 * slots, 1, g.shape.elements()});
  check.elements("state", state, DType::kFloat64, LbfgsState::size(slots), false);
  check.input("g", g, traits_.real, g.shape);
  do_lbfgs_dots(dots, history, state, g, of);
}

void Backend::lbfgs_direction(TensorView coefficients, TensorView state, ConstTensorView dots,
                              const LbfgsDirectionParameters& parameters) {
  Check check("lbfgs_direction");
  const std::int64_t slots = num_slots(check, "coefficients", coefficients.shape.elements() - 1);
  check.elements("coefficients", coefficients, DType::kFloat64, 2 * slots + 1, true);
  check.elements("state", state, DType::kFloat64, LbfgsState::size(slots), true);
  check.elements("dots", dots, DType::kFloat64, LbfgsState::num_dots(slots), false);
  check.require(parameters.h0_pairs >= 1, "h0_pairs", "1 or more", std::to_string(parameters.h0_pairs));
  do_lbfgs_direction(coefficients, state, dots, parameters);
}

void Backend::lbfgs_pair_dots(TensorView with_previous, ConstTensorView history, ConstTensorView state,
                              ConstTensorView v) {
  Check check("lbfgs_pair_dots");
  const std::int64_t slots = num_slots(check, "history", history.shape.h);
  check.elements("with_previous", with_previous, DType::kFloat64, 2 * slots, true);
  check.input("history", history, traits_.real, {2 * slots, 1, v.shape.elements()});
  check.elements("state", state, DType::kFloat64, LbfgsState::size(slots), false);
  check.input("v", v, traits_.real, v.shape);
  do_lbfgs_pair_dots(with_previous, history, state, v);
}

void Backend::lbfgs_condition(TensorView dots, TensorView with_previous, ConstTensorView products) {
  Check check("lbfgs_condition");
  const std::int64_t slots = num_slots(check, "with_previous", with_previous.shape.elements());
  check.elements("dots", dots, DType::kFloat64, LbfgsState::num_dots(slots), true);
  check.elements("with_previous", with_previous, DType::kFloat64, 2 * slots, true);
  check.elements("products", products, DType::kFloat64, 2, false);
  do_lbfgs_condition(dots, with_previous, products);
}

void Backend::lbfgs_decide(TensorView machine, TensorView state, ConstTensorView dots, LbfgsDecision decision,
                           const LbfgsDecisionParameters& parameters) {
  Check check("lbfgs_decide");
  check.elements("machine", machine, DType::kFloat64, LbfgsMachine::kSize, true);
  check.elements("state", state, DType::kFloat64, state.shape.elements(), true);
  check.elements("dots", dots, DType::kFloat64, dots.shape.elements(), false);
  check.require(dots.shape.elements() >= 2 && state.shape.elements() > LbfgsState::kSlope, "state and dots",
                "L-BFGS's", std::to_string(state.shape.elements()) + " elements");
  const ConstTensorView sums{dots.as<double>() + dots.shape.elements() - 2, {1, 1, 2}, DType::kFloat64};
  do_lbfgs_decide(machine, state, sums, decision, parameters);
}

void Backend::descent_decide(TensorView machine, ConstTensorView dots, DescentDecision decision,
                             const DescentDecisionParameters& parameters) {
  Check check("descent_decide");
  check.elements("machine", machine, DType::kFloat64, DescentMachine::kSize, true);
  check.elements("dots", dots, DType::kFloat64, DescentMachine::kNumDots, false);
  do_descent_decide(machine, dots, decision, parameters);
}

void Backend::weighted_sum(TensorView out, ConstTensorView weights, ConstTensorView values) {
  Check check("weighted_sum");
  check.slot("out", out, true);
  check.input("weights", weights, DType::kFloat64, values.shape);
  check.input("values", values, DType::kFloat64, values.shape);
  do_weighted_sum(out, weights, values);
}

void Backend::lincomb(TensorView out, ConstTensorView coefficients, ConstTensorView rows, ConstTensorView g) {
  Check check("lincomb");
  const std::int64_t n = g.shape.elements();
  check.elements("out", out, traits_.real, n, true);
  check.elements("coefficients", coefficients, DType::kFloat64, rows.shape.h + 1, false);
  check.input("rows", rows, traits_.real, {rows.shape.h, 1, n});
  check.input("g", g, traits_.real, g.shape);
  do_lincomb(out, coefficients, rows, g);
}

void Backend::lincomb_step(TensorView x, TensorView d, ConstTensorView t, ConstTensorView coefficients,
                           ConstTensorView rows, ConstTensorView g) {
  Check check("lincomb_step");
  const std::int64_t n = g.shape.elements();
  check.elements("x", x, traits_.real, n, true);
  check.elements("d", d, traits_.real, n, true);
  check.slot("t", t, false);
  check.elements("coefficients", coefficients, DType::kFloat64, rows.shape.h + 1, false);
  check.input("rows", rows, traits_.real, {rows.shape.h, 1, n});
  check.input("g", g, traits_.real, g.shape);
  do_lincomb_step(x, d, t, coefficients, rows, g);
}

void Backend::do_lincomb_step(TensorView x, TensorView d, ConstTensorView t, ConstTensorView coefficients,
                              ConstTensorView rows, ConstTensorView g) {
  do_lincomb(d, coefficients, rows, g);
  do_add_scaled(x, x, t, d);
}

}  // namespace impasto
