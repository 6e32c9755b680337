// Gradient descent with momentum: v = momentum * v + g, x =
// x - rate * v (Polyak's heavy ball, as torch.optim.SGD).
#include "engine/style/optimizer_parts.h"

namespace impasto {
namespace {

class GradientDescent final : public Optimizer {
 public:
  explicit GradientDescent(const OptimizerParts& parts)
      : options_(parts.options),
        backend_(parts.backend),
        range_(parts.range),
        x_(parts.find("x")),
        gradient_(parts.find("gradient")),
        velocity_(parts.find("velocity")) {
    tensors_ = {{"x", x_}, {"velocity", velocity_}};
  }

  void step(Objective& objective) override {
    backend_.repeat(recording_, [&] {
      objective.evaluate(x_, gradient_);
      backend_.momentum_step(x_, velocity_, gradient_, *options_.learning_rate, options_.momentum);
      if (options_.clamp) backend_.clamp(x_, range_.lower, range_.upper);
    });
  }
  [[nodiscard]] ConstTensorView picture() const override { return x_; }

 private:
  OptimizerOptions options_;
  Backend& backend_;
  PixelRange range_;
  TensorView x_, gradient_, velocity_;
  std::unique_ptr<Recording> recording_;
};

}  // namespace

std::unique_ptr<Optimizer> make_gradient_descent(const OptimizerParts& parts) {
  return std::make_unique<GradientDescent>(parts);
}

}  // namespace impasto
