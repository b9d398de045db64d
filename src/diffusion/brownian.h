// The noise of stochastic differential equations: a Brownian motion that may be asked for any
// interval, in any order, and answers from its seed alone.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "easel/diffusion/noise.h"

namespace easel {

// W(b) - W(a) of a Brownian motion over [low, high], by torchsde's BrownianTree (tolerance 1e-6, as
// k-diffusion uses it): the interval is halved until its ends are reached, and each half's share is
// drawn from a stream of its own, whose seed numpy's SeedSequence makes from the entropy and the
// place in the tree. Levels are single-precision numbers there, and so they are here.
class BrownianTree {
 public:
  BrownianTree(Rng rng, uint64_t entropy, std::vector<int64_t> shape, double low, double high);

  // Float32 on the CPU; 0 <= a < b. What lies outside [low, high] is cut off.
  Tensor increment(double a, double b);

 private:
  struct Node;
  using Place = std::pair<uint64_t, uint64_t>;  // depth, key
  void collect(const Node& node, double a, double b, Tensor& sum);

  Rng rng_;
  uint64_t entropy_;
  std::vector<int64_t> shape_;
  double low_;
  double high_;
  Tensor whole_;
  // Increments of left halves: those of the last question, for the next one shares most of its way.
  std::map<Place, Tensor> known_;
  std::map<Place, Tensor> used_;
};

// numpy.random.SeedSequence(entropy, spawn_key=spawn_key, pool_size=24).generate_state(1)[0].
uint32_t seed_sequence(uint64_t entropy, const std::vector<uint64_t>& spawn_key);

}  // namespace easel
