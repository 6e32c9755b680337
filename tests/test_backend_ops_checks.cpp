// What the public methods of the seam refuse, and what they count.
#include <algorithm>
#include <functional>
#include <tuple>

#include "engine/core/error.h"
#include "tests/support/catch.h"
#include "tests/support/test_device.h"

// Under AddressSanitizer an allocation that cannot be had is to fail as it does elsewhere, not to abort.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }

using namespace impasto;
using test::TestDevice;

namespace {

void require_refused(const std::string& operation, const std::string& about,
                     const std::function<void()>& call) {
  INFO(operation << ": " << about);
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kInternal);
    CHECK_THAT(error.what(), ContainsSubstring(operation + ": "));
    CHECK_THAT(error.what(), ContainsSubstring(about));
    CHECK_THAT(error.what(), ContainsSubstring("expected"));
    CHECK_THAT(error.what(), ContainsSubstring("found"));
    return;
  }
  FAIL_CHECK("nothing was thrown");
}

}  // namespace

TEST_CASE("a convolution takes the workspace that is planned for its own form, and no byte less") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const Shape shape{24, 40, 64}, wider{24, 40, 96};
  const TensorView x = device.empty_activation(shape), y = device.empty_activation(wider);
  device->fill(x, 1);
  device->fill(y, 1);
  const std::vector<float> filter(9 * 64 * 96), bias(96);
  const auto conv = device->make_conv_filter({64, 96, filter, bias});
  const auto forward = [&](Relu relu) {
    return [&, relu](Workspace w) { device->conv2d_forward(y, x, *conv, {}, relu, w); };
  };
  const auto backward = [&](Accumulate mode) {
    return [&, mode](Workspace w) { device->conv2d_backward_data(x, y, *conv, {}, mode, {}, w); };
  };
  const std::vector<std::tuple<ConvOp, std::string, std::function<void(Workspace)>>> calls{
      {ConvOp::kForwardRelu, "conv2d_forward", forward(Relu::kYes)},
      {ConvOp::kForward, "conv2d_forward", forward(Relu::kNo)},
      {ConvOp::kBackwardData, "conv2d_backward_data", backward(Accumulate::kOverwrite)},
      {ConvOp::kBackwardDataAdd, "conv2d_backward_data", backward(Accumulate::kAdd)}};
  for (const auto& [op, name, call] : calls) {
    const std::size_t bytes = device->traits().conv_workspace_bytes({op, shape, 96});
    Workspace workspace = device.workspace(std::max<std::size_t>(bytes, 1));
    workspace.bytes = bytes;
    call(workspace);
    if (bytes == 0) continue;
    --workspace.bytes;
    require_refused(name, "workspace: expected " + std::to_string(bytes) + " bytes",
                    [&, &act = call] { act(workspace); });
  }
  CHECK(device.read(x).front() == 0);  // all has been done
}

