#include "row_strips.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include <easel/nn/circular_padding.h>
#include <easel/nn/stored_weights.h>
#include <easel/ops/activation.h>
#include <easel/ops/normalization.h>

namespace easel::models {
namespace {

// Writes strips into a map, each only once no strip is left that reads rows of it: the rows around
// a strip are those of its neighbours, and at the edges of a circular map the first strip's.
class LateWriter {
 public:
  explicit LateWriter(Tensor into_BCHW) : into_BCHW_(std::move(into_BCHW)) {}

  // To be called when a strip has read its rows.
  void write_previous() {
    if (previous_) write(*previous_);
    previous_.reset();
  }
  void add(RowSpan rows, Tensor strip_BCHW, int64_t height) {
    if (!into_BCHW_.defined()) {
      into_BCHW_ = at::empty({strip_BCHW.size(0), strip_BCHW.size(1), height, strip_BCHW.size(3)},
                             strip_BCHW.options(), strip_BCHW.suggest_memory_format());
    }
    Strip strip{rows, std::move(strip_BCHW)};
    (rows.begin == 0 && nn::CircularPadding::is_vertical() ? first_ : previous_) = std::move(strip);
  }
  Tensor finish() {
    write_previous();
    if (first_) write(*first_);
    return into_BCHW_;
  }

 private:
  struct Strip {
    RowSpan rows;
    Tensor strip_BCHW;
  };
  void write(const Strip& strip) {
    into_BCHW_.narrow(2, strip.rows.begin, strip.rows.end - strip.rows.begin)
        .copy_(strip.strip_BCHW);
  }

  Tensor into_BCHW_;
  std::optional<Strip> first_, previous_;
};

}  // namespace

RowSpan widened(RowSpan rows, int64_t by, int64_t height) {
  if (nn::CircularPadding::is_vertical()) return {rows.begin - by, rows.end + by};
  return {std::max<int64_t>(rows.begin - by, 0), std::min(rows.end + by, height)};
}

Tensor cut(const Tensor& part_BCHW, RowSpan has, RowSpan wanted) {
  return part_BCHW.narrow(2, wanted.begin - has.begin, wanted.end - wanted.begin);
}

Rows::Rows(int64_t height, int64_t width, std::function<Tensor(RowSpan)> make)
    : height_(height), width_(width), make_(std::move(make)) {}

Rows Rows::of_map(Tensor x_BCHW) {
  const int64_t height = x_BCHW.size(2);
  const int64_t width = x_BCHW.size(3);
  return {height, width, [x = std::move(x_BCHW)](RowSpan rows) {
            return x.narrow(2, rows.begin, rows.end - rows.begin);
          }};
}

Rows Rows::of_conv(Rows x, const nn::Conv2d& conv) {
  const int64_t height = x.height();
  const int64_t width = x.width();
  return {height, width, [x = std::move(x), &conv](RowSpan rows) {
            const RowSpan reach = widened(rows, 1, x.height());
            return cut(conv.forward(x(reach)), reach, rows);
          }};
}

Rows Rows::of_upsample(Rows x, const nn::Upsample& upsample) {
  const int64_t height = 2 * x.height();
  const int64_t width = 2 * x.width();
  return {height, width, [x = std::move(x), &upsample](RowSpan rows) {
            // The convolution behind it reaches one row further, which is half a row before it.
            const RowSpan reach = widened({rows.begin / 2, (rows.end + 1) / 2}, 1, x.height());
            return cut(upsample.forward(x(reach)), {2 * reach.begin, 2 * reach.end}, rows);
          }};
}

Rows Rows::of_downsample(Rows x, const nn::Downsample& downsample) {
  TORCH_CHECK(downsample.kind == nn::Downsample::Kind::ConvAsymmetric,
              "strips: this way of halving a map is not known");
  const int64_t height = x.height() / 2;
  const int64_t width = x.width() / 2;
  return {height, width, [x = std::move(x), &downsample](RowSpan rows) {
            return downsample.forward(x({2 * rows.begin, std::min(2 * rows.end + 1, x.height())}));
          }};
}

Tensor Rows::operator()(RowSpan rows) const {
  if (rows.begin >= 0 && rows.end <= height_) return make_(rows);
  std::vector<Tensor> parts;
  for (int64_t at = rows.begin; at < rows.end;) {
    const int64_t begin = (at % height_ + height_) % height_;
    const int64_t count = std::min(height_ - begin, rows.end - at);
    parts.push_back(make_({begin, begin + count}));
    at += count;
  }
  return at::cat(parts, 2);
}

void for_strips(int64_t height, int64_t strip, const std::function<void(RowSpan)>& run) {
  strip = std::max<int64_t>(strip, 2);
  for (int64_t begin = 0; begin < height; begin += strip) {
    run({begin, std::min(begin + strip, height)});
  }
}

KnownNorm::KnownNorm(const nn::GroupNorm& norm, const Rows& x, int64_t strip)
    : norm_(norm), positions_(x.height() * x.width()) {
  for_strips(x.height(), strip, [&](RowSpan rows) {
    const Tensor sums_2BC = ops::channel_sums(x(rows));
    sums_2BC_ = sums_2BC_.defined() ? sums_2BC_ + sums_2BC : sums_2BC;
  });
}

Tensor KnownNorm::forward_silu(const Tensor& x_BCHW) const {
  return ops::group_norm_rows(x_BCHW, sums_2BC_, positions_, norm_.groups, nn::InUse(norm_.weight),
                              nn::InUse(norm_.bias), norm_.eps, /*with_silu=*/true);
}

Tensor res_block_in_strips(const nn::ResBlock& block, const Rows& x, Tensor into_BCHW,
                           int64_t strip) {
  TORCH_CHECK(!block.time_emb_proj && block.resample == nn::Resample::None,
              "strips: only the autoencoder's residual blocks are known");
  const int64_t height = x.height();
  const KnownNorm norm1(block.norm1, x, strip);
  const Rows normed1(height, x.width(), [&](RowSpan rows) { return norm1.forward_silu(x(rows)); });
  const KnownNorm norm2(block.norm2, Rows::of_conv(normed1, block.conv1), strip);
  LateWriter writer(std::move(into_BCHW));
  for_strips(height, strip, [&](RowSpan rows) {
    const RowSpan near = widened(rows, 1, height);
    const RowSpan reach = widened(near, 1, height);
    Tensor h = x(reach);
    const Tensor own = cut(h, reach, rows);
    h = norm1.forward_silu(h);
    writer.write_previous();
    h = norm2.forward_silu(cut(block.conv1.forward(h), reach, near));
    h = cut(block.conv2.forward(h), near, rows);
    writer.add(
        rows, ops::add(std::move(h), block.conv_shortcut ? block.conv_shortcut->forward(own) : own),
        height);
  });
  return writer.finish();
}

Tensor norm_and_conv_in_strips(const nn::GroupNorm& norm, const nn::Conv2d& conv, const Rows& x,
                               int64_t strip) {
  const KnownNorm known(norm, x, strip);
  const Rows out = Rows::of_conv(
      Rows(x.height(), x.width(), [&](RowSpan rows) { return known.forward_silu(x(rows)); }), conv);
  std::vector<Tensor> strips;
  for_strips(x.height(), strip, [&](RowSpan rows) { strips.push_back(out(rows).contiguous()); });
  return at::cat(strips, 2);
}

}  // namespace easel::models
