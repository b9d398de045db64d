#include "easel/ops/activation.h"

#include <cmath>
#include <functional>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/compare.h"

namespace easel {
namespace {

// Every value of x through f, in float64.
Tensor map(const Tensor& x, const std::function<double(double)>& f) {
  Tensor out = x.to(at::kDouble).clone();
  double* values = out.mutable_data_ptr<double>();
  for (int64_t i = 0; i < out.numel(); ++i) values[i] = f(values[i]);
  return out;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double gelu(double x) { return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0))); }

TEST(Activation, FollowsTheDefinitions) {
  const Tensor x = at::linspace(-9, 9, 73, at::kFloat);
  test::expect_close(ops::silu(x), map(x, [](double v) { return v * sigmoid(v); }), 1e-6);
  test::expect_close(ops::silu(x.clone()), map(x, [](double v) { return v * sigmoid(v); }), 1e-6);
  test::expect_close(ops::gelu(x), map(x, gelu), 1e-6);
  test::expect_close(ops::quick_gelu(x), map(x, [](double v) { return v * sigmoid(1.702 * v); }),
                     1e-6);
}

TEST(Activation, GegluMultipliesByGeluOfTheSecondHalf) {
  const Tensor x = at::linspace(-4, 5, 2 * 3 * 10, at::kFloat).reshape({2, 3, 10});
  const Tensor want = x.narrow(2, 0, 5).to(at::kDouble) * map(x.narrow(2, 5, 5).contiguous(), gelu);
  test::expect_close(ops::geglu(x), want, 1e-6);
  EXPECT_THROW(ops::geglu(at::ones({2, 3})), c10::Error);
}

TEST(Activation, AddBroadcastsItsSecondArgument) {
  const Tensor y = at::arange(3, at::kFloat).reshape({1, 3, 1, 1});
  const Tensor sum = ops::add(at::ones({2, 3, 2, 2}), y);
  EXPECT_TRUE(at::equal(sum, at::ones({2, 3, 2, 2}) + y));
}

TEST(Activation, ReusesMemoryOnlyWhereItWasGivenUpAndNoGradientIsRecorded) {
  const Tensor kept = at::ones({4});
  ops::silu(kept);
  ops::gelu(kept);
  ops::quick_gelu(kept);
  ops::geglu(kept);
  EXPECT_TRUE(at::equal(kept, at::ones({4})));

  const void* memory = kept.const_data_ptr();
  EXPECT_EQ(ops::silu(Tensor(kept)).const_data_ptr(), memory);
  EXPECT_EQ(ops::add(Tensor(kept), at::ones({4})).const_data_ptr(), memory);

  const Tensor leaf = at::ones({4}).requires_grad_();
  const Tensor recorded = leaf * 1;
  const Tensor value = recorded.detach().clone();
  EXPECT_NE(ops::silu(Tensor(recorded)).const_data_ptr(), recorded.const_data_ptr());
  EXPECT_NE(ops::add(Tensor(recorded), value).const_data_ptr(), recorded.const_data_ptr());
  EXPECT_NE(ops::add(Tensor(value), recorded).const_data_ptr(), value.const_data_ptr());
  EXPECT_TRUE(at::equal(recorded, value));
}

TEST(Activation, GivesGradients) {
  const auto gradient = [](const std::function<Tensor(Tensor)>& f) {
    const Tensor x = at::linspace(-3, 3, 12, at::kDouble).requires_grad_();
    f(x * 1).sum().backward();
    return x.grad();
  };
  const Tensor x = at::linspace(-3, 3, 12, at::kDouble);
  const auto slope = [&](const std::function<Tensor(Tensor)>& f) {  // central differences
    Tensor out = at::zeros_like(x);
    for (int64_t i = 0; i < x.numel(); ++i) {
      Tensor step = at::zeros_like(x);
      step[i] = 1e-5;
      out[i] = (f(x + step).sum() - f(x - step).sum()) / 2e-5;
    }
    return out;
  };
  using Function = std::function<Tensor(Tensor)>;
  for (const Function& f : {Function([](Tensor v) { return ops::silu(std::move(v)); }),
                            Function([](Tensor v) { return ops::gelu(v); }),
                            Function([](Tensor v) { return ops::quick_gelu(v); }),
                            Function([](Tensor v) { return ops::geglu(v); }),
                            Function([](Tensor v) { return ops::add(v * 2, v * v); })}) {
    test::expect_close(gradient(f), slope(f), 1e-8);
  }
}

}  // namespace
}  // namespace easel