TEST_CASE("a wrong shape, dtype or overlap is an internal error that names the operation") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const DType activation = device->traits().activation, real = device->traits().real;
  const DType other = activation == DType::kFloat64 ? DType::kFloat32 : DType::kFloat64;
  const auto a = [&](Shape shape) { return device.empty(shape, activation); };
  const auto r = [&](Shape shape) { return device.empty(shape, real); };
  const auto slot = device.slots({0});
  const TensorView wrong_type = device.empty({4, 4, 8}, other);
  const TensorView x = a({4, 4, 8}), y = a({4, 4, 8}), picture = r({4, 4, 3}), picture2 = r({4, 4, 3});
  const TensorView wide = a({4, 5, 8}), half = a({2, 2, 8}), square = r({1, 8, 8});
  const Workspace none{};
  const Workspace much = device.workspace(1 << 20U);
  const std::vector<float> filter(9 * 8 * 16), bias(16);
  const auto conv = device->make_conv_filter({8, 16, filter, bias});
  const TensorView out = a({4, 4, 16});
  const auto add = Accumulate::kAdd;
  const auto set = Accumulate::kOverwrite;
  const std::string forward = "conv2d_forward", backward = "conv2d_backward_data";

  require_refused(forward, "y: expected (4,4,16)",
                  [&] { device->conv2d_forward(y, x, *conv, {}, Relu::kNo, much); });
  require_refused(forward, "x: expected (4,4,8)",
                  [&] { device->conv2d_forward(out, out, *conv, {}, Relu::kNo, much); });
  require_refused(forward, "y: expected (3,3,16)", [&] {
    device->conv2d_forward(out, x, *conv, {1, 0, 0, 1}, Relu::kNo, much);
  });
  require_refused(forward, "x: expected",
                  [&] { device->conv2d_forward(out, wrong_type, *conv, {}, Relu::kNo, much); });
  require_refused(forward, "0 or 1", [&] {
    device->conv2d_forward(out, x, *conv, {2, 0, 1, 1}, Relu::kNo, much);
  });
  require_refused(forward, "at least one pixel", [&] {
    device->conv2d_forward(a({1, 1, 16}), a({1, 1, 8}), *conv, {0, 0, 1, 1}, Relu::kNo, much);
  });
  if (device->traits().conv_workspace_bytes({ConvOp::kForward, x.shape, 16}) > 0) {
    require_refused(forward, "workspace",
                    [&] { device->conv2d_forward(out, x, *conv, {}, Relu::kNo, none); });
  }
  require_refused(backward, "dy: expected (4,4,16)",
                  [&] { device->conv2d_backward_data(x, y, *conv, {}, set, {}, much); });
  require_refused(backward, "mask: expected (4,4,8)",
                  [&] { device->conv2d_backward_data(x, out, *conv, {}, set, wide, much); });
  require_refused(backward, "mask: expected memory apart from dx",
                  [&] { device->conv2d_backward_data(x, out, *conv, {}, set, x, much); });
  require_refused("make_conv_filter", "filter", [&] {
    (void)device->make_conv_filter({8, 15, filter, bias});
  });
  require_refused("make_conv_filter", "bias", [&] {
    (void)device->make_conv_filter({8, 16, filter, std::span<const float>(bias).first(3)});
  });

  require_refused("picture_to_input", "picture", [&] {
    device->picture_to_input(a({4, 4, device->traits().input_channels}), r({4, 4, 4}));
  });
  require_refused("input_to_picture", "dpicture: expected (4,4,3)", [&] {
    device->input_to_picture(r({4, 5, 3}), a({4, 4, device->traits().input_channels}), set);
  });
  require_refused("relu_forward", "y", [&] { device->relu_forward(wide, x); });
  require_refused("relu_backward", "dy", [&] { device->relu_backward(x, wide, y, set); });
  require_refused("relu_backward", "dy: expected memory apart from dx",
                  [&] { device->relu_backward(x, x, y, add); });
  const TensorView codes = device.empty_codes(x.shape);
  require_refused("pool_forward", "y: expected (2,2,8)",
                  [&] { device->pool_forward(y, codes, x, Pooling::kMax); });
  require_refused("pool_forward", "codes: expected (2,2,8) uint8",
                  [&] { device->pool_forward(half, half, x, Pooling::kMax); });
  require_refused("pool_backward", "dy: expected (2,2,8)",
                  [&] { device->pool_backward(x, y, codes, Pooling::kMax, set, Relu::kNo); });
  require_refused("pool_backward", "codes: expected memory apart", [&] {
    device->pool_backward(x, half, {x.data, codes.shape, codes.dtype}, Pooling::kMax, set, Relu::kNo);
  });
  require_refused("pool_backward", "codes: expected (2,2,8) uint8",
                  [&] { device->pool_backward(x, half, {}, Pooling::kMax, set, Relu::kNo); });
  require_refused("pool_backward", "codes: expected (2,2,8) uint8",
                  [&] { device->pool_backward(x, half, {}, Pooling::kAverage, set, Relu::kYes); });
  require_refused("gram", "g: expected (1,8,8)", [&] { device->gram(r({8, 8, 1}), x, 1, set, much); });
  require_refused("gram_backward", "dg: expected (1,8,8)", [&] {
    device->gram_backward(y, x, r({1, 8, 7}), 1, set, Relu::kNo, much);
  });
  require_refused("gram_backward", "apart",
                  [&] { device->gram_backward(x, x, square, 1, set, Relu::kNo, much); });
  require_refused("gram_loss", "target: expected (1,8,8)", [&] {
    device->gram_loss(slot, a({1, 8, 8}), square, r({1, 8, 7}), {});
  });
  require_refused("gram_loss", "g: expected (1,8,8)", [&] {
    device->gram_loss(slot, a({1, 8, 8}), r({8, 1, 8}), r({1, 8, 8}), {});
  });
  require_refused("squared_error", "target", [&] {
    device->squared_error(slot, {}, x, wide, {1, 1}, set, Relu::kNo);
  });
  require_refused("squared_error", "loss: expected (1,1,1) float64", [&] {
    device->squared_error(device.empty({1, 1, 1}, DType::kFloat32), {}, x, y, {1, 1}, set, Relu::kNo);
  });
  require_refused("squared_error", "x: expected memory apart from d", [&] {
    device->squared_error(slot, x, x, y, {1, 1}, set, Relu::kNo);
  });
  require_refused("total_variation", "x: expected (4,4,3)",
                  [&] { device->total_variation(slot, {}, x, TotalVariation::kL2, 1); });

  require_refused("momentum_step", "v", [&] {
    device->momentum_step(picture, r({4, 3, 3}), picture2, 1, 0);
  });
  require_refused("adam_step", "step: expected (1,1,1)", [&] {
    device->adam_step(picture, picture2, r({4, 4, 3}), device.slots({1, 2}), r({4, 4, 3}), {});
  });
  require_refused("adam_step", "apart", [&] {
    device->adam_step(picture, picture2, picture2, slot, r({4, 4, 3}), {});
  });
  require_refused("average_channels", "x: expected (4,4,3)", [&] { device->average_channels(r({4, 4, 4})); });
  require_refused("clamp", "x: expected (4,4,3)", [&] { device->clamp(r({4, 4, 4}), {}, {}); });
  require_refused("add_scaled", "b", [&] { device->add_scaled(picture, picture, slot, r({4, 4, 2})); });
  require_refused("add_scaled", "apart", [&] { device->add_scaled(picture, picture2, slot, picture); });
  require_refused("dot", "b", [&] { device->dot(slot, picture, r({4, 4, 2})); });
  const TensorView history = r({6, 1, 48}), state = device.slots(std::vector<double>(LbfgsState::size(3)));
  require_refused("lbfgs_push", "history", [&] {
    device->lbfgs_push(r({6, 1, 47}), picture, state, r({4, 4, 3}), picture2);
  });
  require_refused("lbfgs_push", "slots", [&] {
    device->lbfgs_push(r({5, 1, 48}), picture, state, r({4, 4, 3}), picture2);
  });
  require_refused("lbfgs_dots", "dots: expected 14 elements",
                  [&] { device->lbfgs_dots(device.slots({1}), history, state, picture); });
  require_refused("lbfgs_direction", "state: expected 26 elements", [&] {
    device->lbfgs_direction(device.slots(std::vector<double>(7)), slot, device.slots(std::vector<double>(14)),
                            {});
  });
  require_refused("lbfgs_direction", "h0_pairs: expected 1 or more, found 0", [&] {
    device->lbfgs_direction(device.slots(std::vector<double>(7)), state,
                            device.slots(std::vector<double>(14)), {.h0_pairs = 0});
  });
  require_refused("lincomb", "coefficients: expected 7 elements",
                  [&] { device->lincomb(picture, slot, history, picture2); });
  require_refused("copy", "dst", [&] { device->copy(wide, x); });
  const std::vector<float> few(5);
  require_refused("upload", "dst: expected 5 elements",
                  [&] { device->upload(x, std::span<const float>(few)); });
  std::vector<double> five(5);
  require_refused("download", "src: expected 5 elements",
                  [&] { device->download(std::span<double>(five), x); });
  require_refused("fill", "dst", [&] { device->fill({nullptr, {1, 1, 1}, DType::kFloat64}, 0); });
}

