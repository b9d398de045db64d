#include <cmath>

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "easel/diffusion/sampler.h"

namespace easel {
namespace {

SigmaPlan plan(std::string_view name, int64_t steps, int64_t timesteps = 1000) {
  return find_spacing(name).plan(make_noise_schedule({.timesteps = timesteps}), steps);
}

TEST(Spacings, CompVisTakesAsManyStepsAsItsStrideGives) {
  for (const auto& [asked, taken] : std::vector<std::pair<int64_t, int64_t>>{{1, 1},
                                                                             {2, 2},
                                                                             {15, 16},
                                                                             {20, 20},
                                                                             {30, 31},
                                                                             {50, 50},
                                                                             {60, 63},
                                                                             {150, 167},
                                                                             {501, 1000},
                                                                             {1000, 1000}}) {
    EXPECT_EQ(plan("compvis", asked).steps(), taken) << asked;
  }
}

TEST(Spacings, CompVisStartsAtTimestepPlusOneAndEndsAtZero) {
  const NoiseSchedule schedule = make_noise_schedule({});
  const SigmaPlan fifty = plan("compvis", 50);
  EXPECT_EQ(fifty.sigmas[0], schedule.sigma(981));
  EXPECT_EQ(fifty.sigmas[49], schedule.sigma(1));
  EXPECT_EQ(fifty.sigmas[50], schedule.sigma(0));
  EXPECT_DOUBLE_EQ(fifty.initial_scale, 1 / std::sqrt(schedule.alphas_cumprod[981]));
  EXPECT_DOUBLE_EQ(fifty.final_scale, std::sqrt(schedule.alphas_cumprod[0]));
  // Where CompVis asks for timestep 1000, the last one is taken.
  for (const int64_t steps : {3, 9, 27, 36, 37, 101, 111, 251, 333, 501, 1000}) {
    EXPECT_EQ(plan("compvis", steps).sigmas[0], schedule.sigma(999)) << steps;
  }
}

TEST(Spacings, DpmSolverWalksEvenTimes) {
  NoiseSchedule schedule = make_noise_schedule({});
  const SigmaPlan twenty = plan("dpm_solver", 20);
  ASSERT_EQ(twenty.steps(), 20);
  EXPECT_EQ(twenty.interpolation, Interpolation::LogAlpha);
  schedule.interpolation = twenty.interpolation;
  for (int i = 0; i <= 20; ++i) {
    const double time = 1 + i * (0.001 - 1) / 20;
    EXPECT_NEAR(schedule.t(twenty.sigmas[static_cast<size_t>(i)]), (time - 0.001) * 1000, 1e-6);
  }
}

TEST(Spacings, KarrasIsThePublishedList) {
  const std::vector<double> want = {14.6146, 9.1029, 5.4784, 3.1686, 1.7494,
                                    0.9141,  0.4469, 0.2014, 0.0819, 0.0292};
  const SigmaPlan ten = plan("karras", 10);
  ASSERT_EQ(ten.steps(), 10);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(ten.sigmas[i], want[i], 6e-5);
  EXPECT_EQ(ten.sigmas[10], 0);
}

TEST(Spacings, DdpmTakesEveryTimestepOrEvenOnes) {
  const NoiseSchedule schedule = make_noise_schedule({});
  const SigmaPlan all = plan("ddpm", 1000);
  for (size_t i = 0; i < 1000; ++i) ASSERT_EQ(all.sigmas[i], schedule.sigma(999.0 - i));
  const SigmaPlan four = plan("ddpm", 4);
  EXPECT_EQ(four.sigmas, (std::vector<double>{schedule.sigma(999), schedule.sigma(666),
                                              schedule.sigma(333), schedule.sigma(0), 0}));
  EXPECT_EQ(plan("ddpm", 1).sigmas, (std::vector<double>{schedule.sigma(999), 0}));
}

TEST(Spacings, ComfyUisLists) {
  const NoiseSchedule schedule = make_noise_schedule({});
  EXPECT_EQ(plan("simple", 4).sigmas,
            (std::vector<double>{schedule.sigma(999), schedule.sigma(749), schedule.sigma(499),
                                 schedule.sigma(249), 0}));
  EXPECT_EQ(plan("sgm_uniform", 2).sigmas,
            (std::vector<double>{schedule.sigma(999), schedule.sigma(499.5), 0}));
}

TEST(Spacings, HoldForEveryLengthAndNumberOfSteps) {
  for (const SpacingInfo& spacing : spacings()) {
    EXPECT_FALSE(spacing.description.empty());
    for (const int64_t timesteps : {1, 2, 9, 1000}) {
      const NoiseSchedule schedule = make_noise_schedule({.timesteps = timesteps});
      for (int64_t steps = 1; steps <= timesteps; steps += timesteps < 100 ? 1 : 37) {
        SCOPED_TRACE(std::string(spacing.name) + " " + std::to_string(steps));
        const SigmaPlan made = spacing.plan(schedule, steps);
        ASSERT_GE(made.steps(), steps);
        ASSERT_TRUE(std::is_sorted(made.sigmas.rbegin(), made.sigmas.rend()));
        ASSERT_GE(made.sigmas.back(), 0);
        ASSERT_LE(made.sigmas.front(), schedule.sigma_max() * (1 + 1e-12));
        ASSERT_TRUE(std::isfinite(made.initial_scale) && made.initial_scale > 0);
      }
      EXPECT_THROW(spacing.plan(schedule, 0), Error);
      EXPECT_THROW(spacing.plan(schedule, -1), Error);
      EXPECT_THROW(spacing.plan(schedule, timesteps + 1), Error);
    }
  }
}

TEST(Spacings, ErrorsStateTheRange) {
  try {
    plan("karras", 1001);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    EXPECT_NE(std::string(error.what()).find("1001; it must be 1 to 1000"), std::string::npos);
  }
  try {
    find_spacing("kerras");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    EXPECT_NE(std::string(error.what()).find("did you mean 'karras'"), std::string::npos);
  }
  EXPECT_EQ(find_spacing("SGM Uniform").name, "sgm_uniform");
}

}  // namespace
}  // namespace easel
