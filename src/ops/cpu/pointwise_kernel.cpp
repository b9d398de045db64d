// Sums and maps over values with the channels last.
#include <algorithm>

#include "kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/pointwise_kernel.cpp"
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

// `Vectors` neighbouring vectors of channels from `c` on.
template <int Vectors>
HWY_INLINE void SumChannels(const float* x, int64_t pixels, int64_t channels, int64_t c,
                            float* sums) {
  const D d;
  V sum[Vectors], squares[Vectors];
  for (int i = 0; i < Vectors; ++i) sum[i] = squares[i] = hn::Zero(d);
  for (int64_t p = 0; p < pixels; ++p) {
    for (int i = 0; i < Vectors; ++i) {
      const V value = hn::LoadU(d, x + p * channels + c + i * kLanes);
      sum[i] = hn::Add(sum[i], value);
      squares[i] = hn::MulAdd(value, value, squares[i]);
    }
  }
  for (int i = 0; i < Vectors; ++i) {
    hn::StoreU(sum[i], d, sums + c + i * kLanes);
    hn::StoreU(squares[i], d, sums + channels + c + i * kLanes);
  }
}

void ChannelSums(const float* x, int64_t pixels, int64_t channels, float* sums) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) {
    SumChannels<4>(x, pixels, channels, c, sums);
  }
  for (; c < channels; c += kLanes) SumChannels<1>(x, pixels, channels, c, sums);
}

HWY_INLINE V Silu(V x) {
  const D d;
  // exp(100) is infinite already, and Highway's exponential takes no more than 104.
  const V e = hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 100.0f)));
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), e));
}

void ScaleChannels(const float* x, int64_t pixels, int64_t channels, const float* scale,
                   const float* shift, bool silu, float* y) {
  const D d;
  for (int64_t p = 0; p < pixels; ++p) {
    const float* in = x + p * channels;
    float* out = y + p * channels;
    for (int64_t c = 0; c < channels; c += kLanes) {
      V value = hn::MulAdd(hn::LoadU(d, in + c), hn::LoadU(d, scale + c), hn::LoadU(d, shift + c));
      if (silu) value = Silu(value);
      hn::StoreU(value, d, out + c);
    }
  }
}

// x Phi(x), the error function after Abramowitz and Stegun 7.1.26: within 1.5e-7.
HWY_INLINE V Gelu(V x) {
  const D d;
  const V one = hn::Set(d, 1.0f);
  const V z = hn::Mul(hn::Abs(x), hn::Set(d, 0.70710678f));
  const V t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.3275911f), z, one));
  V polynomial = hn::MulAdd(hn::Set(d, 1.061405429f), t, hn::Set(d, -1.453152027f));
  polynomial = hn::MulAdd(polynomial, t, hn::Set(d, 1.421413741f));
  polynomial = hn::MulAdd(polynomial, t, hn::Set(d, -0.284496736f));
  polynomial = hn::MulAdd(polynomial, t, hn::Set(d, 0.254829592f));
  const V exponent = hn::Max(hn::Neg(hn::Mul(z, z)), hn::Set(d, -87.0f));
  const V tail = hn::Mul(hn::Mul(polynomial, t), hn::Exp(d, exponent));
  const V erf = hn::CopySign(hn::Sub(one, tail), x);
  return hn::Mul(hn::Mul(hn::Set(d, 0.5f), x), hn::Add(one, erf));
}

void Geglu(const float* x, int64_t rows, int64_t half, float* y) {
  const D d;
  for (int64_t row = 0; row < rows; ++row) {
    const float* value = x + row * 2 * half;
    const float* gate = value + half;
    float* out = y + row * half;
    for (int64_t j = 0; j < half; j += kLanes) {
      hn::StoreU(hn::Mul(hn::LoadU(d, value + j), Gelu(hn::LoadU(d, gate + j))), d, out + j);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace easel::ops::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace easel::ops::cpu {

HWY_EXPORT(ChannelSums);
HWY_EXPORT(ScaleChannels);
HWY_EXPORT(Geglu);

void channel_sums(const float* x, int64_t pixels, int64_t channels, float* sums) {
  HWY_DYNAMIC_DISPATCH(ChannelSums)(x, pixels, channels, sums);
}

void scale_channels(const float* x, int64_t pixels, int64_t channels, const float* scale,
                    const float* shift, bool silu, float* y) {
  HWY_DYNAMIC_DISPATCH(ScaleChannels)(x, pixels, channels, scale, shift, silu, y);
}

void geglu(const float* x, int64_t rows, int64_t half, float* y) {
  HWY_DYNAMIC_DISPATCH(Geglu)(x, rows, half, y);
}

}  // namespace easel::ops::cpu
#endif
