// Attention over one block of keys: softmax of the scores as far as it is known, and the values.
#include <algorithm>

#include "kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention_kernel.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// After highway.h, and once for each instruction set.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace easel::ops::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = hn::MaxLanes(D());
// Accumulators, the vectors of a value and one weight: 28 of AVX-512's 32 registers, 16 of AVX2's.
constexpr int kMaxVectors = 3;
constexpr int kTileRows = kLanes >= 16 ? 8 : 4;

void AttentionWeights(float* scores, int64_t stride, int64_t rows, int64_t keys, float scale,
                      float* most, float* sums, float* shrink) {
  const D d;
  const V scales = hn::Set(d, scale);
  const int64_t padded = (keys + kLanes - 1) / kLanes * kLanes;
  for (int64_t r = 0; r < rows; ++r) {
    float* row = scores + r * stride;
    std::fill(row + keys, row + padded, kNoScore);
    V high = hn::Set(d, kNoScore);
    for (int64_t k = 0; k < padded; k += kLanes) high = hn::Max(high, hn::Load(d, row + k));
    const float now = std::max(most[r], scale * hn::GetLane(hn::MaxOfLanes(d, high)));
    const V nows = hn::Set(d, now);
    V sum = hn::Zero(d);
    for (int64_t k = 0; k < padded; k += kLanes) {
      const V weight = hn::Exp(d, hn::MulSub(hn::Load(d, row + k), scales, nows));
      hn::Store(weight, d, row + k);
      sum = hn::Add(sum, weight);
    }
    shrink[r] = hn::GetLane(hn::Exp(d, hn::Set(d, most[r] - now)));
    sums[r] = sums[r] * shrink[r] + hn::GetLane(hn::SumOfLanes(d, sum));
    most[r] = now;
  }
}

// `Rows` rows, `Vectors` vectors of their values.
template <int Rows, int Vectors>
HWY_INLINE void ValuesTile(const WeighedValues& w, int64_t row, int64_t column) {
  const D d;
  const float* weights = w.weights + row * w.weight_stride;
  float* out = w.out + row * w.width + column;
  V total[Rows][Vectors];
  for (int i = 0; i < Rows; ++i) {
    const V shrink = hn::Set(d, w.shrink[row + i]);
    for (int j = 0; j < Vectors; ++j) {
      total[i][j] = hn::Mul(shrink, hn::Load(d, out + i * w.width + j * kLanes));
    }
  }
  for (int64_t k = 0; k < w.keys; ++k) {
    V value[Vectors];
    for (int j = 0; j < Vectors; ++j) {
      value[j] = hn::Load(d, w.values + k * w.width + column + j * kLanes);
    }
    for (int i = 0; i < Rows; ++i) {
      const V weight = hn::Set(d, weights[i * w.weight_stride + k]);
      for (int j = 0; j < Vectors; ++j) total[i][j] = hn::MulAdd(weight, value[j], total[i][j]);
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Vectors; ++j) {
      hn::Store(total[i][j], d, out + i * w.width + j * kLanes);
    }
  }
}

template <int Vectors>
HWY_NOINLINE void ValuesColumns(const WeighedValues& w, int64_t column) {
  int64_t row = 0;
  for (; row + kTileRows <= w.rows; row += kTileRows)
    ValuesTile<kTileRows, Vectors>(w, row, column);
  for (; row < w.rows; ++row) ValuesTile<1, Vectors>(w, row, column);
}

void AddWeighedValues(const WeighedValues& w) {
  int64_t column = 0;
  for (; column + kMaxVectors * kLanes <= w.width; column += kMaxVectors * kLanes) {
    ValuesColumns<kMaxVectors>(w, column);
  }
  for (; column + 2 * kLanes <= w.width; column += 2 * kLanes) ValuesColumns<2>(w, column);
  for (; column < w.width; column += kLanes) ValuesColumns<1>(w, column);
}

}  // namespace HWY_NAMESPACE
}  // namespace easel::ops::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace easel::ops::cpu {

HWY_EXPORT(AttentionWeights);
HWY_EXPORT(AddWeighedValues);

void attention_weights(float* scores, int64_t stride, int64_t rows, int64_t keys, float scale,
                       float* most, float* sums, float* shrink) {
  HWY_DYNAMIC_DISPATCH(AttentionWeights)(scores, stride, rows, keys, scale, most, sums, shrink);
}

void add_weighed_values(const WeighedValues& values) {
  HWY_DYNAMIC_DISPATCH(AddWeighedValues)(values);
}

}  // namespace easel::ops::cpu
#endif
