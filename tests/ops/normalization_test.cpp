#include "easel/ops/normalization.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/compare.h"

namespace easel {
namespace {

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kDouble);
}

Tensor normalised(const Tensor& rows, double eps) {
  const Tensor mean = rows.mean(-1, true);
  const Tensor variance = (rows - mean).pow(2).mean(-1, true);
  return (rows - mean) / (variance + eps).sqrt();
}

Tensor group_norm_by_definition(const Tensor& x, int64_t groups, const Tensor& weight,
                                const Tensor& bias, double eps) {
  const Tensor rows = normalised(x.reshape({x.size(0), groups, -1}), eps).reshape(x.sizes());
  std::vector<int64_t> shape(x.dim(), 1);
  shape[1] = x.size(1);
  return rows * weight.reshape(shape) + bias.reshape(shape);
}

TEST(Normalization, GroupNormFollowsItsDefinition) {
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{2, 64, 5, 3}, {3, 32, 1, 2}, {1, 96, 7}}) {
    const Tensor x = random(shape, 1) * 3 + 2;
    const Tensor weight = random({shape[1]}, 2);
    const Tensor bias = random({shape[1]}, 3);
    const Tensor want = group_norm_by_definition(x, 32, weight, bias, 1e-2);
    test::expect_close(ops::group_norm(x, 32, weight, bias, 1e-2), want);
    test::expect_close(ops::group_norm_silu(x, 32, weight, bias, 1e-2), want * at::sigmoid(want));
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      const Tensor got = ops::group_norm(x.to(dtype), 32, weight.to(dtype), bias.to(dtype), 1e-2);
      EXPECT_EQ(got.scalar_type(), dtype);
      test::expect_close(got, want, dtype_name(dtype));
    }
  }
}

TEST(Normalization, OfLargeHalfPrecisionValuesStaysFinite) {
  const Tensor x = (random({1, 32, 8, 8}, 1) * 1000).to(at::kHalf);
  const Tensor one = at::ones({32}, at::kHalf);
  const Tensor zero = at::zeros({32}, at::kHalf);
  test::expect_close(ops::group_norm(x, 4, one, zero, 1e-5),
                     group_norm_by_definition(x.to(at::kDouble), 4, one.to(at::kDouble),
                                              zero.to(at::kDouble), 1e-5));
}

TEST(Normalization, OfRowsWithTheSumsOfAllOfThemIsThatOfTheWhole) {
  const Tensor x = random({2, 64, 7, 5}, 1) * 3 + 2;
  const Tensor weight = random({64}, 2);
  const Tensor bias = random({64}, 3);
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kHalf}) {
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      const Tensor map = x.to(dtype).contiguous(format);
      const Tensor sums =
          ops::channel_sums(map.narrow(2, 0, 3)) + ops::channel_sums(map.narrow(2, 3, 4));
      for (const bool silu : {false, true}) {
        const Tensor rows = ops::group_norm_rows(map.narrow(2, 2, 4), sums, 35, 32,
                                                 weight.to(dtype), bias.to(dtype), 1e-2, silu);
        EXPECT_EQ(rows.scalar_type(), dtype);
        Tensor want = group_norm_by_definition(x, 32, weight, bias, 1e-2);
        if (silu) want = want * at::sigmoid(want);
        test::expect_close(rows, want.narrow(2, 2, 4), dtype_name(dtype));
      }
    }
  }
}

TEST(Normalization, LayerNormFollowsItsDefinition) {
  const Tensor x = random({2, 5, 48}, 1) * 4 - 1;
  const Tensor weight = random({48}, 2);
  const Tensor bias = random({48}, 3);
  const Tensor want = normalised(x, 1e-3) * weight + bias;
  test::expect_close(ops::layer_norm(x, weight, bias, 1e-3), want);
  test::expect_close(ops::layer_norm(x.transpose(0, 1), weight, bias, 1e-3), want.transpose(0, 1));
  test::expect_close(
      ops::layer_norm(x.to(at::kHalf), weight.to(at::kHalf), bias.to(at::kHalf), 1e-3), want);
}

TEST(Normalization, GroupNormSiluGivesGradientsAndLeavesItsInputAlone) {
  const Tensor x = random({2, 32, 3, 3}, 1).requires_grad_();
  const Tensor weight = random({32}, 2).requires_grad_();
  const Tensor bias = random({32}, 3).requires_grad_();
  const Tensor before = x.detach().clone();
  const Tensor direction = random({2, 32, 3, 3}, 4);
  (ops::group_norm_silu(x, 8, weight, bias, 1e-5) * direction).sum().backward();
  const std::vector<Tensor> got = {x.grad().clone(), weight.grad().clone(), bias.grad().clone()};
  for (const Tensor& leaf : {x, weight, bias}) leaf.mutable_grad().reset();
  const Tensor y = group_norm_by_definition(x, 8, weight, bias, 1e-5);
  (y * at::sigmoid(y) * direction).sum().backward();
  test::expect_close(got[0], x.grad());
  test::expect_close(got[1], weight.grad());
  test::expect_close(got[2], bias.grad());
  EXPECT_TRUE(at::equal(x.detach(), before));
}

}  // namespace
}  // namespace easel
