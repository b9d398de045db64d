// The random choices about the examples of a batch, each from the example's own seed.
#pragma once

#include <cstdint>
#include <vector>

#include <easel/base/tensor.h>

namespace easel {

// What a random number is for: different purposes of one seed give independent numbers.
enum class Purpose : uint64_t { Timestep = 1, Noise, Posterior, CaptionDropout };

// Standard normal, [B, shape...], float32 on `device`.
Tensor example_normal(const std::vector<uint64_t>& seeds, Purpose purpose, at::IntArrayRef shape,
                      at::Device device);
// Uniform whole numbers in [0, below), [B] int64 on the CPU.
Tensor example_integers(const std::vector<uint64_t>& seeds, Purpose purpose, int64_t below);
// Uniform in [0, 1).
double example_uniform(uint64_t seed, Purpose purpose);

}  // namespace easel
