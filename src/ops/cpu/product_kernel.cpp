// Packed matrix products: a tile of the result stays in registers while the depth runs.
#include <algorithm>
#include <array>
#include <cstring>

#include "kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/product_kernel.cpp"
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
// Two accumulators a row, two vectors of the panel and one of a: 27 of AVX-512's 32 registers, 15
// of AVX2's 16.
constexpr int kTileRows = kLanes >= 16 ? 12 : 6;

int64_t PanelWidth() { return kWidth; }

bool HasKernels() { return HWY_NATIVE_FMA != 0; }

void PackPanel(const float* rows, int64_t row_stride, int64_t num_rows, int64_t depth,
               float* panel) {
  int64_t j = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::Full128<float> d4;
  const hn::Repartition<double, decltype(d4)> d2;
  for (; j + 4 <= num_rows; j += 4) {
    const float* row = rows + j * row_stride;
    float* out = panel + j;
    int64_t k = 0;
    for (; k + 4 <= depth; k += 4) {
      const auto r0 = hn::LoadU(d4, row + k);
      const auto r1 = hn::LoadU(d4, row + row_stride + k);
      const auto r2 = hn::LoadU(d4, row + 2 * row_stride + k);
      const auto r3 = hn::LoadU(d4, row + 3 * row_stride + k);
      const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d4, r0, r1));
      const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d4, r2, r3));
      const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d4, r0, r1));
      const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d4, r2, r3));
      hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, low01, low23)), d4, out + k * kWidth);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, low01, low23)), d4,
                 out + (k + 1) * kWidth);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, high01, high23)), d4,
                 out + (k + 2) * kWidth);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, high01, high23)), d4,
                 out + (k + 3) * kWidth);
    }
    for (; k < depth; ++k) {
      for (int64_t i = 0; i < 4; ++i) out[k * kWidth + i] = row[i * row_stride + k];
    }
  }
#endif
  for (; j < num_rows; ++j) {
    for (int64_t k = 0; k < depth; ++k) panel[k * kWidth + j] = rows[j * row_stride + k];
  }
  for (; j < kWidth; ++j) {
    for (int64_t k = 0; k < depth; ++k) panel[k * kWidth + j] = 0;
  }
}

// `Rows` rows of one panel's product, `columns` of them wanted.
template <int Rows>
HWY_INLINE void MultiplyTile(const Product& p, const float* a, const float* panel, float* c,
                             int64_t columns, const float* bias) {
  const D d;
  V left[Rows], right[Rows];
  for (int i = 0; i < Rows; ++i) left[i] = right[i] = hn::Zero(d);
  for (int64_t k = 0; k < p.depth; ++k) {
    const V b0 = hn::Load(d, panel + k * kWidth);
    const V b1 = hn::Load(d, panel + k * kWidth + kLanes);
    for (int i = 0; i < Rows; ++i) {
      const V value = hn::Set(d, a[i * p.a_stride + k]);
      left[i] = hn::MulAdd(value, b0, left[i]);
      right[i] = hn::MulAdd(value, b1, right[i]);
    }
  }
  if (columns == kWidth) {
    if (bias != nullptr) {
      const V b0 = hn::LoadU(d, bias);
      const V b1 = hn::LoadU(d, bias + kLanes);
      for (int i = 0; i < Rows; ++i) {
        left[i] = hn::Add(left[i], b0);
        right[i] = hn::Add(right[i], b1);
      }
    }
    for (int i = 0; i < Rows; ++i) {
      float* row = c + i * p.c_stride;
      if (p.accumulate) {
        left[i] = hn::Add(left[i], hn::LoadU(d, row));
        right[i] = hn::Add(right[i], hn::LoadU(d, row + kLanes));
      }
      hn::StoreU(left[i], d, row);
      hn::StoreU(right[i], d, row + kLanes);
    }
    return;
  }
  HWY_ALIGN float values[kWidth];
  for (int i = 0; i < Rows; ++i) {
    hn::Store(left[i], d, values);
    hn::Store(right[i], d, values + kLanes);
    float* row = c + i * p.c_stride;
    for (int64_t j = 0; j < columns; ++j) {
      float value = values[j];
      if (bias != nullptr) value += bias[j];
      row[j] = p.accumulate ? value + row[j] : value;
    }
  }
}

template <int Rows>
HWY_NOINLINE void MultiplyRows(const Product& p, int64_t row) {
  int64_t column = 0;
  for (const float* panel = p.panels; column < p.columns;
       column += kWidth, panel += p.panel_stride) {
    MultiplyTile<Rows>(p, p.a + row * p.a_stride, panel, p.c + row * p.c_stride + column,
                       std::min(kWidth, p.columns - column),
                       p.bias == nullptr ? nullptr : p.bias + column);
  }
}

void Multiply(const Product& p) {
  int64_t row = 0;
  for (; row + kTileRows <= p.rows; row += kTileRows) MultiplyRows<kTileRows>(p, row);
  for (; row + 4 <= p.rows; row += 4) MultiplyRows<4>(p, row);
  for (; row < p.rows; ++row) MultiplyRows<1>(p, row);
}

}  // namespace HWY_NAMESPACE
}  // namespace easel::ops::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace easel::ops::cpu {

HWY_EXPORT(PanelWidth);
HWY_EXPORT(HasKernels);
HWY_EXPORT(PackPanel);
HWY_EXPORT(Multiply);

int64_t panel_width() { return HWY_DYNAMIC_DISPATCH(PanelWidth)(); }

bool has_kernels() { return HWY_DYNAMIC_DISPATCH(HasKernels)(); }

void pack_panel(const float* rows, int64_t row_stride, int64_t num_rows, int64_t depth,
                float* panel) {
  HWY_DYNAMIC_DISPATCH(PackPanel)(rows, row_stride, num_rows, depth, panel);
}

void multiply(const Product& product) { HWY_DYNAMIC_DISPATCH(Multiply)(product); }

}  // namespace easel::ops::cpu
#endif
