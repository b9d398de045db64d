// UniPC (Zhao et al. 2023, arXiv 2302.04867), data prediction, multistep: each step's prediction is
// corrected with the estimate found at its end, which the next step needs anyway. Checked against
// diffusers' UniPCMultistepScheduler.
#include <algorithm>
#include <utility>

#include <ATen/ATen.h>

#include "dpm_solver_update.h"
#include "step.h"

namespace easel {
namespace {

using dpm::Level;
using dpm::Value;

enum class B { Bh1, Bh2 };  // B(h): h, exp(h) - 1

// x at t from x at the last value's level. `at_t`, where it is given, is the value at t: the
// corrector.
Tensor update(B b, const Tensor& x_BCHW, std::span<const Value> values, const Level& t,
              const Tensor& at_t_BCHW = {}) {
  const Level& s = values.back().level;
  const double h = t.lambda - s.lambda;
  std::vector<double> nodes;
  std::vector<Tensor> known;
  for (auto value = values.rbegin(); value != values.rend(); ++value) {
    nodes.push_back((value->level.lambda - s.lambda) / h);
    known.push_back(value->m_BCHW);
  }
  if (at_t_BCHW.defined()) {
    nodes.push_back(1);
    known.push_back(at_t_BCHW);
  }
  std::vector<double> phis;
  for (size_t n = 0; n < nodes.size(); ++n) phis.push_back(dpm::phi(static_cast<int>(n) + 1, -h));
  // B(h) cancels from the solution of the paper's equations. It remains where there is one slope,
  // whose weight is not solved for but taken as 1/2.
  if (nodes.size() == 2) phis[1] = (b == B::Bh1 ? -h : dpm::phi(1, -h)) / 2;
  const std::vector<double> weights = dpm::exponential_weights(nodes, phis);
  Tensor next_BCHW = x_BCHW * (t.sigma / s.sigma);
  for (size_t j = 0; j < known.size(); ++j) next_BCHW = next_BCHW - known[j] * weights[j];
  return next_BCHW;
}

Tensor run(B b, size_t order, const Denoiser& denoiser, Tensor x_BCHW,
           std::span<const double> sigmas, const StepCallback& callback) {
  std::vector<Value> values;  // the newest last
  Tensor start_BCHW;          // where the last prediction started, undefined without one
  size_t last_order = 0;
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const Level from = dpm::level_of(sigmas[i]);
    const Level to = dpm::level_of(sigmas[i + 1]);
    const Tensor denoised_BCHW = denoiser(x_BCHW, from.sigma);
    if (start_BCHW.defined()) {
      x_BCHW = update(b, start_BCHW, std::span(values).last(last_order), from, denoised_BCHW);
    }
    start_BCHW = Tensor();
    // Equal levels: nothing to do, and the newer estimate takes the older one's place.
    if (!values.empty() && values.back().level.sigma == from.sigma) values.pop_back();
    values.push_back({from, denoised_BCHW});
    if (values.size() > order) values.erase(values.begin());
    if (to.sigma == 0) {
      x_BCHW = denoised_BCHW;
    } else if (to.sigma < from.sigma) {
      start_BCHW = x_BCHW;
      last_order = std::min(values.size(), sigmas.size() - 1 - i);  // lower orders at the end
      x_BCHW = update(b, start_BCHW, std::span(values).last(last_order), to);
    }
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace

Tensor sample_unipc(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                    NoiseSource&, const SamplerOptions& options, const StepCallback& callback) {
  return run(options.solver == "bh2" ? B::Bh2 : B::Bh1, order_or(options, 3), denoiser,
             std::move(x_BCHW), sigmas, callback);
}

Tensor sample_unipc_bh2(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                        NoiseSource&, const SamplerOptions& options, const StepCallback& callback) {
  return run(B::Bh2, order_or(options, 2), denoiser, std::move(x_BCHW), sigmas, callback);
}

}  // namespace easel
