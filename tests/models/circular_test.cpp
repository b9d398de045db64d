// The networks with circular padding against diffusers' with PyTorch's.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/models/autoencoder.h>
#include <easel/models/unet.h>
#include <easel/nn/circular_padding.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"
#include "tests/support/model_cases.h"

namespace easel {
namespace {

bool has(const std::string& axes, char axis) { return axes.find(axis) != std::string::npos; }

TEST(CircularNetworks, UNetMatchesDiffusers) {
  const test::ModelCases cases("circular_unet");
  ASSERT_EQ(cases.names().size(), 3u);
  const at::NoGradGuard no_grad;
  for (const std::string& axes : cases.names()) {
    UNet unet(cases.unet(axes));
    test::fill_hashed(unet);
    const auto out = [&] {
      return unet.forward(cases.tensor(axes, "x"), cases.tensor(axes, "t"),
                          cases.tensor(axes, "context"), {});
    };
    {
      const nn::CircularPadding padding(has(axes, 'x'), has(axes, 'y'));
      test::expect_close(out(), cases.tensor(axes, "out"), 1e-5, axes);
    }
    EXPECT_GT(test::relative_difference(out(), cases.tensor(axes, "out")), 1e-2) << axes;
  }
}

TEST(CircularNetworks, AutoencoderMatchesDiffusers) {
  const test::ModelCases cases("circular_autoencoder");
  ASSERT_EQ(cases.names().size(), 3u);
  const at::NoGradGuard no_grad;
  for (const std::string& axes : cases.names()) {
    Autoencoder autoencoder(cases.autoencoder(axes));
    test::fill_hashed(autoencoder);
    const nn::CircularPadding padding(has(axes, 'x'), has(axes, 'y'));
    for (const int64_t strip : {0, 5}) {
      test::expect_close(autoencoder.encode(cases.tensor(axes, "x"), strip).mean_BCHW,
                         cases.tensor(axes, "mean"), 1e-5, axes);
      test::expect_close(autoencoder.decode(cases.tensor(axes, "z"), strip),
                         cases.tensor(axes, "decoded"), 1e-5, axes);
    }
  }
}

TEST(CircularNetworks, ADecodedPictureMovesWithItsLatents) {
  const test::ModelCases cases("circular_autoencoder");
  Autoencoder autoencoder(cases.autoencoder("xy"));
  test::fill_hashed(autoencoder);
  const at::NoGradGuard no_grad;
  const nn::CircularPadding padding(true, true);
  const Tensor z = cases.tensor("xy", "z");
  const Tensor moved = autoencoder.decode(z.roll({2, 1}, {2, 3}));
  const int64_t factor = autoencoder.config().downsampling();
  test::expect_close(moved, autoencoder.decode(z).roll({2 * factor, factor}, {2, 3}), 1e-5);
}

}  // namespace
}  // namespace easel
