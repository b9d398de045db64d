#include "float32.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>

#include <easel/ops/aten_only.h>

#include "kernels.h"

namespace easel::ops::cpu {
namespace {

bool is_plain(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.layout() == at::kStrided;
}

// Whether the way to work is open: kernels, no gradient, nobody asks for ATen.
bool may_serve() {
  static const bool kernels = has_kernels();
  return kernels && !at::GradMode::is_enabled() && !AtenOnly::is_enabled() &&
         !at::autocast::is_autocast_enabled(at::kCPU);
}

bool is_parameter(const Tensor& x) { return is_plain(x) && x.is_contiguous(); }

bool is_bias(const Tensor& x, int64_t size) {
  return !x.defined() || (is_parameter(x) && x.numel() == size);
}

}  // namespace

bool serves(const Tensor& x) { return may_serve() && is_plain(x) && x.numel() > 0; }

bool serves_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  // With few rows the weights are read from memory once, whatever is done with them.
  constexpr int64_t kMinRows = 24;
  return serves(x) && x.dim() >= 1 && weight.dim() >= 2 && is_parameter(weight) &&
         weight.numel() == weight.size(0) * weight.size(1) && x.size(-1) == weight.size(1) &&
         is_bias(bias, weight.size(0)) && x.numel() / x.size(-1) >= kMinRows;
}

bool serves_winograd(const Tensor& x_BCHW, const Tensor& weight, const Tensor& bias, int64_t stride,
                     int64_t padding) {
  // Fewer outputs than a panel has columns, or maps smaller than a tile, leave too much unused.
  return serves(x_BCHW) && x_BCHW.dim() == 4 && weight.dim() == 4 && is_parameter(weight) &&
         stride == 1 && padding == 1 && weight.size(2) == 3 && weight.size(3) == 3 &&
         x_BCHW.size(1) == weight.size(1) && x_BCHW.size(1) % kChannelMultiple == 0 &&
         weight.size(0) >= panel_width() && is_bias(bias, weight.size(0)) &&
         x_BCHW.size(2) >= kWinogradTile && x_BCHW.size(3) >= kWinogradTile;
}

bool serves_channels(const Tensor& x_BCHW) {
  return serves(x_BCHW) && x_BCHW.dim() == 4 && x_BCHW.size(1) % kChannelMultiple == 0 &&
         x_BCHW.is_contiguous(at::MemoryFormat::ChannelsLast);
}

bool serves_group_norm(const Tensor& x_BCHW, const Tensor& weight, const Tensor& bias) {
  return serves_channels(x_BCHW) && weight.defined() && is_parameter(weight) && bias.defined() &&
         is_parameter(bias) && weight.numel() == x_BCHW.size(1) && bias.numel() == x_BCHW.size(1);
}

bool serves_attention(const Tensor& q_BTD, const Tensor& k_BSD, const Tensor& v_BSD) {
  // With few queries packing the keys is most of the work.
  constexpr int64_t kMinQueries = 16;
  const auto is_tokens = [&](const Tensor& x_BTD) {
    return x_BTD.is_cpu() && x_BTD.layout() == at::kStrided && x_BTD.dim() == 3 &&
           x_BTD.numel() > 0 && at::isFloatingType(x_BTD.scalar_type()) &&
           c10::elementSize(x_BTD.scalar_type()) <= sizeof(float) &&
           x_BTD.size(0) == q_BTD.size(0) && x_BTD.size(2) == q_BTD.size(2);
  };
  return may_serve() && is_tokens(q_BTD) && is_tokens(k_BSD) && is_tokens(v_BSD) &&
         k_BSD.sizes() == v_BSD.sizes() && q_BTD.size(1) >= kMinQueries;
}

bool serves_geglu(const Tensor& x) {
  return serves(x) && x.is_contiguous() && x.size(-1) % (2 * kChannelMultiple) == 0;
}

}  // namespace easel::ops::cpu
