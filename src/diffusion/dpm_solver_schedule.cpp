#include <algorithm>
#include <cmath>
#include <numbers>

#include <easel/base/error.h>

#include "easel/diffusion/dpm_solver.h"

namespace easel {
namespace {

// Of the reference program: near t = T lambda has no digits left.
constexpr double kLowestLambda = -5.1;

double lambda_from_log_alpha(double log_alpha) {
  return log_alpha - 0.5 * std::log(-std::expm1(2 * log_alpha));
}

// -log(1 + exp(-2 lambda)) / 2 without overflow.
double log_alpha_from_lambda(double lambda) {
  return lambda >= 0 ? -0.5 * std::log1p(std::exp(-2 * lambda))
                     : lambda - 0.5 * std::log1p(std::exp(2 * lambda));
}

// log cos of the angle at t.
double log_cosine(double t, double s) {
  return std::log(std::cos((t + s) / (1 + s) * std::numbers::pi / 2));
}

// The first of the two entries whose line covers `index`; beyond the ends, the outermost line.
size_t segment(double index, size_t count) {
  const double last = static_cast<double>(count) - 2;
  return static_cast<size_t>(std::clamp(std::floor(index), 0.0, last));
}

}  // namespace

double VpSchedule::marginal_log_mean_coeff(double t) const {
  switch (kind) {
    case VpScheduleKind::Linear:
      return -0.25 * t * t * (beta_1 - beta_0) - 0.5 * t * beta_0;
    case VpScheduleKind::Cosine:
      return log_cosine(t, cosine_s) - log_cosine(0, cosine_s);
    case VpScheduleKind::Discrete:
      break;
  }
  const double index = t * static_cast<double>(log_alphas.size()) - 1;
  const size_t low = segment(index, log_alphas.size());
  const double fraction = index - static_cast<double>(low);
  return log_alphas[low] + fraction * (log_alphas[low + 1] - log_alphas[low]);
}

double VpSchedule::marginal_alpha(double t) const { return std::exp(marginal_log_mean_coeff(t)); }

double VpSchedule::marginal_std(double t) const {
  return std::sqrt(-std::expm1(2 * marginal_log_mean_coeff(t)));
}

double VpSchedule::marginal_lambda(double t) const {
  return lambda_from_log_alpha(marginal_log_mean_coeff(t));
}

double VpSchedule::inverse_lambda(double lambda) const {
  const double log_alpha = log_alpha_from_lambda(lambda);
  switch (kind) {
    case VpScheduleKind::Linear: {
      const double product = -4 * (beta_1 - beta_0) * log_alpha;
      return product / (std::sqrt(beta_0 * beta_0 + product) + beta_0) / (beta_1 - beta_0);
    }
    case VpScheduleKind::Cosine:
      return std::acos(std::exp(log_alpha + log_cosine(0, cosine_s))) * 2 * (1 + cosine_s) /
                 std::numbers::pi -
             cosine_s;
    case VpScheduleKind::Discrete:
      break;
  }
  // The last entry that is not below log_alpha; the entries fall.
  const auto above = std::upper_bound(log_alphas.begin(), log_alphas.end(), log_alpha,
                                      [](double value, double entry) { return value > entry; });
  const auto index = static_cast<double>(above - log_alphas.begin()) - 1;
  const size_t low = segment(index, log_alphas.size());
  const double fraction = (log_alpha - log_alphas[low]) / (log_alphas[low + 1] - log_alphas[low]);
  return (static_cast<double>(low) + fraction + 1) / static_cast<double>(log_alphas.size());
}

double VpSchedule::t_max() const { return kind == VpScheduleKind::Cosine ? 0.9946 : 1; }

double VpSchedule::t_min() const {
  return kind == VpScheduleKind::Discrete ? 1 / static_cast<double>(log_alphas.size()) : 1e-3;
}

double VpSchedule::network_time(double t) const {
  return kind == VpScheduleKind::Discrete ? t * static_cast<double>(log_alphas.size()) - 1 : t;
}

VpSchedule discrete_vp_schedule(std::span<const double> alphas_cumprod) {
  VpSchedule schedule;
  schedule.kind = VpScheduleKind::Discrete;
  double before = 1;
  for (const double abar : alphas_cumprod) {
    if (!(abar > 0 && abar < before)) {
      fail_usage("alphas_cumprod goes from {} to {}; it must fall strictly from below 1 to above 0",
                 before, abar);
    }
    before = abar;
    const double log_alpha = 0.5 * std::log(abar);
    if (lambda_from_log_alpha(log_alpha) < kLowestLambda) break;
    schedule.log_alphas.push_back(log_alpha);
  }
  if (schedule.log_alphas.size() < 2) {
    fail_usage(
        "alphas_cumprod has {} values, {} of them with lambda of at least {}; DPM-Solver "
        "interpolates between at least 2",
        alphas_cumprod.size(), schedule.log_alphas.size(), kLowestLambda);
  }
  return schedule;
}

VpSchedule linear_vp_schedule(double beta_0, double beta_1) {
  if (!(beta_0 > 0 && beta_1 > beta_0 && std::isfinite(beta_1))) {
    fail_usage("beta_0 and beta_1 are {} and {}; they must be above 0 and rise", beta_0, beta_1);
  }
  VpSchedule schedule;
  schedule.kind = VpScheduleKind::Linear;
  schedule.beta_0 = beta_0;
  schedule.beta_1 = beta_1;
  return schedule;
}

VpSchedule cosine_vp_schedule(double s) {
  if (!(s > 0 && std::isfinite(s))) {
    fail_usage("the cosine schedule's s is {}; it must be above 0, usually 0.008", s);
  }
  VpSchedule schedule;
  schedule.kind = VpScheduleKind::Cosine;
  schedule.cosine_s = s;
  return schedule;
}

}  // namespace easel
