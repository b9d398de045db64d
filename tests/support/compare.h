// Comparing tensors: the one place where a tolerance belongs to a dtype.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/tensor.h>

namespace easel::test {

// Largest |difference| that two implementations of one network may show in this dtype, as a part of
// the largest |value| of the reference.
inline double tolerance(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return 1e-10;
    case at::kFloat:
      return 1e-4;
    case at::kHalf:
      return 2e-2;
    case at::kBFloat16:
      return 1e-1;
    default:
      return 0;
  }
}

// max |got - want| / max |want|, in float64. Infinity where a value is not finite.
inline double relative_difference(const Tensor& got, const Tensor& want) {
  const Tensor g = got.detach().to(at::kCPU, at::kDouble);
  const Tensor w = want.detach().to(at::kCPU, at::kDouble);
  if (!at::isfinite(g).all().item<bool>() || !at::isfinite(w).all().item<bool>()) {
    return std::numeric_limits<double>::infinity();
  }
  const double scale = w.abs().max().item<double>();
  const double difference = (g - w).abs().max().item<double>();
  return difference == 0 ? 0 : difference / scale;
}

// Same shape, and max |got - want| <= part * max |want|.
inline void expect_close(const Tensor& got, const Tensor& want, double part,
                         const std::string& what = "") {
  ASSERT_TRUE(got.defined()) << what;
  ASSERT_EQ(shape_text(got.sizes()), shape_text(want.sizes())) << what;
  EXPECT_LE(relative_difference(got, want), part) << what;
}

// With the tolerance of the dtype of `got`.
inline void expect_close(const Tensor& got, const Tensor& want, const std::string& what = "") {
  expect_close(got, want, tolerance(got.scalar_type()), what);
}

}  // namespace easel::test
