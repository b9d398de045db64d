#include "easel/models/ip_adapter.h"

#include <string_view>
#include <type_traits>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/nn/module.h>
#include <easel/ops/activation.h>
#include <easel/ops/attention.h>

#include "config_checks.h"

namespace easel {
namespace {

const IpAdapterConfig& checked(const IpAdapterConfig& config) {
  const auto check = [](std::string_view name, int64_t value, int64_t least) {
    models::check_range(name, value, least, models::kMaxChannels);
  };
  check("IP-Adapter config: num_tokens", config.num_tokens, 1);
  check("IP-Adapter config: embedding_dim", config.embedding_dim, 1);
  check("IP-Adapter config: context_dim", config.context_dim, 1);
  check("IP-Adapter config: width", config.width, 0);
  check("IP-Adapter config: heads", config.heads, 1);
  check("IP-Adapter config: head_channels", config.head_channels, 1);
  check("IP-Adapter config: inner", config.inner, 1);
  models::check_range("IP-Adapter config: depth", config.depth, 1, models::kMaxLayers);
  return config;
}

}  // namespace

IpAdapter::ResamplerLayer::ResamplerLayer(const IpAdapterConfig& config)
    : norm1(config.width),
      norm2(config.width),
      to_q(config.width, config.heads * config.head_channels, /*with_bias=*/false),
      to_kv(config.width, 2 * config.heads * config.head_channels, /*with_bias=*/false),
      to_out(config.heads * config.head_channels, config.width, /*with_bias=*/false),
      ff_norm(config.width),
      ff_in(config.width, config.inner, /*with_bias=*/false),
      ff_out(config.inner, config.width, /*with_bias=*/false) {}

Tensor IpAdapter::ResamplerLayer::forward(const Tensor& patches_BSD, const Tensor& queries_BQD,
                                          int64_t heads) const {
  const Tensor normed_BQD = norm2.forward(queries_BQD);
  const Tensor source_BSD = at::cat({norm1.forward(patches_BSD), normed_BQD}, 1);
  const std::vector<Tensor> kv = to_kv.forward(source_BSD).chunk(2, -1);
  Tensor x = to_out.forward(ops::attention(to_q.forward(normed_BQD), kv[0].contiguous(),
                                           kv[1].contiguous(), heads)) +
             queries_BQD;
  return ff_out.forward(ops::gelu(ff_in.forward(ff_norm.forward(x)))) + x;
}

IpAdapter::Resampler::Resampler(const IpAdapterConfig& config)
    : latents_1QD(nn::parameter({1, config.num_tokens, config.width})),
      proj_in(config.embedding_dim, config.width),
      layers(static_cast<size_t>(config.depth), ResamplerLayer(config)),
      proj_out(config.width, config.context_dim),
      norm_out(config.context_dim) {}

IpAdapter::IpAdapter(const IpAdapterConfig& config, const std::vector<int64_t>& widths)
    : config_(checked(config)) {
  if (is_plus()) {
    resampler_.emplace(config);
  } else {
    projection_.emplace(
        Projection{.proj = nn::Linear(config.embedding_dim, config.num_tokens * config.context_dim),
                   .norm = nn::LayerNorm(config.context_dim)});
  }
  for (const int64_t width : widths) {
    attentions_.push_back({.to_k_ip = nn::Linear(config.context_dim, width, /*with_bias=*/false),
                           .to_v_ip = nn::Linear(config.context_dim, width, /*with_bias=*/false)});
  }
}

Tensor IpAdapter::tokens(const Tensor& seen) const {
  if (seen.dim() != (is_plus() ? 3 : 2) || seen.size(-1) != config_.embedding_dim) {
    fail("IP-Adapter: what CLIP sees has shape {}; expected [B, {}{}]", shape_text(seen.sizes()),
         is_plus() ? "S, " : "", config_.embedding_dim);
  }
  if (projection_) {
    return projection_->norm.forward(
        projection_->proj.forward(seen).view({-1, config_.num_tokens, config_.context_dim}));
  }
  const Tensor patches_BSD = resampler_->proj_in.forward(seen);
  Tensor queries_BQD = resampler_->latents_1QD.expand({seen.size(0), -1, -1}).contiguous();
  for (const ResamplerLayer& layer : resampler_->layers) {
    queries_BQD = layer.forward(patches_BSD, queries_BQD, config_.heads);
  }
  return resampler_->norm_out.forward(resampler_->proj_out.forward(queries_BQD));
}

void IpAdapter::attach_to(UNet& unet, double scale) const {
  const std::vector<nn::Attention*> attentions = cross_attentions(unet);
  if (attentions.size() != attentions_.size()) {
    fail("IP-Adapter: made for {} attentions, and the UNet has {}", attentions_.size(),
         attentions.size());
  }
  for (size_t i = 0; i < attentions.size(); ++i) {
    attentions[i]->of_pictures.push_back({.to_k = attentions_[i].to_k_ip.weight,
                                          .to_v = attentions_[i].to_v_ip.weight,
                                          .num_tokens = config_.num_tokens,
                                          .scale = scale});
  }
}

std::vector<nn::Attention*> cross_attentions(UNet& unet) {
  std::vector<nn::Attention*> found;
  for (const std::string_view part : {"down_blocks.", "up_blocks.", "mid_block."}) {
    nn::visit_modules(unet, [&](auto& module, const std::string& name) {
      if constexpr (std::is_same_v<std::remove_cvref_t<decltype(module)>, nn::Attention>) {
        if (name.starts_with(part) && name.ends_with(".attn2")) found.push_back(&module);
      }
    });
  }
  return found;
}

}  // namespace easel