TEST_CASE("transfers convert between float, double and the tensor's dtype") {
  TestDevice device(GENERATE(from_range(test::op_devices())));
  const std::vector<float> floats = {0.1F, -2, 1e30F};
  const std::vector<double> doubles = {0.1, -2, 1e30};
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const TensorView view = device.empty({1, 1, 3}, dtype);
    std::vector<float> got_floats(3);
    std::vector<double> got_doubles(3);
    device->upload(view, std::span<const float>(floats));
    device->download(std::span<float>(got_floats), view);
    CHECK(got_floats == floats);
    device->download(std::span<double>(got_doubles), view);
    CHECK(got_doubles[0] == static_cast<double>(floats[0]));
    device->upload(view, std::span<const double>(doubles));
    device->download(std::span<double>(got_doubles), view);
    CHECK(got_doubles[0] == (dtype == DType::kFloat64 ? 0.1 : static_cast<double>(0.1F)));
    device->download(std::span<float>(got_floats), view);
    CHECK(got_floats == floats);
    const TensorView copy = device.empty({1, 1, 3}, dtype);
    device->copy(copy, view);
    CHECK(device.read(copy) == got_doubles);
    device->fill(copy, -0.5);
    CHECK(device.read(copy) == std::vector<double>(3, -0.5));
  }
}

TEST_CASE("allocations are counted, aligned and given back") {
  const auto backend = make_backend({.device = GENERATE(from_range(test::op_devices()))});
  const std::size_t before = backend->allocated_bytes();
  const std::int64_t allocations = backend->num_allocations();
  {
    const Buffer a = backend->allocate(1000), b = backend->allocate(24);
    CHECK(a.bytes() == 1000);
    CHECK(reinterpret_cast<std::uintptr_t>(b.data()) % backend->traits().alignment == 0);
    CHECK(backend->allocated_bytes() == before + 1024);
    CHECK(backend->num_allocations() == allocations + 2);
    CHECK(a.view(992, {1, 1, 2}, DType::kFloat32).data == static_cast<std::byte*>(a.data()) + 992);
    CHECK_THROWS_AS(a.view(992, {1, 1, 3}, DType::kFloat32), Error);
    CHECK_THROWS_AS(a.view(990, {1, 1, 1}, DType::kFloat32), Error);
    CHECK_THROWS_AS(a.view(1004, {0, 0, 0}, DType::kFloat32), Error);
    Buffer moved = backend->allocate(8);
    moved = backend->allocate(16);
    CHECK(backend->allocated_bytes() == before + 1040);
  }
  CHECK(backend->allocated_bytes() == before);
  CHECK(backend->peak_allocated_bytes() == before + 1048);
  CHECK(backend->allocate(0).data() == nullptr);
}

