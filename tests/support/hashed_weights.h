// Random-looking weights that a name and an index decide, so that fixtures need not store them.
//
// scripts/fixtures/support/hashed_weights.py makes the same numbers, bit for bit, for the reference
// programs:
//   seed  = 64-bit FNV-1a of the name
//   u_i   = (splitmix64(seed + i) >> 40) * 2^-23 - 1, in [-1, 1)
//   value = float32(float64(u) * scale + offset)
//   scale, offset: sqrt(3 / (numel / shape[0])), 0 for two dimensions and more; 0.2, 1 for a vector
//   named "weight" (norms); 0.1, 0 for any other vector
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include <ATen/ATen.h>

#include <easel/nn/module.h>

namespace easel::test {

inline double hashed_uniform(uint64_t seed, uint64_t i) {
  uint64_t z = (seed + i) + 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  z ^= z >> 31;
  return static_cast<double>(z >> 40) * 0x1p-23 - 1.0;
}

inline uint64_t hashed_seed(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

// float32 on the CPU.
inline Tensor hashed_tensor(std::string_view name, at::IntArrayRef shape) {
  Tensor tensor = at::empty(shape, at::kFloat);
  double scale = 0.1;
  double offset = 0;
  if (tensor.dim() >= 2) {
    scale = std::sqrt(3.0 / static_cast<double>(tensor.numel() / tensor.size(0)));
  } else if (name.ends_with("weight")) {
    scale = 0.2;
    offset = 1;
  }
  const uint64_t seed = hashed_seed(name);
  float* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(hashed_uniform(seed, i) * scale + offset);
  }
  return tensor;
}

// Gives every parameter of the module the weights of its name.
template <class Module>
void fill_hashed(Module& module, at::ScalarType dtype = at::kFloat, at::Device device = at::kCPU) {
  for (const auto& [name, tensor] : nn::named_parameters(module)) {
    *tensor = hashed_tensor(name, tensor->sizes()).to(device, dtype);
  }
}

}  // namespace easel::test
