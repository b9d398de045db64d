#include "beta_quantile.h"

#include <cmath>

#include <easel/base/error.h>

namespace easel {
namespace {

// The continued fraction of I_x(a, b) (DLMF 8.17.22), from its first convergents up until it
// stands; it converges fast for x < (a + 1) / (a + b + 2).
double continued_fraction(double x, double a, double b) {
  constexpr int kMaxTerms = 10'000;
  double p0 = 1, q0 = 0, p1 = 1, q1 = 1;
  double value = 1;
  for (int n = 1; n <= kMaxTerms; ++n) {
    const int m = n / 2;
    const double coefficient = n % 2 == 0
                                   ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                                   : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    const double p2 = p1 + coefficient * p0;
    const double q2 = q1 + coefficient * q0;
    // Scaled so that the convergents do not overflow.
    p0 = p1 / q2;
    q0 = q1 / q2;
    p1 = p2 / q2;
    q1 = 1;
    const double before = value;
    value = p1;
    if (n > 2 && std::abs(value - before) <= 1e-16 * std::abs(value)) break;
  }
  return value;
}

double incomplete_beta(double x, double a, double b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(1 - x, b, a);
  const double log_front = a * std::log(x) + b * std::log1p(-x) - std::log(a) - std::lgamma(a) -
                           std::lgamma(b) + std::lgamma(a + b);
  return std::exp(log_front) / continued_fraction(x, a, b);
}

}  // namespace

double beta_quantile(double share, double a, double b) {
  if (!(share >= 0 && share <= 1 && a > 0 && b > 0)) {
    fail(
        "a beta distribution's quantile takes a share of 0 to 1 and parameters above 0, not {}, "
        "{} and {}",
        share, a, b);
  }
  if (share == 0 || share == 1) return share;
  double low = 0;
  double high = 1;
  while (true) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    (incomplete_beta(middle, a, b) < share ? low : high) = middle;
  }
}

}  // namespace easel