TEST_CASE("memory that is not there is a resource error with the number of bytes") {
  const auto backend = make_backend({.device = GENERATE(from_range(test::op_devices()))});
  constexpr std::size_t kBytes = std::size_t{1} << 60U;
  try {
    (void)backend->allocate(kBytes);
    FAIL("an exbibyte was allocated");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kResources);
    CHECK_THAT(error.what(), ContainsSubstring(std::to_string(kBytes)));
  }
}

TEST_CASE("a convolution's filters take the bytes that the traits say") {
  const auto backend = make_backend({.device = GENERATE(from_range(test::op_devices()))});
  const std::size_t before = backend->allocated_bytes();
  for (const auto& [in, out] : {std::pair<std::size_t, std::size_t>{3, 64}, {64, 64}, {5, 7}, {128, 256}}) {
    const std::vector<float> filter(9 * in * out), bias(out);
    const auto conv = backend->make_conv_filter(
        {static_cast<std::int64_t>(in), static_cast<std::int64_t>(out), filter, bias});
    INFO(backend->info().name << ": " << in << " to " << out);
    CHECK(backend->allocated_bytes() - before ==
          backend->traits().conv_filter_bytes(conv->in_channels(), conv->out_channels()));
  }
  CHECK(backend->allocated_bytes() == before);
}

TEST_CASE("devices open by name and precision, and say what is wrong with others") {
  CHECK(make_backend({.device = "reference"})->info().name == "reference");
  CHECK(make_backend({.device = "cpu"})->info().name == "cpu");
  const std::vector<DeviceStatus> listed = list_devices();
  const bool has_gpu = listed.at(1).unusable_because.empty();
  CHECK(make_backend({.device = "auto"})->info().name.starts_with(has_gpu ? "cuda:" : "cpu"));
  CHECK(make_backend({.device = "cpu", .precision = Precision::kFp32})->traits().activation ==
        DType::kFloat32);
  CHECK(make_backend({.device = "reference", .precision = Precision::kFp64})->traits().real ==
        DType::kFloat64);
  const auto error_of = [](const BackendOptions& options) {
    try {
      (void)make_backend(options);
    } catch (const Error& error) {
      return std::to_string(error.exit_code()) + " " + error.what();
    }
    return std::string("no error");
  };
  for (const char* device : {"", "gpu", "cuda:", "cuda:x", "cuda0", "CPU", "cpu "}) {
    INFO(device);
    CHECK_THAT(error_of({.device = device}),
               ContainsSubstring("2 device: expected auto, cpu, cuda[:N] or reference"));
  }
  CHECK_THAT(error_of({.device = "cpu", .threads = -1}), ContainsSubstring("2 threads: expected 0 or more"));
  CHECK_THAT(error_of({.device = "cpu", .precision = Precision::kBf16}), ContainsSubstring("4 "));
  CHECK_THAT(error_of({.device = "cpu", .precision = Precision::kBf16}), ContainsSubstring("fp32"));
  CHECK_THAT(error_of({.device = "reference", .precision = Precision::kFp32}), ContainsSubstring("fp64"));
  CHECK_THAT(error_of({.device = "cuda:99"}), ContainsSubstring("4 device 'cuda:99': expected "));
  if (!has_gpu)
    CHECK_THAT(error_of({.device = "cuda:0"}), ContainsSubstring(", but " + listed.at(1).unusable_because));
}

TEST_CASE("every device is listed, with its precisions or the reason that it cannot be used") {
  std::vector<std::string> names;
  for (const DeviceStatus& status : list_devices()) {
    names.push_back(status.info.name);
    INFO(status.info.name);
    if (status.unusable_because.empty()) {
      CHECK(!status.info.precisions.empty());
      CHECK(!status.info.description.empty());
      CHECK(status.info.free_memory_bytes > 0);
    } else {
      CHECK_THAT(status.info.name, ContainsSubstring("cuda"));
    }
  }
  CHECK(names.size() >= 3);
  CHECK(names.front() == "cpu");
  CHECK_THAT(names.at(1), ContainsSubstring("cuda"));
  CHECK(names.back() == "reference");
}
