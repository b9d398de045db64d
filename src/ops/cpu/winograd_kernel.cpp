// The transforms of Winograd's F(4 x 4, 3 x 3): y = A^T [(G g G^T) * (B^T d B)] A with the points
// 0, 1, -1, 2, -2 and infinity. One vector holds neighbouring channels.
#include <algorithm>
#include <array>
#include <cstddef>

#include "kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/winograd_kernel.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace easel::ops::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = hn::MaxLanes(D());
constexpr int64_t kWidth = 2 * kLanes;
constexpr int64_t kSide = 6;  // of a tile's input
constexpr int64_t kOut = kWinogradTile;

using Column = std::array<V, kSide>;

HWY_INLINE Column InputColumn(const Column& d) {
  const D tag;
  const V four = hn::Set(tag, 4.0f);
  const V five = hn::Set(tag, 5.0f);
  const V a = hn::NegMulAdd(four, d[2], d[4]);
  const V b = hn::NegMulAdd(four, d[1], d[3]);
  const V c = hn::Sub(d[4], d[2]);
  const V e = hn::Sub(d[3], d[1]);
  const V twice = hn::Add(e, e);
  return {hn::MulAdd(four, d[0], hn::NegMulAdd(five, d[2], d[4])),
          hn::Add(a, b),
          hn::Sub(a, b),
          hn::Add(c, twice),
          hn::Sub(c, twice),
          hn::MulAdd(four, d[1], hn::NegMulAdd(five, d[3], d[5]))};
}

HWY_INLINE std::array<V, kOut> OutputColumn(const Column& m) {
  const D tag;
  const V sum12 = hn::Add(m[1], m[2]);
  const V difference12 = hn::Sub(m[1], m[2]);
  const V sum34 = hn::Add(m[3], m[4]);
  const V difference34 = hn::Sub(m[3], m[4]);
  return {hn::Add(hn::Add(m[0], sum12), sum34),
          hn::MulAdd(hn::Set(tag, 2.0f), difference34, difference12),
          hn::MulAdd(hn::Set(tag, 4.0f), sum34, sum12),
          hn::Add(hn::MulAdd(hn::Set(tag, 8.0f), difference34, difference12), m[5])};
}

HWY_INLINE Column WeightColumn(V g0, V g1, V g2) {
  const D tag;
  const V sixth = hn::Set(tag, 1.0f / 6);
  const V half_sum = hn::Mul(hn::Add(g0, g2), sixth);
  const V scaled = hn::MulAdd(hn::Set(tag, 1.0f / 24), g0, hn::Mul(g2, sixth));
  const V one = hn::Mul(g1, sixth);
  const V two = hn::Mul(g1, hn::Set(tag, 1.0f / 12));
  return {hn::Mul(g0, hn::Set(tag, 0.25f)),
          hn::Neg(hn::Add(half_sum, one)),
          hn::Sub(one, half_sum),
          hn::Add(scaled, two),
          hn::Sub(scaled, two),
          g2};
}

void WinogradWeight(const float* weight, int64_t num_out, int64_t channels, float* panels,
                    int64_t position_stride, float* scratch) {
  const D d;
  for (int64_t first = 0; first < channels; first += kChannelMultiple) {
    const int64_t count = std::min(kChannelMultiple, channels - first);
    pack_panel(weight + first * 9, channels * 9, num_out, count * 9, scratch);
    for (int64_t c = 0; c < count; ++c) {
      for (int64_t lane = 0; lane < kWidth; lane += kLanes) {
        const float* in = scratch + c * 9 * kWidth + lane;
        float* out = panels + (first + c) * kWidth + lane;
        std::array<Column, 3> columns;
        for (int64_t j = 0; j < 3; ++j) {
          columns[j] =
              WeightColumn(hn::Load(d, in + j * kWidth), hn::Load(d, in + (3 + j) * kWidth),
                           hn::Load(d, in + (6 + j) * kWidth));
        }
        for (int64_t i = 0; i < kSide; ++i) {
          const Column row = WeightColumn(columns[0][i], columns[1][i], columns[2][i]);
          for (int64_t j = 0; j < kSide; ++j) {
            hn::Store(row[j], d, out + (i * kSide + j) * position_stride);
          }
        }
      }
    }
  }
}

struct Tile {
  int64_t image, y, x;  // y, x: of the first output
};

HWY_INLINE Tile TileAt(const WinogradMap& map, int64_t tile) {
  const int64_t tiles = map.tiles_high * map.tiles_wide;
  const int64_t within = tile % tiles;
  return {tile / tiles, within / map.tiles_wide * kOut, within % map.tiles_wide * kOut};
}

