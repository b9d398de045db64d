// The inner loops of the hand-written float32 operators for CPUs. Plain C++ over raw memory and one
// thread each; the files beside this one cut the work up for the threads. Every function exists
// once for each instruction set (Highway), and the processor that runs it decides.
//
// Sums run over the depth in one order, so a result depends neither on the number of threads nor on
// which rows are computed together.
#pragma once

#include <cstdint>

namespace easel::ops::cpu {

// Whether this processor has an instruction set for which the kernels are worth using.
bool has_kernels();

// The channels of what is normalised or convolved must be a multiple of this, and buffers aligned
// to this many floats.
constexpr int64_t kChannelMultiple = 16;

// Columns of a packed panel: two vectors.
int64_t panel_width();
constexpr int64_t kMaxPanelWidth = 32;

// panel[k * panel_width() + j] = rows[j * row_stride + k] for j < num_rows <= panel_width(),
// k < depth; the columns behind are zero.
void pack_panel(const float* rows, int64_t row_stride, int64_t num_rows, int64_t depth,
                float* panel);

struct Product {
  const float* a;  // [rows, depth], row_stride apart
  int64_t a_stride;
  int64_t rows;
  const float* panels;  // ceil(columns / panel_width()) packed panels, panel_stride apart
  int64_t panel_stride;
  int64_t depth;
  float* c;  // [rows, columns]
  int64_t c_stride;
  int64_t columns;
  const float* bias = nullptr;  // [columns]: added
  bool accumulate = false;      // c += a b instead of c = a b
};
void multiply(const Product& product);

// Winograd's F(4 x 4, 3 x 3) (Lavin and Gray 2016) on maps with the channels last: 4 x 4 outputs
// are made from 36 products per pair of channels instead of 144.
constexpr int64_t kWinogradPositions = 36;
constexpr int64_t kWinogradTile = 4;

struct WinogradMap {
  int64_t height, width, channels;  // channels: of the input, or of the output
  int64_t tiles_high, tiles_wide;   // tiles are counted over the batch, row by row
};

// weight [num_out, channels, 3, 3], num_out <= panel_width(): 36 packed panels of depth `channels`,
// position_stride apart. scratch: 9 * kChannelMultiple * kMaxPanelWidth floats.
void winograd_weight(const float* weight, int64_t num_out, int64_t channels, float* panels,
                     int64_t position_stride, float* scratch);
// Tiles [first, first + count) of x: values[position][tile - first][channel].
void winograd_input(const float* x, const WinogradMap& map, int64_t first, int64_t count,
                    float* values, int64_t position_stride);
// The products [position][tile - first][tile_stride] of channels [channel, channel + num_channels)
// into y, plus bias [num_channels].
void winograd_output(const float* products, int64_t position_stride, int64_t tile_stride,
                     const WinogradMap& map, int64_t first, int64_t count, int64_t channel,
                     int64_t num_channels, const float* bias, float* y);

// What no score is as low as: the maximum of no scores.
constexpr float kNoScore = -3.402823466e38f;

// scores [rows, keys], rows `stride` apart (a multiple of kChannelMultiple; what lies behind a
// row's keys is written to), become exp(scale * score - most), where most[row] is the greatest
// scale * score of the row so far. What was summed up before is to be multiplied by shrink[row];
// sums[row] already is, and has these weights' sum.
void attention_weights(float* scores, int64_t stride, int64_t rows, int64_t keys, float scale,
                       float* most, float* sums, float* shrink);

// out [rows, width] = out * shrink[row] + weights [rows, keys] values [keys, width], width a
// multiple of kChannelMultiple.
struct WeighedValues {
  const float* weights;
  int64_t weight_stride;
  int64_t rows;
  int64_t keys;
  const float* values;
  int64_t width;
  const float* shrink;
  float* out;
};
void add_weighed_values(const WeighedValues& values);

// x [pixels, channels]: sums[0][c] of the values and sums[1][c] of their squares.
void channel_sums(const float* x, int64_t pixels, int64_t channels, float* sums);
// y = x * scale + shift by channel, and silu of it where asked for.
void scale_channels(const float* x, int64_t pixels, int64_t channels, const float* scale,
                    const float* shift, bool silu, float* y);
// x [rows, 2 D] -> y [rows, D]: the first half times gelu of the second.
void geglu(const float* x, int64_t rows, int64_t half, float* y);

}  // namespace easel::ops::cpu
