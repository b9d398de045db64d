#include "easel/ops/attention.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/compare.h"

namespace easel {
namespace {

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kDouble);
}

// The definition, one head at a time, in float64.
Tensor by_definition(const Tensor& q, const Tensor& k, const Tensor& v, int64_t heads,
                     bool causal) {
  const int64_t features = q.size(2) / heads;
  std::vector<Tensor> outs;
  for (int64_t n = 0; n < heads; ++n) {
    const auto head = [&](const Tensor& x) { return x.narrow(2, n * features, features); };
    Tensor scores = at::matmul(head(q), head(k).transpose(1, 2)) / std::sqrt(double(features));
    if (causal) {
      const Tensor later = at::ones({q.size(1), k.size(1)}, at::kBool).triu(1);
      scores = scores.masked_fill(later, -std::numeric_limits<double>::infinity());
    }
    outs.push_back(at::matmul(at::softmax(scores, -1), head(v)));
  }
  return at::cat(outs, 2);
}

TEST(Attention, IsSoftmaxOfScaledDotProductsTimesValues) {
  for (const int64_t heads : {1, 2, 5}) {
    const Tensor q = random({2, 7, heads * 6}, 1);
    const Tensor k = random({2, 11, heads * 6}, 2);
    const Tensor v = random({2, 11, heads * 6}, 3);
    const Tensor want = by_definition(q, k, v, heads, false);
    test::expect_close(ops::attention(q, k, v, heads), want);
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      const Tensor got = ops::attention(q.to(dtype), k.to(dtype), v.to(dtype), heads);
      EXPECT_EQ(got.scalar_type(), dtype);
      test::expect_close(got, want, dtype_name(dtype));
    }
  }
}

TEST(Attention, CausalSeesNoLaterToken) {
  const Tensor q = random({2, 9, 12}, 1);
  const Tensor k = random({2, 9, 12}, 2);
  const Tensor v = random({2, 9, 12}, 3);
  const Tensor want = by_definition(q, k, v, 3, true);
  test::expect_close(ops::attention(q, k, v, 3, true), want);
  test::expect_close(ops::attention(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), 3, true),
                     want);
}

TEST(Attention, OfLargeScoresStaysFinite) {
  const Tensor q = at::full({1, 4, 64}, 30.0, at::kHalf);
  const Tensor v = random({1, 4, 64}, 3).to(at::kHalf);
  test::expect_close(ops::attention(q, q, v, 1), v.mean(1, true).expand({1, 4, 64}));
}

TEST(Attention, GivesGradients) {
  const Tensor q = random({1, 3, 8}, 1).requires_grad_();
  const Tensor k = random({1, 4, 8}, 2).requires_grad_();
  const Tensor v = random({1, 4, 8}, 3).requires_grad_();
  const Tensor weight = random({1, 3, 8}, 4);
  (ops::attention(q, k, v, 2) * weight).sum().backward();
  const Tensor got_q = q.grad().clone();
  const Tensor got_k = k.grad().clone();
  const Tensor got_v = v.grad().clone();
  for (const Tensor& x : {q, k, v}) x.mutable_grad().reset();
  (by_definition(q, k, v, 2, false) * weight).sum().backward();
  test::expect_close(got_q, q.grad());
  test::expect_close(got_k, k.grad());
  test::expect_close(got_v, v.grad());
}

TEST(Attention, RefusesHeadsThatDoNotDivide) {
  const Tensor x = random({1, 3, 8}, 1);
  EXPECT_THROW(ops::attention(x, x, x, 3), c10::Error);
  EXPECT_THROW(ops::attention(x, x, x, 0), c10::Error);
}

}  // namespace
}  // namespace easel
