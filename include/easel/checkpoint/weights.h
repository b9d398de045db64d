// Weight layouts: how a model's parameters are called in the files of CompVis and of diffusers, and
// loading and saving through these tables.
//
// The native names are diffusers' with a part in front: "unet.", "vae.", "text_encoder.".
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <easel/base/progress.h>
#include <easel/base/tensor.h>
#include <easel/checkpoint/model_config.h>
#include <easel/io/tensor_file.h>

namespace easel {

// How a tensor's shape differs between the layouts; every one can be undone.
enum class Reshape {
  None,
  ConvToLinear,  // foreign [O, I, 1, 1] or [O, I, 1], native [O, I]; either is accepted when reading
};

// One tensor. Plain attention's fused qkv is one foreign tensor of three rules with a `part`.
struct KeyRule {
  std::string native;
  std::string foreign;
  Reshape reshape = Reshape::None;
  int part = -1;     // 0, 1, 2: which third of the foreign tensor (q, k, v); -1: the whole
  int64_t heads = 0; // with `part`: 0: thirds are contiguous; n: CompVis's legacy order, per head
};

enum class WeightLayout { CompVis, Diffusers };

// Every tensor of a model of this config in the CompVis layout, a bijection with its parameters
// (except the three parts of a qkv).
std::vector<KeyRule> compvis_rules(const ModelConfig& config);
// The identity for UNet and text encoder; the VAE's too, in today's names.
std::vector<KeyRule> diffusers_rules(const ModelConfig& config);

}  // namespace easel
