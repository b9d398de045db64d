#include "easel/ops/resample.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/compare.h"

namespace easel {
namespace {

TEST(Resample, UpsamplingRepeatsEveryValueInASquare) {
  const Tensor x = at::arange(2 * 3 * 2 * 4, at::kFloat).reshape({2, 3, 2, 4});
  const Tensor want = x.repeat_interleave(2, 2).repeat_interleave(2, 3);
  EXPECT_TRUE(at::equal(ops::upsample_nearest_2x(x), want));
  EXPECT_TRUE(at::equal(ops::upsample_nearest_2x(x.to(at::kHalf)), want.to(at::kHalf)));
}

TEST(Resample, PoolingTakesTheMeanOfEverySquareAndUndoesUpsampling) {
  const Tensor x = at::arange(8, at::kFloat).reshape({1, 1, 2, 4});
  EXPECT_TRUE(at::equal(ops::average_pool_2x(x), at::tensor({2.5f, 4.5f}).reshape({1, 1, 1, 2})));
  EXPECT_TRUE(at::equal(ops::average_pool_2x(ops::upsample_nearest_2x(x)), x));
}

TEST(Resample, PaddingAddsZerosAtTheBottomAndTheRight) {
  const Tensor padded = ops::pad_bottom_right(at::ones({1, 2, 2, 3}));
  ASSERT_EQ(shape_text(padded.sizes()), "[1, 2, 3, 4]");
  EXPECT_TRUE(at::equal(padded.slice(2, 0, 2).slice(3, 0, 3), at::ones({1, 2, 2, 3})));
  EXPECT_EQ(padded.sum().item<float>(), 12);
}

}  // namespace
}  // namespace easel
