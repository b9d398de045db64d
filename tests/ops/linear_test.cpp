#include "easel/ops/linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/compare.h"

namespace easel {
namespace {

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kDouble);
}

// The sums written out.
Tensor convolution_by_definition(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                 int64_t stride, int64_t padding) {
  const Tensor padded = at::constant_pad_nd(x, {padding, padding, padding, padding});
  const int64_t kernel = weight.size(2);
  const int64_t height = (padded.size(2) - kernel) / stride + 1;
  const int64_t width = (padded.size(3) - kernel) / stride + 1;
  Tensor out = at::zeros({x.size(0), weight.size(0), height, width}, at::kDouble);
  for (int64_t i = 0; i < height; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      const Tensor patch =
          padded.narrow(2, i * stride, kernel).narrow(3, j * stride, kernel).flatten(1);
      const Tensor value = at::matmul(patch, weight.flatten(1).t());
      out.select(3, j).select(2, i).copy_(bias.defined() ? value + bias : value);
    }
  }
  return out;
}

TEST(Linear, MultipliesByTheTransposedWeight) {
  const Tensor x = random({2, 3, 5}, 1);
  const Tensor weight = random({4, 5}, 2);
  const Tensor bias = random({4}, 3);
  const Tensor product = at::matmul(x, weight.t());
  test::expect_close(ops::linear(x, weight, bias), product + bias);
  test::expect_close(ops::linear(x, weight, {}), product);
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    test::expect_close(ops::linear(x.to(dtype), weight.to(dtype), bias.to(dtype)), product + bias,
                       dtype_name(dtype));
  }
}

TEST(Conv2d, FollowsItsDefinition) {
  struct Case {
    int64_t kernel, stride, padding;
  };
  const Tensor x = random({2, 3, 6, 8}, 1);
  for (const auto [kernel, stride, padding] :
       {Case{1, 1, 0}, Case{3, 1, 1}, Case{3, 2, 1}, Case{3, 2, 0}}) {
    const Tensor weight = random({4, 3, kernel, kernel}, 2);
    const Tensor bias = random({4}, 3);
    const Tensor want = convolution_by_definition(x, weight, bias, stride, padding);
    test::expect_close(ops::conv2d(x, weight, bias, stride, padding), want);
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      test::expect_close(
          ops::conv2d(x.to(dtype), weight.to(dtype), bias.to(dtype), stride, padding), want,
          dtype_name(dtype));
    }
    test::expect_close(ops::conv2d(x, weight, {}, stride, padding),
                       convolution_by_definition(x, weight, {}, stride, padding));
  }
}

}  // namespace
}  // namespace easel
