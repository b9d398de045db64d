// A whole model small enough to draw with in a moment, its weights decided by their names. The same
// model as in scripts/fixtures/pipeline.py.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <easel/checkpoint/convert.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/checkpoint/weights.h>
#include <easel/io/tensor_file.h>

#include "tests/support/hashed_weights.h"

namespace easel::test {

inline ModelConfig tiny_config() {
  ModelConfig config;
  config.unet.model_channels = 32;
  config.unet.num_res_blocks = {1, 1};
  config.unet.attention_resolutions = {2, 1};
  config.unet.channel_mult = {1, 2};
  config.unet.num_heads = 4;
  config.unet.use_spatial_transformer = true;
  config.unet.context_dim = 32;
  config.autoencoder.ch = 32;
  config.autoencoder.ch_mult = {1, 1, 1, 1};
  config.autoencoder.num_res_blocks = 1;
  config.text_encoder.hidden_size = 32;
  config.text_encoder.intermediate_size = 64;
  config.text_encoder.num_hidden_layers = 3;
  config.text_encoder.num_attention_heads = 4;
  config.image_size = 8;
  return config;
}

inline StableDiffusion tiny_model(const Tokenizer& tokenizer, at::ScalarType dtype = at::kFloat,
                                  const ModelConfig& config = tiny_config(),
                                  at::Device device = at::kCPU) {
  StableDiffusion model{.config = config,
                        .tokenizer = tokenizer,
                        .text_encoder = ClipText(config.text_encoder),
                        .unet = UNet(config.unet),
                        .autoencoder = Autoencoder(config.autoencoder),
                        .schedule = make_noise_schedule(config.schedule),
                        .device = device,
                        .dtype = dtype,
                        .name = "tiny"};
  fill_hashed(model.text_encoder, dtype, device);
  fill_hashed(model.unet, dtype, device);
  fill_hashed(model.autoencoder, dtype, device);
  return model;
}

inline StableDiffusion tiny_model(const std::string& vocabulary, at::ScalarType dtype = at::kFloat,
                                  const ModelConfig& config = tiny_config(),
                                  at::Device device = at::kCPU) {
  return tiny_model(ClipTokenizer::from_bpe_file(vocabulary), dtype, config, device);
}

// Writes the model as FOLDER/tiny.safetensors in CompVis's layout with tiny.yaml beside it, and
// returns the file's path.
inline std::filesystem::path write_tiny_model(const std::filesystem::path& folder,
                                              const StableDiffusion& model) {
  Tensors native;
  const auto add = [&](const std::string& part, const auto& module) {
    for (const auto& [name, tensor] : nn::named_parameters(module)) native[part + name] = *tensor;
  };
  add("unet.", model.unet);
  add("vae.", model.autoencoder);
  add("text_encoder.", model.text_encoder);
  const std::filesystem::path file = folder / "tiny.safetensors";
  write_safetensors(file, from_native(model.config, native, WeightLayout::CompVis), {},
                    IfExists::Replace);
  std::ofstream(folder / "tiny.yaml") << compvis_config_text(model.config);
  return file;
}

inline std::filesystem::path write_tiny_model(const std::filesystem::path& folder,
                                              const std::string& vocabulary) {
  return write_tiny_model(folder, tiny_model(vocabulary));
}

}  // namespace easel::test
