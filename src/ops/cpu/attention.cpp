// Attention with running softmax sums (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al.
// 2022): the scores exist for a block of queries and keys at a time.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <ATen/ATen.h>

#include "float32.h"
#include "kernels.h"
#include "parallel.h"
#include "scratch.h"

namespace easel::ops::cpu {
namespace {

constexpr int64_t kRows = 96;                // queries of a block: a multiple of every tile's rows
constexpr int64_t kMaxKeys = 256;            // of a block
constexpr int64_t kBlockFloats = 32 * 1024;  // keys of a block: they stay in the second-level cache
constexpr int64_t kTasksPerThread = 3;

struct Shape {
  int64_t queries, keys, features;  // of one head
  int64_t query_stride, key_stride;
  int64_t width;          // features, rounded up to whole vectors
  int64_t keys_of_block;  // a multiple of the panels' width
  int64_t panels;         // of all keys
};

// One head's keys as panels and its values as rows of whole vectors.
struct Head {
  float* keys;
  float* values;
};

void pack(const float* k, const float* v, const Shape& shape, const Head& head) {
  const int64_t panel = panel_width();
  for (int64_t i = 0; i < shape.panels; ++i) {
    pack_panel(k + i * panel * shape.key_stride, shape.key_stride,
               std::min(panel, shape.keys - i * panel), shape.features,
               head.keys + i * panel * shape.features);
  }
  for (int64_t s = 0; s < shape.keys; ++s) {
    float* row = head.values + s * shape.width;
    std::memcpy(row, v + s * shape.key_stride, sizeof(float) * shape.features);
    std::fill(row + shape.features, row + shape.width, 0.0f);
  }
}

// What a thread works with besides: scores, sums and results of a block of queries.
struct Block {
  float* scores;  // [kRows, keys_of_block]
  float* out;     // [kRows, width]
  float most[kRows], sums[kRows], shrink[kRows];
};

void attend(const float* q, int64_t rows, const Shape& shape, const Head& head, Block& block,
            float* out) {
  std::fill_n(block.most, rows, kNoScore);
  std::fill_n(block.sums, rows, 0.0f);
  std::fill_n(block.out, rows * shape.width, 0.0f);
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.features)));
  for (int64_t key = 0; key < shape.keys; key += shape.keys_of_block) {
    const int64_t keys = std::min(shape.keys_of_block, shape.keys - key);
    multiply({.a = q,
              .a_stride = shape.query_stride,
              .rows = rows,
              .panels = head.keys + key * shape.features,
              .panel_stride = panel_width() * shape.features,
              .depth = shape.features,
              .c = block.scores,
              .c_stride = shape.keys_of_block,
              .columns = keys});
    attention_weights(block.scores, shape.keys_of_block, rows, keys, scale, block.most, block.sums,
                      block.shrink);
    add_weighed_values({.weights = block.scores,
                        .weight_stride = shape.keys_of_block,
                        .rows = rows,
                        .keys = keys,
                        .values = head.values + key * shape.width,
                        .width = shape.width,
                        .shrink = block.shrink,
                        .out = block.out});
  }
  for (int64_t r = 0; r < rows; ++r) {
    const float part = 1 / block.sums[r];
    const float* from = block.out + r * shape.width;
    float* to = out + r * shape.query_stride;
    for (int64_t e = 0; e < shape.features; ++e) to[e] = from[e] * part;
  }
}

constexpr int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

}  // namespace

Tensor attention(const Tensor& q_BTD, const Tensor& k_BSD, const Tensor& v_BSD, int64_t heads) {
  const Tensor q = q_BTD.contiguous();
  const Tensor k = k_BSD.contiguous();
  const Tensor v = v_BSD.contiguous();
  Tensor out = at::empty_like(q);
  const int64_t panel = panel_width();
  Shape shape{.queries = q.size(1),
              .keys = k.size(1),
              .features = q.size(2) / heads,
              .query_stride = q.size(2),
              .key_stride = k.size(2),
              .width = round_up(q.size(2) / heads, kChannelMultiple),
              .keys_of_block = 0,
              .panels = divide_up(k.size(1), panel)};
  shape.keys_of_block = std::min({round_up(std::max(kBlockFloats / shape.width, panel), panel),
                                  kMaxKeys, round_up(shape.keys, panel)});
  const int64_t num_heads = q.size(0) * heads;
  const int64_t blocks = divide_up(shape.queries, kRows);
  const int64_t tasks_of_head = std::clamp(
      divide_up(kTasksPerThread * int64_t{num_threads()}, num_heads), int64_t{1}, blocks);
  const int64_t blocks_of_task = divide_up(blocks, tasks_of_head);

  const auto* q_data = q.const_data_ptr<float>();
  const auto* k_data = k.const_data_ptr<float>();
  const auto* v_data = v.const_data_ptr<float>();
  auto* out_data = out.mutable_data_ptr<float>();
  const int64_t key_floats = shape.panels * panel * shape.features;
  const int64_t value_floats = shape.keys * shape.width;
  const int64_t score_floats = kRows * shape.keys_of_block;
  const int64_t operations = 4 * num_heads * shape.queries * shape.keys * shape.features;
  parallel(num_heads * tasks_of_head, operations, [&](const NextTask& next) {
    Tensor memory = scratch(round_up(key_floats, kChannelMultiple) + value_floats + score_floats +
                            kRows * shape.width);
    auto* floats = memory.mutable_data_ptr<float>();
    const Head head{.keys = floats, .values = floats + round_up(key_floats, kChannelMultiple)};
    Block block;
    block.scores = head.values + value_floats;
    block.out = block.scores + score_floats;
    int64_t packed = -1;
    for (int64_t task = next(); task >= 0; task = next()) {
      const int64_t index = task / tasks_of_head;
      const int64_t batch = index / heads;
      const int64_t column = index % heads * shape.features;
      if (index != packed) {
        const int64_t start = batch * shape.keys * shape.key_stride + column;
        pack(k_data + start, v_data + start, shape, head);
        packed = index;
      }
      const int64_t first = task % tasks_of_head * blocks_of_task * kRows;
      const int64_t end = std::min(first + blocks_of_task * kRows, shape.queries);
      for (int64_t row = first; row < end; row += kRows) {
        const int64_t start = (batch * shape.queries + row) * shape.query_stride + column;
        attend(q_data + start, std::min(kRows, end - row), shape, head, block, out_data + start);
      }
    }
  });
  return out;
}

}  // namespace easel::ops::cpu
