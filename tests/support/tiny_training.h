// Training runs small enough for a test: pictures in a folder, and configs in CompVis's schema.
#pragma once

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/io/image.h>
#include <easel/io/tensor_file.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"
#include "tests/support/temp_dir.h"

namespace easel::test {

constexpr std::array<std::string_view, 6> kColours = {"red",   "green", "blue",
                                                      "black", "white", "yellow"};

// NAME00.png ... and NAME00.txt ... in `folder`: plain colours with a disc, 16 pixels a side.
inline void write_pictures(const std::filesystem::path& folder, int count, int side = 16,
                           const std::string& name = "p") {
  std::filesystem::create_directories(folder);
  for (int n = 0; n < count; ++n) {
    Image image{.width = side, .height = side, .channels = 3, .pixels = {}};
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < side; ++x) {
        const int dx = x - side / 2;
        const int dy = y - side / 2;
        const bool inside = dx * dx + dy * dy < side * (n + 2);
        for (int c = 0; c < 3; ++c) {
          image.pixels.push_back(static_cast<uint8_t>(inside ? 80 * c + 10 * n : 40 * (n % 6)));
        }
      }
    }
    const std::vector<std::byte> png = encode_png(image);
    const std::string stem = fmt::format("{}{:02}", name, n);
    std::ofstream(folder / (stem + ".png"), std::ios::binary)
        .write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
    std::ofstream(folder / (stem + ".txt")) << "a " << kColours[n % 6] << " circle\n";
  }
}

// `data:` of a config, with DATA/train and DATA/validation, and `lightning:`.
inline std::string data_yaml(const std::filesystem::path& data) {
  return fmt::format(R"(
data:
  target: main.DataModuleFromConfig
  params:
    batch_size: 2
    num_workers: 0
    train:
      target: easel.data.PictureFolder
      params: {{data_root: {0}/train, require_captions: true}}
    validation:
      target: easel.data.PictureFolder
      params: {{data_root: {0}/validation}}
lightning:
  trainer:
    max_steps: 4
    log_every_n_steps: 1
    val_check_interval: 2
    limit_val_batches: 2
)",
                     data.string());
}

constexpr std::string_view kTinyDdconfig = R"({double_z: true, z_channels: 4, resolution: 16,
      in_channels: 3, out_ch: 3, ch: 32, ch_mult: [1, 1], num_res_blocks: 1, attn_resolutions: [],
      dropout: 0.0})";

inline std::string autoencoder_yaml(const std::filesystem::path& data) {
  return fmt::format(R"(model:
  base_learning_rate: 1.0e-3
  target: ldm.models.autoencoder.AutoencoderKL
  params:
    monitor: val/rec_loss
    embed_dim: 4
    lossconfig:
      target: ldm.modules.losses.LPIPSWithDiscriminator
      params: {{disc_start: 1, kl_weight: 1.0e-6, disc_weight: 0.5, perceptual_weight: 0.0,
               disc_ndf: 8, disc_num_layers: 2}}
    ddconfig: {})",
                     kTinyDdconfig) +
         data_yaml(data);
}

inline std::string text_encoder_yaml() {
  return fmt::format(
      "{{tokenizer: {}/sentencepiece/unigram.model, vocab_size: 440, hidden_size: 32, "
      "intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, "
      "max_position_embeddings: 16",
      EASEL_TEST_DATA);
}

// Everything on: captions dropped, averages, the text encoder and the log-variances learnt too.
inline std::string diffusion_yaml(const std::filesystem::path& data,
                                  const std::filesystem::path& autoencoder) {
  return fmt::format(
             R"(model:
  base_learning_rate: 1.0e-3
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: 0.00085
    linear_end: 0.012
    timesteps: 1000
    first_stage_key: image
    cond_stage_key: txt
    image_size: 8
    channels: 4
    conditioning_key: crossattn
    cond_stage_trainable: true
    learn_logvar: true
    original_elbo_weight: 0.1
    scale_by_std: true
    use_ema: true
    monitor: val/loss_simple_ema
    ucg_training:
      txt: {{p: 0.5, val: ""}}
    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params: {{image_size: 8, in_channels: 4, out_channels: 4, model_channels: 32,
        attention_resolutions: [1], num_res_blocks: 1, channel_mult: [1, 1], num_heads: 4,
        use_spatial_transformer: true, transformer_depth: 1, context_dim: 32, legacy: false,
        dropout: 0.1}}
    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        ckpt_path: {0}
        embed_dim: 4
        ddconfig: {1}
    cond_stage_config:
      target: ldm.modules.encoders.modules.FrozenCLIPEmbedder
      params: {2}}})",
             autoencoder.string(), kTinyDdconfig, text_encoder_yaml()) +
         data_yaml(data);
}

inline std::string contrastive_yaml(const std::filesystem::path& data) {
  return fmt::format(R"(model:
  base_learning_rate: 1.0e-3
  target: easel.models.Clip
  params:
    monitor: val/loss
    projection_dim: 16
    logit_scale_init_value: 2.6592
    text_config: {}}}
    vision_config: {{hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1,
      num_attention_heads: 4, image_size: 16, patch_size: 8}})",
                     text_encoder_yaml()) +
         data_yaml(data);
}

// The lines of metrics.jsonl, without what the clock decides.
inline std::vector<nlohmann::json> metric_lines(const std::filesystem::path& run) {
  std::ifstream in(run / "metrics.jsonl");
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(in, line);) {
    nlohmann::json json = nlohmann::json::parse(line);
    json.erase("wall_time");
    json.erase("seconds_per_step");
    lines.push_back(std::move(json));
  }
  return lines;
}

// Every tensor and every number of the two runs' states and models is the same.
inline void expect_same_run(const std::filesystem::path& got, const std::filesystem::path& want) {
  for (const std::string name : {"last.state", "last.safetensors"}) {
    const TensorFile a = read_safetensors(got / "checkpoints" / name);
    const TensorFile b = read_safetensors(want / "checkpoints" / name);
    EXPECT_EQ(a.metadata, b.metadata) << name;
    ASSERT_EQ(a.tensors.size(), b.tensors.size()) << name;
    for (const auto& [key, tensor] : b.tensors) {
      ASSERT_TRUE(a.tensors.contains(key)) << key;
      EXPECT_TRUE(a.tensors.at(key).equal(tensor)) << name << ": " << key;
    }
  }
  EXPECT_EQ(metric_lines(got), metric_lines(want));
}

}  // namespace easel::test
