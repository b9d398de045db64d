// Maps that are too large to be in memory together with all that a network makes of them: their
// rows are made and used strip by strip, with the results of the whole map.
//
// A convolution needs a few rows beyond a strip (they are computed again), a group norm the sums
// over all rows (they are computed in a pass of their own).
#pragma once

#include <cstdint>
#include <functional>

#include <easel/base/tensor.h>
#include <easel/nn/layers.h>
#include <easel/nn/resnet.h>

namespace easel::models {

// Rows [begin, end) of a map. Beyond the map's edges, where padding is circular, the opposite ones.
struct RowSpan {
  int64_t begin;
  int64_t end;
};

// `by` more rows at both sides, as far as there are any.
RowSpan widened(RowSpan rows, int64_t by, int64_t height);

// Of `part`, which holds the rows `has`: those of `wanted`.
Tensor cut(const Tensor& part_BCHW, RowSpan has, RowSpan wanted);

// A map whose rows can be had, whether it is in memory or they are made when asked for.
class Rows {
 public:
  Rows() = default;
  // make(span) gives the rows of a span within [0, height).
  Rows(int64_t height, int64_t width, std::function<Tensor(RowSpan)> make);
  static Rows of_map(Tensor x_BCHW);
  static Rows of_conv(Rows x, const nn::Conv2d& conv);  // 3 x 3, stride 1, padding 1
  static Rows of_upsample(Rows x, const nn::Upsample& upsample);
  static Rows of_downsample(Rows x, const nn::Downsample& downsample);  // ConvAsymmetric

  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  Tensor operator()(RowSpan rows) const;
  Tensor all() const { return make_({0, height_}); }

 private:
  int64_t height_ = 0;
  int64_t width_ = 0;
  std::function<Tensor(RowSpan)> make_;
};

// Calls run(span) for the strips of a map of `height` rows, from the top, each of about `strip`
// rows and, but for the last, two at least.
void for_strips(int64_t height, int64_t strip, const std::function<void(RowSpan)>& run);

// A group norm whose sums over the whole map are known.
class KnownNorm {
 public:
  // `x` gives the rows of what is normalised.
  KnownNorm(const nn::GroupNorm& norm, const Rows& x, int64_t strip);
  Tensor forward_silu(const Tensor& x_BCHW) const;

 private:
  const nn::GroupNorm& norm_;
  int64_t positions_;
  Tensor sums_2BC_;
};

// block.forward(x). Where `into` is defined it gets the result: the map that `x` is of itself, when
// the block keeps the number of channels; otherwise a map is made.
Tensor res_block_in_strips(const nn::ResBlock& block, const Rows& x, Tensor into_BCHW,
                           int64_t strip);

// conv.forward(norm.forward_silu(x)), conv as for Rows::of_conv.
Tensor norm_and_conv_in_strips(const nn::GroupNorm& norm, const nn::Conv2d& conv, const Rows& x,
                               int64_t strip);

}  // namespace easel::models
