#include "easel/models/initialize.h"

#include <cmath>
#include <string_view>
#include <type_traits>
#include <utility>

#include <ATen/ATen.h>

#include <easel/nn/initialize.h>

namespace easel {
namespace {

template <class Layer>
void fill_zero(Layer& layer) {
  nn::fill_constant(layer.weight, 0);
  nn::fill_constant(layer.bias, 0);
}

// What one of CLIP's towers draws its weights from, normal of mean 0, by the end of the name.
template <class Tower>
void initialize_tower(Tower& tower, uint64_t seed) {
  const auto& config = tower.config();
  const double hidden = static_cast<double>(config.hidden_size);
  const double depth = 1 / std::sqrt(2.0 * static_cast<double>(config.num_hidden_layers));
  const std::pair<std::string_view, double> stds[] = {
      {"token_embedding.weight", 0.02},
      {"position_embedding.weight", 0.02},
      {"patch_embedding.weight", 0.02},
      {"class_embedding", 1 / std::sqrt(hidden)},
      {"q_proj.weight", depth / std::sqrt(hidden)},
      {"k_proj.weight", depth / std::sqrt(hidden)},
      {"v_proj.weight", depth / std::sqrt(hidden)},
      {"out_proj.weight", 1 / std::sqrt(hidden)},
      {"fc1.weight", 1 / std::sqrt(2 * hidden)},
      {"fc2.weight", depth / std::sqrt(hidden)},
  };
  nn::initialize_default(tower, seed);  // the norms
  for (const auto& [name, tensor] : nn::named_parameters(tower)) {
    if (name.ends_with(".bias")) nn::fill_constant(*tensor, 0);
    for (const auto& [ending, std] : stds) {
      if (name.ends_with(ending)) nn::fill_normal(*tensor, std, seed, name);
    }
  }
}

}  // namespace

void initialize(UNet& unet, uint64_t seed) {
  nn::initialize_default(unet, seed);
  nn::visit_modules(unet, [](auto& module, std::string_view name) {
    using Module = std::remove_cvref_t<decltype(module)>;
    if constexpr (std::is_same_v<Module, nn::ResBlock>) {
      fill_zero(module.conv2);
    } else if constexpr (std::is_same_v<Module, nn::SpatialTransformer>) {
      fill_zero(module.proj_out);
    } else if constexpr (std::is_same_v<Module, nn::AttentionBlock>) {
      fill_zero(module.attention.to_out);
    } else if constexpr (std::is_same_v<Module, nn::Conv2d>) {
      if (name == "conv_out") fill_zero(module);
    }
  });
}

void initialize(Autoencoder& autoencoder, uint64_t seed) {
  nn::initialize_default(autoencoder, seed);
}

void initialize(ClipText& text, uint64_t seed) { initialize_tower(text, seed); }

void initialize(ClipVision& vision, uint64_t seed) { initialize_tower(vision, seed); }

void initialize(Clip& clip, uint64_t seed) {
  initialize(clip.text, seed);
  initialize(clip.vision, seed);
  const auto project = [seed](nn::Linear& layer, int64_t features, std::string_view name) {
    nn::fill_normal(layer.weight, 1 / std::sqrt(static_cast<double>(features)), seed, name);
  };
  project(clip.text_projection, clip.config().text.hidden_size, "text_projection.weight");
  project(clip.visual_projection, clip.config().vision.hidden_size, "visual_projection.weight");
  nn::fill_constant(clip.logit_scale, clip.config().logit_scale_init_value);
}

}  // namespace easel
