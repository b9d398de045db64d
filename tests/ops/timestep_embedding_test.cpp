#include "easel/ops/timestep_embedding.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/support/compare.h"

namespace easel {
namespace {

TEST(TimestepEmbedding, IsCosinesThenSines) {
  const std::vector<double> times = {0, 1, 2.25, 500.5, 999};
  const Tensor got = ops::timestep_embedding(at::tensor(times, at::kDouble), 320);
  ASSERT_EQ(shape_text(got.sizes()), "[5, 320]");
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  for (int64_t b = 0; b < 5; ++b) {
    for (int64_t i = 0; i < 160; ++i) {
      const double angle = times[b] * std::exp(-std::log(10000.0) * double(i) / 160);
      // float32 angles up to 999 are exact to 6e-5.
      EXPECT_NEAR(got[b][i].item<double>(), std::cos(angle), 2e-4) << b << " " << i;
      EXPECT_NEAR(got[b][160 + i].item<double>(), std::sin(angle), 2e-4) << b << " " << i;
    }
  }
}

TEST(TimestepEmbedding, OfAnOddSizeEndsWithZero) {
  const Tensor got = ops::timestep_embedding(at::tensor({3.0, 7.0}, at::kFloat), 7);
  ASSERT_EQ(shape_text(got.sizes()), "[2, 7]");
  EXPECT_EQ(got[0][6].item<float>(), 0);
  EXPECT_EQ(got[1][6].item<float>(), 0);
  EXPECT_NEAR(got[1][3].item<float>(), std::sin(7.0), 1e-6);
  EXPECT_NEAR(got[1][1].item<float>(), std::cos(7.0 * std::pow(10000.0, -1.0 / 3)), 1e-6);
}

// As diffusers' get_guidance_scale_embedding.
TEST(GuidanceEmbedding, IsSinesThenCosines) {
  const std::vector<double> scales = {0, 0.5, 6.5};
  const Tensor got = ops::guidance_embedding(at::tensor(scales, at::kDouble), 9);
  ASSERT_EQ(shape_text(got.sizes()), "[3, 9]");
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  for (int64_t b = 0; b < 3; ++b) {
    for (int64_t i = 0; i < 4; ++i) {
      const double angle = 1000 * scales[b] * std::exp(-std::log(10000.0) * double(i) / 3);
      // float32 angles up to 6500 are exact to 5e-4.
      EXPECT_NEAR(got[b][i].item<double>(), std::sin(angle), 1e-3) << b << " " << i;
      EXPECT_NEAR(got[b][4 + i].item<double>(), std::cos(angle), 1e-3) << b << " " << i;
    }
    EXPECT_EQ(got[b][8].item<float>(), 0);
  }
  EXPECT_THROW(ops::guidance_embedding(at::zeros({2}), 3), c10::Error);
}

TEST(TimestepEmbedding, RefusesWhatItCannotEmbed) {
  EXPECT_THROW(ops::timestep_embedding(at::zeros({2, 1}), 8), c10::Error);
  EXPECT_THROW(ops::timestep_embedding(at::zeros({2}), 1), c10::Error);
}

}  // namespace
}  // namespace easel
