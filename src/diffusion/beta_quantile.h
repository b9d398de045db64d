// Quantiles of the beta distribution.
#pragma once

namespace easel {

// x in [0, 1] with I_x(a, b) = share: the regularised incomplete beta function's inverse. a and b
// are above 0, share is 0 to 1.
double beta_quantile(double share, double a, double b);

}  // namespace easel
