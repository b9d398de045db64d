#include "easel/nn/initialize.h"

#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

namespace easel::nn {
namespace {

// FNV-1a over the seed's bytes and the name, folded, because the generator takes 32 bits of it.
uint64_t stream(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  const auto add = [&](unsigned char byte) { hash = (hash ^ byte) * 0x100000001b3ULL; };
  for (int shift = 0; shift < 64; shift += 8) add(static_cast<unsigned char>(seed >> shift));
  for (const char c : name) add(static_cast<unsigned char>(c));
  return hash ^ (hash >> 32);
}

void give_memory(Tensor& parameter) {
  if (parameter.is_meta()) parameter = allocate_like(parameter, at::kCPU, at::kFloat);
}

// The values are drawn on the CPU in float32, whatever the parameter is.
template <class Draw>
void fill(Tensor& parameter, uint64_t seed, std::string_view name, const Draw& draw) {
  give_memory(parameter);
  const at::NoGradGuard no_grad;
  at::Generator generator = at::detail::createCPUGenerator(stream(seed, name));
  Tensor values = at::empty(parameter.sizes(), at::TensorOptions(at::kFloat).device(at::kCPU));
  draw(values, generator);
  parameter.copy_(values);
}

void fill_linear(Tensor& weight, Tensor& bias, uint64_t seed, std::string_view name) {
  const int64_t fan_in = weight.numel() / weight.size(0);
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  fill_uniform(weight, bound, seed, std::string(name) + ".weight");
  if (bias.defined()) fill_uniform(bias, bound, seed, std::string(name) + ".bias");
}

void fill_norm(Tensor& weight, Tensor& bias) {
  fill_constant(weight, 1);
  fill_constant(bias, 0);
}

}  // namespace

void fill_normal(Tensor& parameter, double std, uint64_t seed, std::string_view name, double mean) {
  fill(parameter, seed, name, [&](Tensor& values, const at::Generator& generator) {
    values.normal_(mean, std, generator);
  });
}

void fill_uniform(Tensor& parameter, double bound, uint64_t seed, std::string_view name) {
  fill(parameter, seed, name, [&](Tensor& values, const at::Generator& generator) {
    values.uniform_(-bound, bound, generator);
  });
}

void fill_constant(Tensor& parameter, double value) {
  give_memory(parameter);
  const at::NoGradGuard no_grad;
  parameter.fill_(value);
}

Tensor allocate_like(const Tensor& parameter, at::Device device, at::ScalarType dtype) {
  return at::empty(parameter.sizes(), at::TensorOptions(dtype).device(device));
}

void initialize_default(Linear& layer, uint64_t seed, std::string_view name) {
  fill_linear(layer.weight, layer.bias, seed, name);
}

void initialize_default(Conv2d& layer, uint64_t seed, std::string_view name) {
  fill_linear(layer.weight, layer.bias, seed, name);
}

void initialize_default(SpatialTransformer::Projection& layer, uint64_t seed,
                        std::string_view name) {
  fill_linear(layer.weight, layer.bias, seed, name);
}

void initialize_default(GroupNorm& layer, uint64_t, std::string_view) {
  fill_norm(layer.weight, layer.bias);
}

void initialize_default(LayerNorm& layer, uint64_t, std::string_view) {
  fill_norm(layer.weight, layer.bias);
}

void initialize_default(Embedding& layer, uint64_t seed, std::string_view name) {
  fill_normal(layer.weight, 1, seed, std::string(name) + ".weight");
}

}  // namespace easel::nn
