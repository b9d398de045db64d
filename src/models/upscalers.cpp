#include "easel/models/upscalers.h"

#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/ops/activation.h>
#include <easel/ops/resample.h>

#include "config_checks.h"

namespace easel {
namespace {

constexpr int64_t kConvsOfDenseBlock = 5;
constexpr double kResidualScale = 0.2;

nn::Conv2d conv3x3(int64_t in, int64_t out) { return nn::Conv2d(in, out, 3, 1, 1); }

Tensor leaky(Tensor x) { return at::leaky_relu(x, 0.2); }

// x + kResidualScale * change.
Tensor residual(const Tensor& x, const Tensor& change) {
  return at::add(x, change, kResidualScale);
}

void check_input(std::string_view network, const Tensor& x_BCHW, int64_t channels) {
  if (x_BCHW.dim() == 4 && x_BCHW.size(1) == channels && x_BCHW.numel() > 0) return;
  fail("{}: the pictures have shape {}; expected [B, {}, H, W]", network,
       shape_text(x_BCHW.sizes()), channels);
}

const RrdbConfig& checked(const RrdbConfig& config) {
  using models::check_range;
  check_range("RRDBNet: channels", config.channels, 1, 4);
  check_range("RRDBNet: features", config.features, 1, models::kMaxChannels);
  check_range("RRDBNet: growth", config.growth, 1, models::kMaxChannels);
  check_range("RRDBNet: blocks", config.num_blocks, 1, 1024);
  check_range("RRDBNet: doublings", config.num_doublings, 0, 4);
  if (config.scale() < 1) {
    fail_usage("RRDBNet: it would make pictures smaller ({} doublings of 1 / {})",
               config.num_doublings, config.unshuffle);
  }
  return config;
}

const CompactConfig& checked(const CompactConfig& config) {
  using models::check_range;
  check_range("SRVGGNetCompact: channels", config.channels, 1, 4);
  check_range("SRVGGNetCompact: features", config.features, 1, models::kMaxChannels);
  check_range("SRVGGNetCompact: convolutions", config.num_convs, 0, 1024);
  check_range("SRVGGNetCompact: scale", config.scale, 1, 16);
  return config;
}

}  // namespace

RrdbNet::DenseBlock::DenseBlock(const RrdbConfig& config) {
  for (int64_t i = 0; i < kConvsOfDenseBlock; ++i) {
    const bool last = i + 1 == kConvsOfDenseBlock;
    convs.push_back(
        conv3x3(config.features + i * config.growth, last ? config.features : config.growth));
  }
}

Tensor RrdbNet::DenseBlock::forward(const Tensor& x_BCHW) const {
  std::vector<Tensor> maps = {x_BCHW};
  for (size_t i = 0; i + 1 < convs.size(); ++i) {
    maps.push_back(leaky(convs[i].forward(at::cat(maps, 1))));
  }
  return residual(x_BCHW, convs.back().forward(at::cat(maps, 1)));
}

RrdbNet::Block::Block(const RrdbConfig& config) : rdb1(config), rdb2(config), rdb3(config) {}

Tensor RrdbNet::Block::forward(const Tensor& x_BCHW) const {
  return residual(x_BCHW, rdb3.forward(rdb2.forward(rdb1.forward(x_BCHW))));
}

RrdbNet::RrdbNet(const RrdbConfig& config)
    : config_(checked(config)),
      conv_first_(conv3x3(config.channels * config.unshuffle * config.unshuffle, config.features)),
      body_(static_cast<size_t>(config.num_blocks), Block(config)),
      conv_body_(conv3x3(config.features, config.features)),
      conv_up_(static_cast<size_t>(config.num_doublings),
               conv3x3(config.features, config.features)),
      conv_hr_(conv3x3(config.features, config.features)),
      conv_last_(conv3x3(config.features, config.channels)) {}

Tensor RrdbNet::forward(const Tensor& x_BCHW) const {
  check_input("RRDBNet", x_BCHW, config_.channels);
  const int64_t height = x_BCHW.size(2);
  const int64_t width = x_BCHW.size(3);
  Tensor x = x_BCHW;
  if (config_.unshuffle > 1) {
    const auto missing = [&](int64_t size) {
      return (-size % config_.unshuffle + config_.unshuffle) % config_.unshuffle;
    };
    const int64_t right = missing(width);
    const int64_t bottom = missing(height);
    if (right >= width || bottom >= height) {
      fail("RRDBNet: the picture is {} x {} pixels, too small for this model", width, height);
    }
    if (right > 0 || bottom > 0) x = at::reflection_pad2d(x, {0, right, 0, bottom});
    x = at::pixel_unshuffle(x, config_.unshuffle);
  }
  const Tensor first = conv_first_.forward(x);
  Tensor h = first;
  for (const Block& block : body_) h = block.forward(h);
  h = ops::add(conv_body_.forward(h), first);
  for (const nn::Conv2d& conv : conv_up_) {
    h = leaky(conv.forward(ops::upsample_nearest_2x(h)));
  }
  h = conv_last_.forward(leaky(conv_hr_.forward(h)));
  return h.narrow(2, 0, height * scale()).narrow(3, 0, width * scale()).contiguous();
}

CompactNet::CompactNet(const CompactConfig& config) : config_(checked(config)) {
  convs_.push_back(conv3x3(config.channels, config.features));
  for (int64_t i = 0; i < config.num_convs; ++i) {
    convs_.push_back(conv3x3(config.features, config.features));
  }
  slopes_.assign(convs_.size(), nn::parameter({config.features}));
  convs_.push_back(conv3x3(config.features, config.channels * config.scale * config.scale));
}

Tensor CompactNet::forward(const Tensor& x_BCHW) const {
  check_input("SRVGGNetCompact", x_BCHW, config_.channels);
  Tensor h = x_BCHW;
  for (size_t i = 0; i < slopes_.size(); ++i) {
    h = at::prelu(convs_[i].forward(h), slopes_[i]);
  }
  h = at::pixel_shuffle(convs_.back().forward(h), config_.scale);
  const Tensor base = ops::upsample_nearest(x_BCHW, h.size(2), h.size(3));
  return ops::add(std::move(h), base).contiguous();
}

}  // namespace easel
