#include "dpm_solver_update.h"

#include <cmath>

#include <ATen/ATen.h>

namespace easel::dpm {
namespace {

// The higher ones lose digits to cancellation where k is small; there their series take over.
constexpr double kSmall = 0.1;

// sum over n >= 0 of k^(n + 1) / (n + first)!
double series(double k, int first) {
  double term = k;
  for (int i = 2; i <= first; ++i) term /= i;
  double sum = 0;
  for (int n = 1; n <= 12; ++n) {
    sum += term;
    term *= k / (first + n);
  }
  return sum;
}

struct Transfer {
  double h;
  double k;
  double carry;
  double weight;
};

Transfer transfer(Algorithm algorithm, const Level& s, const Level& t) {
  const double h = t.lambda - s.lambda;
  if (algorithm == Algorithm::Noise) return {h, h, 1, t.sigma};
  return {h, -h, t.sigma / s.sigma, 1};
}

Tensor first(Algorithm algorithm, const Tensor& x_BCHW, const Value& s, const Level& t) {
  // The limit at level 0: the estimate of the clean latents.
  if (t.sigma == 0) {
    return algorithm == Algorithm::Data ? s.m_BCHW : x_BCHW - s.level.sigma * s.m_BCHW;
  }
  const Transfer f = transfer(algorithm, s.level, t);
  return f.carry * x_BCHW - (f.weight * phi(1, f.k)) * s.m_BCHW;
}

Tensor second(Algorithm algorithm, Form form, const Tensor& x_BCHW, const Value& s,
              const Tensor& D1_BCHW, const Level& t) {
  const Transfer f = transfer(algorithm, s.level, t);
  const double slope = form == Form::Taylor ? phi(2, f.k) : 0.5 * phi(1, f.k);
  return f.carry * x_BCHW - (f.weight * phi(1, f.k)) * s.m_BCHW - (f.weight * slope) * D1_BCHW;
}

Tensor third(Algorithm algorithm, const Tensor& x_BCHW, const Value& s, const Tensor& D1_BCHW,
             const Tensor& D2_BCHW, const Level& t) {
  const Transfer f = transfer(algorithm, s.level, t);
  return f.carry * x_BCHW - (f.weight * phi(1, f.k)) * s.m_BCHW -
         (f.weight * phi(2, f.k)) * D1_BCHW - (f.weight * phi(3, f.k)) * D2_BCHW;
}

}  // namespace

double phi(int n, double k) {
  if (n == 1) return std::expm1(k);
  if (std::abs(k) < kSmall) return series(k, n);
  return phi(n - 1, k) / k - 1 / std::tgamma(n);
}

std::vector<double> exponential_weights(std::span<const double> nodes,
                                        std::span<const double> phis) {
  std::vector<double> weights;
  for (size_t j = 0; j < nodes.size(); ++j) {
    // The coefficients of the polynomial that is 1 at node j and 0 at the others.
    std::vector<double> polynomial = {1};
    for (size_t k = 0; k < nodes.size(); ++k) {
      if (k == j) continue;
      const double distance = nodes[j] - nodes[k];
      polynomial.push_back(0);
      for (size_t n = polynomial.size() - 1; n > 0; --n) {
        polynomial[n] = (polynomial[n - 1] - nodes[k] * polynomial[n]) / distance;
      }
      polynomial[0] *= -nodes[k] / distance;
    }
    double weight = 0;
    double factorial = 1;
    for (size_t n = 0; n < polynomial.size(); ++n) {
      if (n > 1) factorial *= static_cast<double>(n);
      weight += factorial * phis[n] * polynomial[n];
    }
    weights.push_back(weight);
  }
  return weights;
}

std::vector<Value> singlestep_values(const Predict& predict, Algorithm algorithm,
                                     const Tensor& x_BCHW, std::span<const Level> levels) {
  std::vector<Value> values;
  values.push_back({levels[0], predict(x_BCHW, levels[0])});
  for (size_t i = 1; i + 1 < levels.size(); ++i) {
    const Value& s = values[0];
    Tensor inner_BCHW;
    if (i == 1) {
      inner_BCHW = first(algorithm, x_BCHW, s, levels[1]);
    } else {
      const double ratio =
          (levels[i].lambda - s.level.lambda) / (values[1].level.lambda - s.level.lambda);
      const Tensor D1_BCHW = ratio * (values[1].m_BCHW - s.m_BCHW);
      inner_BCHW = second(algorithm, Form::Taylor, x_BCHW, s, D1_BCHW, levels[i]);
    }
    values.push_back({levels[i], predict(inner_BCHW, levels[i])});
  }
  return values;
}

Tensor singlestep_update(Algorithm algorithm, Form form, const Tensor& x_BCHW,
                         std::span<const Value> values, const Level& t) {
  const Value& s = values[0];
  if (values.size() == 1) return first(algorithm, x_BCHW, s, t);
  const double h = t.lambda - s.level.lambda;
  const double r1 = (values[1].level.lambda - s.level.lambda) / h;
  const Tensor D1_0_BCHW = (values[1].m_BCHW - s.m_BCHW) / r1;
  if (values.size() == 2) return second(algorithm, form, x_BCHW, s, D1_0_BCHW, t);
  const double r2 = (values[2].level.lambda - s.level.lambda) / h;
  const Tensor D1_1_BCHW = (values[2].m_BCHW - s.m_BCHW) / r2;
  if (form == Form::DpmSolver) return second(algorithm, Form::Taylor, x_BCHW, s, D1_1_BCHW, t);
  const Tensor D1_BCHW = (r2 * D1_0_BCHW - r1 * D1_1_BCHW) / (r2 - r1);
  const Tensor D2_BCHW = 2 * (D1_1_BCHW - D1_0_BCHW) / (r2 - r1);
  return third(algorithm, x_BCHW, s, D1_BCHW, D2_BCHW, t);
}

Tensor multistep_update(Algorithm algorithm, Form form, const Tensor& x_BCHW,
                        std::span<const Value> values, const Level& t) {
  const Value& now = values.back();
  const double h = t.lambda - now.level.lambda;
  if (h == 0) return x_BCHW;
  const size_t count = values.size();
  const auto gap = [&](size_t back) {  // between the values `back` and `back` + 1 from the end
    return (values[count - 1 - back].level.lambda - values[count - 2 - back].level.lambda) / h;
  };
  if (t.sigma == 0 || count < 2 || gap(0) == 0) return first(algorithm, x_BCHW, now, t);
  const double r0 = gap(0);
  const Tensor D1_0_BCHW = (now.m_BCHW - values[count - 2].m_BCHW) / r0;
  if (count < 3 || gap(1) == 0) return second(algorithm, form, x_BCHW, now, D1_0_BCHW, t);
  const double r1 = gap(1);
  const Tensor D1_1_BCHW = (values[count - 2].m_BCHW - values[count - 3].m_BCHW) / r1;
  // A Taylor expansion has twice this as D2; the authors' program, and those after it, do not.
  const Tensor bend_BCHW = (D1_0_BCHW - D1_1_BCHW) / (r0 + r1);
  return third(algorithm, x_BCHW, now, D1_0_BCHW + r0 * bend_BCHW, bend_BCHW, t);
}

}  // namespace easel::dpm
