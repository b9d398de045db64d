// The autoencoder in strips against itself as a whole.
#include "src/models/row_strips.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/models/autoencoder.h>
#include <easel/nn/circular_padding.h>
#include <easel/nn/module.h>
#include <easel/ops/aten_only.h>

#include "tests/support/compare.h"
#include "tests/support/hashed_weights.h"
#include "tests/support/model_cases.h"

namespace easel {
namespace {

// Winograd's tiles lie elsewhere in a strip than in the whole.
constexpr double kRounding = 5e-5;

const test::ModelCases& cases() {
  static const test::ModelCases cases("autoencoder");
  return cases;
}

Autoencoder filled(const AutoencoderConfig& config, at::ScalarType dtype = at::kFloat,
                   at::Device device = at::kCPU) {
  Autoencoder autoencoder(config);
  test::fill_hashed(autoencoder, dtype, device);
  return autoencoder;
}

// Encodes and decodes a picture of latents h x w with strips of these many rows.
void expect_same_in_strips(const Autoencoder& autoencoder, int64_t h, int64_t w,
                           const std::vector<int64_t>& strips, double part,
                           const std::string& what = "") {
  const at::NoGradGuard no_grad;
  const AutoencoderConfig& config = autoencoder.config();
  const Tensor& weight = *nn::named_parameters(autoencoder)[0].tensor;
  const int64_t factor = config.downsampling();
  const Tensor x = test::hashed_tensor("x", {2, config.in_channels, h * factor, w * factor})
                       .to(weight.options());
  const Tensor z = test::hashed_tensor("z", {2, config.embed_dim, h, w}).to(weight.options());
  const Posterior posterior = autoencoder.encode(x);
  const Tensor decoded = autoencoder.decode(z);
  for (const int64_t strip : strips) {
    const std::string which = fmt::format("{} {} x {} in strips of {}", what, h, w, strip);
    const Posterior got = autoencoder.encode(x, strip);
    test::expect_close(got.mean_BCHW, posterior.mean_BCHW, part, which);
    test::expect_close(got.logvar_BCHW, posterior.logvar_BCHW, part, which);
    test::expect_close(autoencoder.decode(z, strip), decoded, part, which);
  }
}

TEST(RowStrips, GiveTheAutoencodersResultsWhateverItIsMadeOf) {
  for (const std::string& name : cases().names()) {
    expect_same_in_strips(filled(cases().autoencoder(name)), 4, 3, {1, 3}, kRounding, name);
  }
}

TEST(RowStrips, OfManySizesAndHeights) {
  const Autoencoder autoencoder = filled(cases().autoencoder("compvis_v1_shape"));
  expect_same_in_strips(autoencoder, 1, 4, {2, 5}, kRounding);
  expect_same_in_strips(autoencoder, 9, 5, {5, 16, 31, 32, 1000}, kRounding);
  const ops::AtenOnly aten_only;
  expect_same_in_strips(autoencoder, 5, 3, {3, 6, 16}, 1e-5, "by ATen");
}

TEST(RowStrips, WithPaddingFromTheOppositeEdges) {
  const Autoencoder autoencoder = filled(cases().autoencoder("compvis_attention_low"));
  for (const bool horizontal : {false, true}) {
    for (const bool vertical : {false, true}) {
      const nn::CircularPadding padding(horizontal, vertical);
      expect_same_in_strips(autoencoder, 7, 5, {2, 3, 5, 13}, kRounding,
                            fmt::format("circular {} {}", horizontal, vertical));
    }
  }
}

TEST(RowStrips, InHalfPrecision) {
  for (const at::ScalarType dtype : {at::kHalf, at::kBFloat16}) {
    expect_same_in_strips(filled(cases().autoencoder("compvis_base"), dtype), 6, 4, {4},
                          test::tolerance(dtype), dtype_name(dtype));
  }
}

TEST(RowStrips, RunsOnCuda) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf}) {
    const Autoencoder autoencoder =
        filled(cases().autoencoder("compvis_v1_shape"), dtype, at::kCUDA);
    expect_same_in_strips(autoencoder, 9, 6, {4, 16}, test::tolerance(dtype), dtype_name(dtype));
  }
}

TEST(RowStrips, RecordNoGradientAndLeaveInputsAlone) {
  const Autoencoder autoencoder = filled(cases().autoencoder("compvis_base"));
  for (const auto& [name, tensor] : nn::named_parameters(autoencoder)) tensor->requires_grad_();
  const Tensor x = test::hashed_tensor("x", {1, 3, 12, 8});
  const Tensor kept = x.clone();
  EXPECT_FALSE(autoencoder.encode(x, 4).mean_BCHW.requires_grad());
  EXPECT_TRUE(at::equal(x, kept));
}

TEST(RowStrips, OfMapsAndLayers) {
  const at::NoGradGuard no_grad;
  const Tensor x = test::hashed_tensor("map", {1, 16, 6, 5});
  nn::Upsample up(16, true);
  nn::Downsample down(16, nn::Downsample::Kind::ConvAsymmetric);
  test::fill_hashed(up);
  test::fill_hashed(down);
  const auto map = models::Rows::of_map(x);
  const auto larger = models::Rows::of_upsample(map, up);
  const auto smaller = models::Rows::of_downsample(map, down);
  for (int64_t begin = 0; begin < 12; ++begin) {
    for (int64_t end = begin + 1; end <= 12; ++end) {
      test::expect_close(larger({begin, end}), up.forward(x).narrow(2, begin, end - begin), 1e-5);
      if (end > 3) continue;
      test::expect_close(smaller({begin, end}), down.forward(x).narrow(2, begin, end - begin),
                         1e-5);
    }
  }
  // Beyond the edges: the rows of the other side, as often as it takes.
  test::expect_close(map({-2, 15}), at::cat({x.narrow(2, 4, 2), x, x, x.narrow(2, 0, 3)}, 2), 0.0);
}

}  // namespace
}  // namespace easel
