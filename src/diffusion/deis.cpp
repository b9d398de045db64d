// DEIS (Zhang and Chen 2023, arXiv 2204.13902), multistep: the noise predicted at the last levels
// is interpolated and integrated exactly. The polynomial is in log sigma, as in diffusers'
// DEISMultistepScheduler; in sigma it would be k-diffusion's LMS.
#include <algorithm>
#include <utility>

#include <ATen/ATen.h>

#include "dpm_solver_update.h"
#include "step.h"

namespace easel {
namespace {

using dpm::Level;
using dpm::Value;

// Runs of fewer steps than this end in lower orders, as in diffusers.
constexpr size_t kFewSteps = 15;

Tensor update(const Tensor& x_BCHW, std::span<const Value> values, const Level& t) {
  const Level& s = values.back().level;
  const double h = t.lambda - s.lambda;
  std::vector<double> nodes;
  std::vector<double> phis;
  for (auto value = values.rbegin(); value != values.rend(); ++value) {
    nodes.push_back((value->level.lambda - s.lambda) / h);
    phis.push_back(dpm::phi(static_cast<int>(nodes.size()), h));
  }
  const std::vector<double> weights = dpm::exponential_weights(nodes, phis);
  Tensor next_BCHW = x_BCHW;
  for (size_t j = 0; j < weights.size(); ++j) {
    next_BCHW = next_BCHW - values[values.size() - 1 - j].m_BCHW * (weights[j] * t.sigma);
  }
  return next_BCHW;
}

}  // namespace

Tensor sample_deis(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                   NoiseSource&, const SamplerOptions& options, const StepCallback& callback) {
  const size_t order = order_or(options, 2);
  const auto steps = static_cast<size_t>(num_steps(sigmas));
  std::vector<Value> values;  // the noise predicted, the newest last
  for (size_t i = 0; i < steps; ++i) {
    const Level from = dpm::level_of(sigmas[i]);
    const Level to = dpm::level_of(sigmas[i + 1]);
    const Tensor denoised_BCHW = denoiser(x_BCHW, from.sigma);
    if (to.sigma == 0) {
      x_BCHW = denoised_BCHW;
    } else if (to.sigma < from.sigma) {  // equal levels: nothing to do
      values.push_back({from, (x_BCHW - denoised_BCHW) / from.sigma});
      if (values.size() > order) values.erase(values.begin());
      const size_t most = steps < kFewSteps ? steps - i : order;
      x_BCHW = update(x_BCHW, std::span(values).last(std::min(values.size(), most)), to);
    }
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace easel
