#include "step.h"

#include <ATen/ATen.h>

namespace easel {

Tensor euler_step(const Tensor& x_BCHW, const Tensor& denoised_BCHW, double from, double to) {
  return denoised_BCHW + (x_BCHW - denoised_BCHW) * (to / from);
}

void report_step(const StepCallback& callback, std::span<const double> sigmas, size_t i,
                 const Tensor& denoised_BCHW) {
  if (callback) {
    callback({static_cast<int64_t>(i) + 1, num_steps(sigmas), sigmas[i], denoised_BCHW});
  }
}

}  // namespace easel
