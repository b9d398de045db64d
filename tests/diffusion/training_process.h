// The processes and the network of the cases of scripts/fixtures/training_theory.py.
#pragma once

#include <string>

#include <easel/diffusion/process.h>

#include "tests/diffusion/toy_network.h"

namespace easel::test {

inline NoiseSchedule training_schedule(const std::string& name) {
  if (name == "cosine") return make_noise_schedule({.beta_schedule = "cosine", .timesteps = 40});
  if (name == "two") return make_noise_schedule({.linear_end = 0.3, .timesteps = 2});
  return make_noise_schedule({});
}

inline DiffusionProcess training_process(const nlohmann::json& settings) {
  return make_diffusion_process(training_schedule(settings.at("schedule").get<std::string>()),
                                {.parameterization = parameterization_from_name(
                                     settings.at("parameterization").get<std::string>()),
                                 .v_posterior = settings.value("v_posterior", 0.0)});
}

// The learnt factor of each channel of the network below.
inline Tensor toy_gain() { return at::tensor({0.9, 1.1, 1.3, 0.7}, at::kDouble); }

inline Network toy_network_with(const Tensor& gain) {
  return [gain](const Tensor& x_BCHW, const Tensor& t_B, const Conditioning& conditioning) {
    return gain.to(x_BCHW.scalar_type()).reshape({1, 4, 1, 1}) *
           toy_network(x_BCHW, t_B, conditioning);
  };
}

inline Conditioning toy_conditioning(int64_t num_images) {
  return toy_guidance(1, num_images).conditional;
}

}  // namespace easel::test
