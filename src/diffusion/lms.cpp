// Linear multistep in sigma with coefficients for uneven steps (Adams-Bashforth), as k-diffusion's
// sample_lms.
#include <algorithm>
#include <array>
#include <cmath>
#include <deque>

#include <ATen/ATen.h>

#include "step.h"

namespace easel {
namespace {

struct Slope {
  double sigma;
  Tensor slope_BCHW;
};

// The integral over [from, to] of the Lagrange polynomial that is 1 at slopes[j]'s level and 0 at
// the others'. Two Gauss-Legendre points are exact for degree 3: for four slopes.
double coefficient(const std::deque<Slope>& slopes, size_t j, double from, double to) {
  double sum = 0;
  for (const double point : {-1 / std::sqrt(3), 1 / std::sqrt(3)}) {
    const double sigma = (from + to) / 2 + point * (to - from) / 2;
    double product = 1;
    for (size_t k = 0; k < slopes.size(); ++k) {
      if (k != j) product *= (sigma - slopes[k].sigma) / (slopes[j].sigma - slopes[k].sigma);
    }
    sum += product;
  }
  return sum * (to - from) / 2;
}

}  // namespace

Tensor sample_lms(const Denoiser& denoiser, Tensor x_BCHW, std::span<const double> sigmas,
                  NoiseSource&, const SamplerOptions& options, const StepCallback& callback) {
  const size_t order = order_or(options, 4);
  std::deque<Slope> slopes;  // the newest last
  for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
    const double from = sigmas[i];
    const double to = sigmas[i + 1];
    const Tensor denoised_BCHW = denoiser(x_BCHW, from);
    if (to < from) {  // equal levels: nothing to do, and nothing learnt of the slope
      slopes.push_back({from, (x_BCHW - denoised_BCHW) / from});
      if (slopes.size() > order) slopes.pop_front();
      for (size_t j = 0; j < slopes.size(); ++j) {
        x_BCHW = x_BCHW + slopes[j].slope_BCHW * coefficient(slopes, j, from, to);
      }
    }
    report_step(callback, sigmas, i, denoised_BCHW);
  }
  return x_BCHW;
}

}  // namespace easel
