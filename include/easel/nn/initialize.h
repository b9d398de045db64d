// Memory and first values for the parameters of a module that is trained from nothing.
//
//   initialize_default(module, seed);         PyTorch's default of every layer
//   make_parameters(module, device, dtype);   memory alone, for another device or dtype
//
// What fills a parameter on the meta device gives it memory first: float32 on the CPU.
// models/initialize.h has the first values of each network's reference program.
//
// A parameter's values depend on the seed, its full name and its shape, never on the number of
// threads, the device, its dtype (beyond rounding) or the other parameters.
#pragma once

#include <cstdint>
#include <string_view>

#include <easel/nn/layers.h>
#include <easel/nn/module.h>
#include <easel/nn/transformer.h>

namespace easel::nn {

// These overwrite a parameter without recording gradients. `name` is its full name.
void fill_normal(Tensor& parameter, double std, uint64_t seed, std::string_view name,
                 double mean = 0);
// Uniform in [-bound, bound).
void fill_uniform(Tensor& parameter, double bound, uint64_t seed, std::string_view name);
void fill_constant(Tensor& parameter, double value);

// A tensor, its values not set, of the parameter's shape.
Tensor allocate_like(const Tensor& parameter, at::Device device, at::ScalarType dtype);

// Gives every parameter memory of its own; the values are whatever lies there.
template <class Module>
void make_parameters(Module& module, at::Device device = at::kCPU,
                     at::ScalarType dtype = at::kFloat) {
  for (const auto& parameter : named_parameters(module)) {
    *parameter.tensor = allocate_like(*parameter.tensor, device, dtype);
  }
}

// PyTorch's reset_parameters of each layer: weights of linear layers and convolutions uniform in
// +-1 / sqrt(fan_in) (kaiming_uniform with a = sqrt(5)), their biases too; norms 1 and 0;
// embeddings normal(0, 1).
void initialize_default(Linear& layer, uint64_t seed, std::string_view name);
void initialize_default(Conv2d& layer, uint64_t seed, std::string_view name);
void initialize_default(SpatialTransformer::Projection& layer, uint64_t seed,
                        std::string_view name);
void initialize_default(GroupNorm& layer, uint64_t seed, std::string_view name);
void initialize_default(LayerNorm& layer, uint64_t seed, std::string_view name);
void initialize_default(Embedding& layer, uint64_t seed, std::string_view name);

// Every layer of the module, at any depth. Parameters that belong to no layer keep their values.
template <class Module>
void initialize_default(Module& module, uint64_t seed) {
  visit_modules(module, [seed](auto& layer, std::string_view name) {
    if constexpr (requires { initialize_default(layer, seed, name); }) {
      initialize_default(layer, seed, name);
    }
  });
}

}  // namespace easel::nn
