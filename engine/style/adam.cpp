// Adam (Kingma, Ba 2015), stepping as torch.optim.Adam.
#include "engine/core/message.h"
#include "engine/core/text.h"
#include "engine/style/optimizer_parts.h"

namespace impasto {
namespace {

class Adam final : public Optimizer {
 public:
  explicit Adam(const OptimizerParts& parts)
      : backend_(parts.backend),
        range_(parts.range),
        clamp_(parts.options.clamp),
        parameters_{parts.options.learning_rate.value_or(1), parts.options.beta1, parts.options.beta2,
                    parts.options.epsilon},
        x_(parts.find("x")),
        gradient_(parts.find("gradient")),
        mean_(parts.find("mean")),
        variance_(parts.find("variance")),
        step_(parts.find("step")) {
    tensors_ = {{"x", x_}, {"mean", mean_}, {"variance", variance_}, {"step", step_}};
  }

  void step(Objective& objective) override {
    backend_.repeat(recording_, [&] {
      objective.evaluate(x_, gradient_);
      backend_.adam_step(x_, mean_, variance_, step_, gradient_, parameters_);
      if (clamp_) backend_.clamp(x_, range_.lower, range_.upper);
    });
  }
  [[nodiscard]] ConstTensorView picture() const override { return x_; }

  void restore_host_state(std::span<const double> state) override {
    Optimizer::restore_host_state(state);
    double steps = 0;
    backend_.download(std::span<double>(&steps, 1), step_);
    if (!is_count(steps)) {
      throw make_error(ErrorCode::kBadInput, "checkpoint: expected a number of Adam's steps, found {}",
                       format_number(steps));
    }
  }

 private:
  Backend& backend_;
  PixelRange range_;
  bool clamp_;
  AdamParameters parameters_;
  TensorView x_, gradient_, mean_, variance_, step_;
  std::unique_ptr<Recording> recording_;
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(const OptimizerParts& parts) { return std::make_unique<Adam>(parts); }

}  // namespace impasto
