#include "easel/models/patch_discriminator.h"

#include <algorithm>
#include <type_traits>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>
#include <easel/nn/initialize.h>

#include "config_checks.h"

namespace easel {
namespace {

constexpr int64_t kKernel = 4;
constexpr double kSlope = 0.2;

const PatchDiscriminatorConfig& checked(const PatchDiscriminatorConfig& config) {
  check(config);
  return config;
}

// Of the channels, relative to ndf, after `layer` layers.
int64_t multiple(int64_t layer) { return int64_t{1} << std::min<int64_t>(layer, 3); }

nn::Buffer buffer(at::IntArrayRef shape, at::ScalarType dtype) {
  return {at::empty(shape, at::TensorOptions(dtype).device(at::kMeta))};
}

// The statistics of a single value a channel would be meaningless.
void check_statistics(const Tensor& x_BCHW, const char* norm) {
  if (x_BCHW.size(0) * x_BCHW.size(2) * x_BCHW.size(3) < 2) {
    fail(
        "patch discriminator: a training batch comes to a {} with shape {}: one value a channel; "
        "take larger pictures or a larger batch",
        norm, shape_text(x_BCHW.sizes()));
  }
}

}  // namespace

void check(const PatchDiscriminatorConfig& config) {
  using models::check_range;
  check_range("patch discriminator config: input_nc", config.input_nc, 1, models::kMaxChannels);
  check_range("patch discriminator config: ndf", config.ndf, 1, models::kMaxChannels);
  check_range("patch discriminator config: n_layers", config.n_layers, 1, models::kMaxLevels);
}

BatchNorm2d::BatchNorm2d(int64_t channels)
    : weight(nn::parameter({channels})),
      bias(nn::parameter({channels})),
      running_mean(buffer({channels}, at::kFloat)),
      running_var(buffer({channels}, at::kFloat)),
      num_batches_tracked(buffer({}, at::kLong)) {}

Tensor BatchNorm2d::forward(const Tensor& x_BCHW) const {
  return at::batch_norm(x_BCHW, weight, bias, running_mean.tensor, running_var.tensor,
                        /*training=*/false, kMomentum, kEps, /*cudnn_enabled=*/true);
}

Tensor BatchNorm2d::forward_training(const Tensor& x_BCHW) {
  check_statistics(x_BCHW, "batch norm");
  num_batches_tracked.tensor.add_(1);
  return at::batch_norm(x_BCHW, weight, bias, running_mean.tensor, running_var.tensor,
                        /*training=*/true, kMomentum, kEps, /*cudnn_enabled=*/true);
}

ActNorm::ActNorm(int64_t channels)
    : loc(nn::parameter({1, channels, 1, 1})),
      scale(nn::parameter({1, channels, 1, 1})),
      initialized(buffer({}, at::kByte)) {}

Tensor ActNorm::forward(const Tensor& x_BCHW) const { return scale * (x_BCHW + loc); }

Tensor ActNorm::forward_training(const Tensor& x_BCHW) {
  if (initialized.tensor.item<uint8_t>() == 0) {
    check_statistics(x_BCHW, "ActNorm that is not initialised");
    const at::NoGradGuard no_grad;
    const Tensor x = x_BCHW.to(loc.scalar_type());
    loc.copy_(-x.mean({0, 2, 3}, /*keepdim=*/true));
    scale.copy_(1 / (x.std({0, 2, 3}, /*unbiased=*/true, /*keepdim=*/true) + 1e-6));
    initialized.tensor.fill_(1);
  }
  return forward(x_BCHW);
}

PatchDiscriminator::PatchDiscriminator(const PatchDiscriminatorConfig& config)
    : config_(checked(config)) {
  layers_.push_back({nn::Conv2d(config.input_nc, config.ndf, kKernel, 2, 1), {}});
  for (int64_t i = 1; i <= config.n_layers; ++i) {
    const int64_t out = config.ndf * multiple(i);
    Layer layer{nn::Conv2d(config.ndf * multiple(i - 1), out, kKernel, i < config.n_layers ? 2 : 1,
                           1, /*with_bias=*/config.use_actnorm),
                {}};
    if (config.use_actnorm) {
      layer.norm.emplace(ActNorm(out));
    } else {
      layer.norm.emplace(BatchNorm2d(out));
    }
    layers_.push_back(std::move(layer));
  }
  layers_.push_back({nn::Conv2d(config.ndf * multiple(config.n_layers), 1, kKernel, 1, 1), {}});
}

void PatchDiscriminator::check_input(const Tensor& x_BCHW) const {
  const int64_t smallest = int64_t{3} << config_.n_layers;
  if (x_BCHW.dim() != 4 || x_BCHW.size(0) < 1 || x_BCHW.size(1) != config_.input_nc ||
      x_BCHW.size(2) < smallest || x_BCHW.size(3) < smallest) {
    fail(
        "patch discriminator: the pictures have shape {}; expected [B, {}, H, W], H and W at least "
        "{} (with n_layers {})",
        shape_text(x_BCHW.sizes()), config_.input_nc, smallest, config_.n_layers);
  }
}

Tensor PatchDiscriminator::forward(const Tensor& x_BCHW) const {
  check_input(x_BCHW);
  Tensor x = x_BCHW;
  for (const Layer& layer : layers_) {
    x = layer.conv.forward(x);
    if (layer.norm) x = std::visit([&](const auto& norm) { return norm.forward(x); }, *layer.norm);
    if (&layer != &layers_.back()) x = at::leaky_relu(x, kSlope);
  }
  return x;
}

Tensor PatchDiscriminator::forward_training(const Tensor& x_BCHW) {
  check_input(x_BCHW);
  Tensor x = x_BCHW;
  for (Layer& layer : layers_) {
    x = layer.conv.forward(x);
    if (layer.norm) {
      x = std::visit([&](auto& norm) { return norm.forward_training(x); }, *layer.norm);
    }
    if (&layer != &layers_.back()) x = at::leaky_relu(x, kSlope);
  }
  return x;
}

void initialize(PatchDiscriminator& discriminator, uint64_t seed) {
  nn::make_parameters(discriminator);
  for (const auto& [name, tensor] : nn::named_buffers(discriminator)) {
    *tensor = at::zeros(tensor->sizes(), at::TensorOptions(tensor->scalar_type()).device(at::kCPU));
  }
  nn::initialize_default(discriminator, seed);
  nn::visit_modules(discriminator, [seed](auto& layer, std::string_view name) {
    using Layer = std::remove_cvref_t<decltype(layer)>;
    const std::string weight = std::string(name) + ".weight";
    if constexpr (std::is_same_v<Layer, nn::Conv2d>) {
      nn::fill_normal(layer.weight, 0.02, seed, weight);
    } else if constexpr (std::is_same_v<Layer, BatchNorm2d>) {
      nn::fill_normal(layer.weight, 0.02, seed, weight, /*mean=*/1);
      nn::fill_constant(layer.bias, 0);
      nn::fill_constant(layer.running_var.tensor, 1);
    } else if constexpr (std::is_same_v<Layer, ActNorm>) {
      nn::fill_constant(layer.loc, 0);
      nn::fill_constant(layer.scale, 1);
    }
  });
}

}  // namespace easel
