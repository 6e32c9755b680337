// Decisions and other sums of a few doubles. Compiled without fused multiply-add: the same bits as on the
// host.
#include "kernels/cuda/device.cuh"
#include "kernels/descent_search.h"
#include "kernels/lbfgs_search.h"

namespace impasto::cuda {
namespace {

__global__ void lbfgs_decide_kernel(double* machine, double* state, const double* sums,
                                    LbfgsDecision decision, LbfgsDecisionParameters parameters) {
  if (threadIdx.x == 0) impasto::lbfgs_decide(machine, state, sums, decision, parameters);
}

__global__ void descent_decide_kernel(double* machine, const double* dots, DescentDecision decision,
                                      DescentDecisionParameters parameters) {
  if (threadIdx.x == 0) impasto::descent_decide(machine, dots, decision, parameters);
}

/// One block: a thread reads and writes only what belongs to its rows, the first one the sums, too.
__global__ void __launch_bounds__(kThreads)
    lbfgs_condition_kernel(When when, double* dots, double* with_previous, const double* products,
                           std::int64_t slots) {
  if (when.skips()) return;
  const std::int64_t rows = 2 * slots;
  double* const with_y = dots;
  const double* const with_g = dots + rows;
  for (std::int64_t row = threadIdx.x; row < rows; row += kThreads) {
    with_y[row] = with_g[row] - with_previous[row];
    with_previous[row] = with_g[row];
  }
  if (threadIdx.x != 0) return;
  double &sum_abs = dots[2 * rows], &square = dots[2 * rows + 1];
  if (square > 0) sum_abs *= sqrt(products[0] / square);
  square = products[1];
}

__global__ void weighted_sum_kernel(double* out, const double* weights, const double* values,
                                    std::int64_t n) {
  if (threadIdx.x != 0) return;
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += weights[i] * values[i];
  *out = sum;
}

}  // namespace

cudaError_t lbfgs_decide(const Launch& launch, double* machine, double* state, const double* sums,
                         LbfgsDecision decision, const LbfgsDecisionParameters& parameters) {
  return run(launch, lbfgs_decide_kernel, 1, 0, machine, state, sums, decision, parameters);
}

cudaError_t descent_decide(const Launch& launch, double* machine, const double* dots,
                           DescentDecision decision, const DescentDecisionParameters& parameters) {
  return run(launch, descent_decide_kernel, 1, 0, machine, dots, decision, parameters);
}

cudaError_t lbfgs_condition(const Launch& launch, double* dots, double* with_previous, const double* products,
                            std::int64_t slots) {
  return run_when(launch, lbfgs_condition_kernel, 1, 0, dots, with_previous, products, slots);
}

cudaError_t weighted_sum(const Launch& launch, double* out, const double* weights, const double* values,
                         std::int64_t n) {
  return run(launch, weighted_sum_kernel, 1, 0, out, weights, values, n);
}

}  // namespace impasto::cuda
