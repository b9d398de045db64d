// The autoencoder on pictures for which memory is short: its fine maps strip by strip.
#include <algorithm>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "easel/models/autoencoder.h"
#include "row_strips.h"

namespace easel {
namespace {

using models::Rows;

// A map on its way through the network: in memory, or, behind a layer that makes it larger, still
// to be made.
class Map {
 public:
  // `finest`: the values of the finest map. What is small beside it is not cut up.
  Map(Rows rows, int64_t strip, int64_t finest)
      : rows_(std::move(rows)), strip_(strip), finest_(finest) {}
  Map(Tensor x_BCHW, int64_t strip, int64_t finest)
      : x_BCHW_(std::move(x_BCHW)), strip_(strip), finest_(finest) {}

  void res_block(const nn::ResBlock& block) {
    const int64_t in = block.norm1.weight.size(0);
    const int64_t out = block.norm2.weight.size(0);
    const int64_t height = x_BCHW_.defined() ? x_BCHW_.size(2) : rows_.height();
    const int64_t width = x_BCHW_.defined() ? x_BCHW_.size(3) : rows_.width();
    const bool small = height <= strip_ || 4 * std::max(in, out) * height * width <= finest_;
    if (small) {
      set(block.forward(whole()));
    } else {
      const Tensor into = in == out ? x_BCHW_ : Tensor();
      set(models::res_block_in_strips(block, rows(), into, strip_));
    }
  }

  template <class Block>
  void run(const Block& block) {
    for (size_t i = 0; i < block.resnets.size(); ++i) {
      res_block(block.resnets[i]);
      if (i < block.attentions.size()) set(block.attentions[i].forward(whole()));
    }
    for (const auto& resampler : block.resamplers) resample(resampler);
  }

  Rows rows() const { return x_BCHW_.defined() ? Rows::of_map(x_BCHW_) : rows_; }

  Tensor whole() {
    if (!x_BCHW_.defined()) set(rows_.all());
    return x_BCHW_;
  }

 private:
  void set(Tensor x_BCHW) {
    x_BCHW_ = std::move(x_BCHW);
    rows_ = {};  // lets go of what they would be made from
  }
  void resample(const nn::Upsample& upsample) { set_rows(Rows::of_upsample(rows(), upsample)); }
  void resample(const nn::Downsample& down) { set_rows(Rows::of_downsample(rows(), down)); }
  void set_rows(Rows rows) {
    rows_ = std::move(rows);
    x_BCHW_.reset();
  }

  Tensor x_BCHW_;
  Rows rows_;
  int64_t strip_;
  int64_t finest_;
};

}  // namespace

Tensor AutoencoderEncoder::forward_in_strips(const Tensor& x_BCHW, int64_t strip) const {
  const at::NoGradGuard no_grad;
  const int64_t finest = conv_in_.weight.size(0) * x_BCHW.size(2) * x_BCHW.size(3);
  Map map(Rows::of_conv(Rows::of_map(x_BCHW), conv_in_), strip, finest);
  for (const auto& block : down_blocks_) map.run(block);
  const Tensor h = conv_norm_out_.forward_silu(mid_block_.forward(map.whole()));
  return conv_out_.forward(h);
}

Tensor AutoencoderDecoder::forward_in_strips(const Tensor& z_BCHW, int64_t strip) const {
  const at::NoGradGuard no_grad;
  const int64_t factor = int64_t{1} << (up_blocks_.size() - 1);
  const int64_t finest =
      conv_out_.weight.size(1) * factor * z_BCHW.size(2) * factor * z_BCHW.size(3);
  Map map(mid_block_.forward(conv_in_.forward(z_BCHW)), strip, finest);
  for (const auto& block : up_blocks_) map.run(block);
  return models::norm_and_conv_in_strips(conv_norm_out_, conv_out_, map.rows(), strip);
}

}  // namespace easel
