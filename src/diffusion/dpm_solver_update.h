// The updates that the drivers of DPM-Solver share, on x = x0 + sigma * noise.
//
// Noise prediction integrates dx = eps dsigma, data prediction d(x / sigma) = x0 d(1 / sigma); with
// k = h (noise) or -h (data), h = lambda_t - lambda_s, both are
//
//   x_t = carry * x_s - weight * (phi_1(k) m + phi_2(k) D1 + phi_3(k) D2)
//
// where D1 and D2 are h and h^2 times the derivatives of the model's value m by lambda, and
// phi_1 = exp(k) - 1, phi_2 = phi_1 / k - 1, phi_3 = phi_2 / k - 1/2.
#pragma once

#include <cmath>
#include <functional>
#include <span>
#include <vector>

#include <easel/base/tensor.h>

namespace easel::dpm {

enum class Algorithm { Noise, Data };
enum class Form { DpmSolver, Taylor };  // solver_type

struct Level {
  double lambda;  // -log sigma
  double sigma;   // noise over signal
  double t;       // of the schedule; unused along a list of sigmas
};

// Of a plan: time is not known.
inline Level level_of(double sigma) { return {-std::log(sigma), sigma, 0}; }

// The model's value at a level.
struct Value {
  Level level;
  Tensor m_BCHW;  // eps or x0, by the algorithm
};

// phi_1(k) = exp(k) - 1, phi_n(k) = phi_n-1(k) / k - 1 / (n - 1)!.
double phi(int n, double k);

// The weights of values at `nodes` in an exponential step that holds their interpolating
// polynomial: sum over n of n! phi_n+1 times the polynomial's n-th coefficient. Nodes are in
// lambda, in units of the step, 0 at its start; phis[n] is phi_n+1, as many as there are nodes.
std::vector<double> exponential_weights(std::span<const double> nodes,
                                        std::span<const double> phis);

// The model's value for x = x0 + sigma * noise.
using Predict = std::function<Tensor(const Tensor& x_BCHW, const Level& level)>;

// One singlestep update from levels.front() to levels.back(), of order levels.size() - 1: the
// values at all levels but the last, from x at the first. Levels must differ.
std::vector<Value> singlestep_values(const Predict& predict, Algorithm algorithm,
                                     const Tensor& x_BCHW, std::span<const Level> levels);

// x at t from one to three such values; fewer of them than there are give a lower order.
Tensor singlestep_update(Algorithm algorithm, Form form, const Tensor& x_BCHW,
                         std::span<const Value> values, const Level& t);

// From the values at the last one to three levels, newest last, x at t. Levels that coincide lower
// the order.
Tensor multistep_update(Algorithm algorithm, Form form, const Tensor& x_BCHW,
                        std::span<const Value> values, const Level& t);

}  // namespace easel::dpm
