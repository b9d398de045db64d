// float16 gradients underflow: the loss is scaled up, the gradients down again, and where they
// overflowed the step is left out and the scale halved (Micikevicius et al. 2018, arXiv 1710.03740;
// torch.amp.GradScaler's rule).
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

#include <easel/train/adamw.h>

namespace easel {

struct LossScaler {
  static constexpr int64_t kGrowthInterval = 2000;
  double scale = 65536;
  int64_t good_steps = 0;

  // Divides the gradients by the scale; false where one is infinite or NaN.
  bool unscale(const Parameters& parameters) const {
    std::vector<Tensor> grads;
    for (const auto& parameter : parameters) {
      if (parameter.tensor->grad().defined()) grads.push_back(parameter.tensor->grad());
    }
    if (grads.empty()) return true;
    const auto options = grads.front().options().dtype(at::kFloat);
    Tensor found_inf = at::zeros({1}, options);
    at::_amp_foreach_non_finite_check_and_unscale_(grads, found_inf,
                                                   at::full({1}, 1 / scale, options));
    return found_inf.item<float>() == 0;
  }
  void update(bool finite) {
    if (!finite) {
      scale /= 2;
      good_steps = 0;
    } else if (++good_steps == kGrowthInterval) {
      scale *= 2;
      good_steps = 0;
    }
  }
};

}  // namespace easel