void WinogradInput(const float* x, const WinogradMap& map, int64_t first, int64_t count,
                   float* values, int64_t position_stride) {
  const D d;
  // What lies outside of the map reads these zeros again and again: its mask is 0.
  HWY_ALIGN constexpr float kZeros[kChannelMultiple] = {};
  for (int64_t t = 0; t < count; ++t) {
    const Tile tile = TileAt(map, first + t);
    std::array<const float*, kWinogradPositions> from;
    std::array<int64_t, kWinogradPositions> mask;
    for (int64_t i = 0; i < kSide; ++i) {
      for (int64_t j = 0; j < kSide; ++j) {
        const int64_t row = tile.y + i - 1;
        const int64_t column = tile.x + j - 1;
        const bool inside = row >= 0 && row < map.height && column >= 0 && column < map.width;
        from[i * kSide + j] =
            inside ? x + ((tile.image * map.height + row) * map.width + column) * map.channels
                   : kZeros;
        mask[i * kSide + j] = inside ? ~int64_t{0} : 0;
      }
    }
    for (int64_t c = 0; c < map.channels; c += kLanes) {
      HWY_ALIGN float half_done[kWinogradPositions * kLanes];
      for (int64_t j = 0; j < kSide; ++j) {
        Column column;
        for (int64_t i = 0; i < kSide; ++i) {
          const int64_t k = i * kSide + j;
          column[i] = hn::LoadU(d, from[k] + (c & mask[k]));
        }
        const Column done = InputColumn(column);
        for (int64_t i = 0; i < kSide; ++i) {
          hn::Store(done[i], d, half_done + (i * kSide + j) * kLanes);
        }
      }
      float* out = values + t * map.channels + c;
      for (int64_t i = 0; i < kSide; ++i) {
        Column row;
        for (int64_t j = 0; j < kSide; ++j) {
          row[j] = hn::Load(d, half_done + (i * kSide + j) * kLanes);
        }
        const Column done = InputColumn(row);
        for (int64_t j = 0; j < kSide; ++j) {
          hn::StoreU(done[j], d, out + (i * kSide + j) * position_stride);
        }
      }
    }
  }
}

void WinogradOutput(const float* products, int64_t position_stride, int64_t tile_stride,
                    const WinogradMap& map, int64_t first, int64_t count, int64_t channel,
                    int64_t num_channels, const float* bias, float* y) {
  const D d;
  for (int64_t t = 0; t < count; ++t) {
    const Tile tile = TileAt(map, first + t);
    const int64_t rows = std::min(kOut, map.height - tile.y);
    const int64_t columns = std::min(kOut, map.width - tile.x);
    float* out =
        y + ((tile.image * map.height + tile.y) * map.width + tile.x) * map.channels + channel;
    for (int64_t c = 0; c < num_channels; c += kLanes) {
      const float* in = products + t * tile_stride + c;
      HWY_ALIGN float half_done[kOut * kSide * kLanes];
      for (int64_t j = 0; j < kSide; ++j) {
        Column column;
        for (int64_t i = 0; i < kSide; ++i) {
          column[i] = hn::LoadU(d, in + (i * kSide + j) * position_stride);
        }
        const auto done = OutputColumn(column);
        for (int64_t i = 0; i < kOut; ++i) {
          hn::Store(done[i], d, half_done + (i * kSide + j) * kLanes);
        }
      }
      const int64_t wanted = std::min(kLanes, num_channels - c);
      const bool whole = wanted == kLanes;
      HWY_ALIGN float part[kLanes] = {};
      if (bias != nullptr) std::copy_n(bias + c, wanted, part);
      const V add = hn::Load(d, part);
      for (int64_t i = 0; i < rows; ++i) {
        Column row;
        for (int64_t j = 0; j < kSide; ++j) {
          row[j] = hn::Load(d, half_done + (i * kSide + j) * kLanes);
        }
        const auto done = OutputColumn(row);
        for (int64_t j = 0; j < columns; ++j) {
          float* to = out + (i * map.width + j) * map.channels + c;
          const V value = hn::Add(done[j], add);
          if (whole) {
            hn::StoreU(value, d, to);
          } else {
            hn::Store(value, d, part);
            std::copy_n(part, wanted, to);
          }
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace easel::ops::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace easel::ops::cpu {

HWY_EXPORT(WinogradWeight);
HWY_EXPORT(WinogradInput);
HWY_EXPORT(WinogradOutput);

void winograd_weight(const float* weight, int64_t num_out, int64_t channels, float* panels,
                     int64_t position_stride, float* scratch) {
  HWY_DYNAMIC_DISPATCH(WinogradWeight)
  (weight, num_out, channels, panels, position_stride, scratch);
}

void winograd_input(const float* x, const WinogradMap& map, int64_t first, int64_t count,
                    float* values, int64_t position_stride) {
  HWY_DYNAMIC_DISPATCH(WinogradInput)(x, map, first, count, values, position_stride);
}

void winograd_output(const float* products, int64_t position_stride, int64_t tile_stride,
                     const WinogradMap& map, int64_t first, int64_t count, int64_t channel,
                     int64_t num_channels, const float* bias, float* y) {
  HWY_DYNAMIC_DISPATCH(WinogradOutput)
  (products, position_stride, tile_stride, map, first, count, channel, num_channels, bias, y);
}

}  // namespace easel::ops::cpu
#endif
