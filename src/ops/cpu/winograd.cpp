// Winograd's algorithm in two phases: the inputs of a group of tiles are transformed once, then
// each task transforms the weights of a few output channels and multiplies, for all 36 positions,
// few enough tiles at a time that their products stay in the second-level cache.
#include <algorithm>

#include <ATen/ATen.h>

#include "float32.h"
#include "kernels.h"
#include "parallel.h"
#include "scratch.h"

namespace easel::ops::cpu {
namespace {

constexpr int64_t kValueFloats = 20 << 20;  // transformed inputs of a group: 80 MiB
constexpr int64_t kInputTiles = 16;         // of a task of the first phase
constexpr int64_t kProductTiles = 48;       // multiplied at a time
constexpr int64_t kPanelsOfTask = 2;        // of output channels: one reads the inputs too often
constexpr int64_t kMinTilesOfTask = 144;    // of the second phase, to be worth a transformed weight
constexpr int64_t kTasksPerThread = 4;
// Equal strides between the 36 positions would put them all into the same sets of a cache.
constexpr int64_t kSkew = 16;

}  // namespace

Tensor winograd(const Tensor& x_BCHW, const Tensor& weight, const Tensor& bias) {
  const Tensor x = x_BCHW.contiguous(at::MemoryFormat::ChannelsLast);
  const int64_t batch = x.size(0);
  const int64_t channels = x.size(1);
  const int64_t num_out = weight.size(0);
  const WinogradMap in{.height = x.size(2),
                       .width = x.size(3),
                       .channels = channels,
                       .tiles_high = divide_up(x.size(2), kWinogradTile),
                       .tiles_wide = divide_up(x.size(3), kWinogradTile)};
  WinogradMap out = in;
  out.channels = num_out;
  Tensor y =
      at::empty({batch, num_out, in.height, in.width}, x.options(), at::MemoryFormat::ChannelsLast);

  const int64_t tiles = batch * in.tiles_high * in.tiles_wide;
  const int64_t fitting = std::max(kValueFloats / (kWinogradPositions * channels), kProductTiles);
  const int64_t group = divide_up(tiles, divide_up(tiles, fitting));
  const int64_t value_stride = group * channels + kSkew;
  const int64_t width = panel_width();
  const int64_t columns = kPanelsOfTask * width;
  const int64_t blocks = divide_up(num_out, columns);
  const int64_t weight_stride = channels * columns + kSkew;
  const int64_t product_stride = kProductTiles * columns + kSkew;

  Tensor values = scratch(kWinogradPositions * value_stride);
  auto* value_data = values.mutable_data_ptr<float>();
  const auto* x_data = x.const_data_ptr<float>();
  const auto* weight_data = weight.const_data_ptr<float>();
  const float* bias_data = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  auto* y_data = y.mutable_data_ptr<float>();

  for (int64_t first = 0; first < tiles; first += group) {
    const int64_t count = std::min(group, tiles - first);
    parallel(divide_up(count, kInputTiles), count * channels * 200, [&](const NextTask& next) {
      for (int64_t task = next(); task >= 0; task = next()) {
        const int64_t tile = task * kInputTiles;
        winograd_input(x_data, in, first + tile, std::min(kInputTiles, count - tile),
                       value_data + tile * channels, value_stride);
      }
    });
    const int64_t parts = std::clamp(divide_up(kTasksPerThread * num_threads(), blocks), int64_t{1},
                                     divide_up(count, kMinTilesOfTask));
    const int64_t tiles_of_part = divide_up(count, parts);
    parallel(blocks * parts, 2 * kWinogradPositions * count * channels * num_out,
             [&](const NextTask& next) {
               Tensor buffers = scratch(kWinogradPositions * (weight_stride + product_stride) +
                                        9 * kChannelMultiple * kMaxPanelWidth);
               auto* u = buffers.mutable_data_ptr<float>();
               float* products = u + kWinogradPositions * weight_stride;
               float* unpacked = products + kWinogradPositions * product_stride;
               for (int64_t task = next(); task >= 0; task = next()) {
                 const int64_t channel = task / parts * columns;
                 const int64_t num_channels = std::min(columns, num_out - channel);
                 const int64_t begin = task % parts * tiles_of_part;
                 const int64_t end = std::min(begin + tiles_of_part, count);
                 for (int64_t j = 0; j < num_channels; j += width) {
                   winograd_weight(weight_data + (channel + j) * channels * 9,
                                   std::min(width, num_channels - j), channels, u + j * channels,
                                   weight_stride, unpacked);
                 }
                 for (int64_t tile = begin; tile < end; tile += kProductTiles) {
                   const int64_t num_tiles = std::min(kProductTiles, end - tile);
                   for (int64_t p = 0; p < kWinogradPositions; ++p) {
                     multiply({.a = value_data + p * value_stride + tile * channels,
                               .a_stride = channels,
                               .rows = num_tiles,
                               .panels = u + p * weight_stride,
                               .panel_stride = channels * width,
                               .depth = channels,
                               .c = products + p * product_stride,
                               .c_stride = columns,
                               .columns = num_channels});
                   }
                   winograd_output(products, product_stride, columns, out, first + tile, num_tiles,
                                   channel, num_channels,
                                   bias_data == nullptr ? nullptr : bias_data + channel, y_data);
                 }
               }
             });
  }
  return y;
}

}  // namespace easel::ops::cpu
