// The smooth function that stands in for a network here and in scripts/fixtures/diffusion.py.
#pragma once

#include <fstream>
#include <memory>
#include <string>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <easel/diffusion/denoiser.h>

namespace easel::test {

// Of the fixtures' latents.
inline const std::vector<int64_t> kShape = {2, 4, 2, 3};

inline Tensor toy_network(const Tensor& x_BCHW, const Tensor& t_B,
                          const Conditioning& conditioning) {
  const Tensor phase = (t_B / 1000).reshape({-1, 1, 1, 1});
  const Tensor shift = conditioning.context_BTD.select(1, 0).select(1, 0).reshape({-1, 1, 1, 1});
  const Tensor offset = conditioning.context_BTD.select(1, 0).select(1, 1).reshape({-1, 1, 1, 1});
  const Tensor neighbour = x_BCHW.roll({1}, {1});
  const Tensor bent = at::tanh(0.7 * x_BCHW - 0.4 * neighbour + shift + at::cos(7 * phase));
  return (0.3 + 0.6 * phase) * x_BCHW + 0.25 * bent + offset;
}

inline Guidance toy_guidance(double scale, int64_t num_images) {
  const Tensor row = at::arange(num_images, at::kFloat);
  const Tensor conditional = at::stack({0.5 + 0.1 * row, 0.1 - 0.05 * row}, 1).unsqueeze(1);
  const Tensor unconditional = at::stack({-0.3 - 0.2 * row, 0.02 + 0 * row}, 1).unsqueeze(1);
  Guidance guidance;
  guidance.scale = scale;
  guidance.conditional.context_BTD = conditional;
  guidance.unconditional.context_BTD = unconditional;
  return guidance;
}

// The toy network with a count of its evaluations.
inline Network counted_toy_network(std::shared_ptr<int64_t> count) {
  return [count](const Tensor& x_BCHW, const Tensor& t_B, const Conditioning& conditioning) {
    ++*count;
    return toy_network(x_BCHW, t_B, conditioning);
  };
}

inline nlohmann::json read_fixture(const std::string& name) {
  std::ifstream file(EASEL_TEST_DATA "/diffusion/" + name + ".json");
  return nlohmann::json::parse(file);
}

inline Tensor tensor_from_json(const nlohmann::json& values, at::IntArrayRef shape) {
  const auto numbers = values.get<std::vector<double>>();
  return at::tensor(at::ArrayRef<double>(numbers)).to(at::kFloat).reshape(shape);
}

}  // namespace easel::test
