#include "easel/models/initialize.h"

#include <set>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/nn/module.h>

#include "tests/support/model_cases.h"

namespace easel {
namespace {

bool is_zero(const Tensor& x) { return !x.any().item<bool>(); }

double std_of(const Tensor& x) { return x.std(/*unbiased=*/false).item<double>(); }

template <class Module>
std::map<std::string, Tensor> parameters_of(const Module& module) {
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, tensor] : nn::named_parameters(module)) tensors[name] = *tensor;
  return tensors;
}

// CompVis's zero_module, by the names of diffusers.
bool is_zero_in_unet(const std::string& name) {
  return name.find(".conv2.") != std::string::npos ||
         name.find(".proj_out.") != std::string::npos || name.starts_with("conv_out.") ||
         // plain attention; a transformer's to_out is not zero
         (name.find(".to_out.0.") != std::string::npos &&
          name.find(".transformer_blocks.") == std::string::npos);
}

TEST(InitializeUNet, IsZeroWhereCompVisIsAndNowhereElse) {
  const test::ModelCases cases("unet");
  for (const std::string name :
       {"compvis_heads_legacy", "compvis_plain", "compvis_plain_classes", "diffusers_linear"}) {
    UNet unet(cases.unet(name));
    initialize(unet, 3);
    for (const auto& [parameter, tensor] : parameters_of(unet)) {
      const bool norm_bias =
          parameter.find("norm") != std::string::npos && parameter.ends_with(".bias");
      EXPECT_EQ(is_zero(tensor), is_zero_in_unet(parameter) || norm_bias)
          << name << " " << parameter;
    }
    const auto tensors = parameters_of(unet);
    const double bound = 1 / std::sqrt(32.0 * 9);
    EXPECT_NEAR(std_of(tensors.at("down_blocks.0.resnets.0.conv1.weight")), bound / std::sqrt(3.0),
                bound * 0.05);
    at::NoGradGuard no_grad;
    EXPECT_TRUE(is_zero(unet.forward(cases.tensor(name, "x"), cases.tensor(name, "t"),
                                     cases.find(name, "context"), cases.find(name, "label"))));
  }
}

TEST(InitializeAutoencoder, ZeroesNoWeight) {
  const test::ModelCases cases("autoencoder");
  Autoencoder autoencoder(cases.autoencoder("compvis_attention_both"));
  initialize(autoencoder, 3);
  for (const auto& [name, tensor] : parameters_of(autoencoder)) {
    if (name.ends_with("weight")) {
      EXPECT_FALSE(is_zero(tensor)) << name;
    }
    if (name.find("norm") != std::string::npos && name.ends_with("weight")) {
      EXPECT_TRUE(at::equal(tensor, at::ones_like(tensor))) << name;
    }
  }
}

// The deviations that transformers' CLIPModel of the same config shows.
TEST(InitializeClip, HasTheDeviationsOfTransformers) {
  ClipConfig config;
  config.text = {.vocab_size = 300,
                 .hidden_size = 64,
                 .intermediate_size = 200,
                 .num_hidden_layers = 3,
                 .num_attention_heads = 4};
  config.vision = {.hidden_size = 96,
                   .intermediate_size = 160,
                   .num_hidden_layers = 5,
                   .num_attention_heads = 4,
                   .image_size = 64,
                   .patch_size = 8};
  config.projection_dim = 80;
  config.eos_token_id = 299;
  Clip clip(config);
  initialize(clip, 3);
  const auto tensors = parameters_of(clip);
  const double text = 64;
  const double vision = 96;
  const std::map<std::string, double> stds = {
      {"text_model.embeddings.token_embedding.weight", 0.02},
      {"text_model.embeddings.position_embedding.weight", 0.02},
      {"text_model.encoder.layers.1.self_attn.q_proj.weight", 1 / std::sqrt(text * 6)},
      {"text_model.encoder.layers.1.self_attn.k_proj.weight", 1 / std::sqrt(text * 6)},
      {"text_model.encoder.layers.1.self_attn.v_proj.weight", 1 / std::sqrt(text * 6)},
      {"text_model.encoder.layers.1.self_attn.out_proj.weight", 1 / std::sqrt(text)},
      {"text_model.encoder.layers.2.mlp.fc1.weight", 1 / std::sqrt(2 * text)},
      {"text_model.encoder.layers.2.mlp.fc2.weight", 1 / std::sqrt(text * 6)},
      {"vision_model.embeddings.patch_embedding.weight", 0.02},
      {"vision_model.embeddings.position_embedding.weight", 0.02},
      {"vision_model.encoder.layers.4.self_attn.q_proj.weight", 1 / std::sqrt(vision * 10)},
      {"vision_model.encoder.layers.4.self_attn.out_proj.weight", 1 / std::sqrt(vision)},
      {"vision_model.encoder.layers.4.mlp.fc1.weight", 1 / std::sqrt(2 * vision)},
      {"vision_model.encoder.layers.4.mlp.fc2.weight", 1 / std::sqrt(vision * 10)},
      {"text_projection.weight", 1 / std::sqrt(text)},
      {"visual_projection.weight", 1 / std::sqrt(vision)},
  };
  for (const auto& [name, std] : stds) {
    EXPECT_NEAR(std_of(tensors.at(name)) / std, 1, 0.06) << name;
    EXPECT_NEAR(tensors.at(name).mean().item<double>() / std, 0, 0.1) << name;
  }
  // 96 values alone: a looser bound.
  EXPECT_NEAR(std_of(tensors.at("vision_model.embeddings.class_embedding")) * std::sqrt(vision), 1,
              0.3);
  EXPECT_FLOAT_EQ(tensors.at("logit_scale").item<float>(), 2.6592f);
  for (const auto& [name, tensor] : tensors) {
    EXPECT_FALSE(tensor.is_meta()) << name;
    if (name.ends_with(".bias")) {
      EXPECT_TRUE(is_zero(tensor)) << name;
    }
    if (name.find("norm") != std::string::npos && name.ends_with(".weight")) {
      EXPECT_TRUE(at::equal(tensor, at::ones_like(tensor))) << name;
    }
  }
  ClipText alone(config.text);
  initialize(alone, 3);
  for (const auto& [name, tensor] : parameters_of(alone)) {
    EXPECT_TRUE(at::equal(tensor, tensors.at(name))) << name;
  }
}

}  // namespace
}  // namespace easel
