#include "easel/nn/circular_padding.h"

#include <thread>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "easel/nn/layers.h"
#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"

namespace easel {
namespace {

// PyTorch's padding, one direction at a time.
Tensor padded(const Tensor& x, int64_t width, bool horizontal, bool vertical) {
  const auto mode = [](bool circular) { return circular ? "circular" : "constant"; };
  const Tensor wide = at::pad(x, {width, width, 0, 0}, mode(horizontal));
  return at::pad(wide, {0, 0, width, width}, mode(vertical));
}

TEST(CircularPadding, OfConvolutionsIsPyTorchs) {
  const at::NoGradGuard no_grad;
  struct Case {
    int64_t in, out, kernel, stride, padding, height, width;
  };
  for (const auto& c :
       {Case{32, 64, 3, 1, 1, 9, 14}, Case{16, 48, 3, 2, 1, 8, 7}, Case{3, 5, 3, 1, 1, 1, 2},
        Case{4, 4, 5, 1, 2, 6, 5}, Case{4, 6, 3, 1, 2, 6, 5}, Case{8, 8, 1, 1, 0, 4, 4},
        Case{8, 8, 3, 2, 0, 9, 9}}) {
    nn::Conv2d conv(c.in, c.out, c.kernel, c.stride, c.padding);
    test::fill_hashed(conv);
    const Tensor x = test::hashed_tensor("x", {2, c.in, c.height, c.width});
    for (const bool horizontal : {false, true}) {
      for (const bool vertical : {false, true}) {
        const nn::CircularPadding padding(horizontal, vertical);
        test::expect_close(conv.forward(x),
                           at::conv2d(padded(x, c.padding, horizontal, vertical), conv.weight,
                                      conv.bias, {c.stride, c.stride}),
                           1e-5, fmt::format("{} {}", horizontal, vertical));
      }
    }
  }
}

TEST(CircularPadding, IsTheThreadsAndComesBack) {
  EXPECT_FALSE(nn::CircularPadding::is_horizontal());
  {
    const nn::CircularPadding outer(true, false);
    {
      const nn::CircularPadding inner(false, true);
      EXPECT_FALSE(nn::CircularPadding::is_horizontal());
      EXPECT_TRUE(nn::CircularPadding::is_vertical());
      bool elsewhere = true;
      std::thread([&] { elsewhere = nn::CircularPadding::is_vertical(); }).join();
      EXPECT_FALSE(elsewhere);
    }
    EXPECT_TRUE(nn::CircularPadding::is_horizontal());
    EXPECT_FALSE(nn::CircularPadding::is_vertical());
  }
  EXPECT_FALSE(nn::CircularPadding::is_horizontal());
}

}  // namespace
}  // namespace easel
