#include "easel/diffusion/noise_schedule.h"

#include <cmath>

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/diffusion/toy_network.h"

namespace easel {
namespace {

TEST(NoiseSchedule, FollowsCompVisBetas) {
  for (const auto& row : test::read_fixture("schedules").at("alphas")) {
    ScheduleConfig config;
    config.beta_schedule = row.at("schedule");
    config.timesteps = row.at("timesteps");
    SCOPED_TRACE(config.beta_schedule + " " + std::to_string(config.timesteps));
    const NoiseSchedule schedule = make_noise_schedule(config);
    ASSERT_EQ(schedule.timesteps(), config.timesteps);
    for (size_t i = 0; i < row.at("at").size(); ++i) {
      const double want = row.at("alphas_cumprod")[i];
      EXPECT_NEAR(schedule.alphas_cumprod[row.at("at")[i].get<size_t>()] / want, 1, 1e-11);
    }
  }
}

TEST(NoiseSchedule, RescalesToZeroTerminalSnrAsDiffusersDoes) {
  for (const auto& row : test::read_fixture("zero_snr")) {
    const int64_t timesteps = row.at("timesteps");
    SCOPED_TRACE(timesteps);
    const NoiseSchedule schedule =
        make_noise_schedule({.timesteps = timesteps, .zero_terminal_snr = true});
    for (size_t i = 0; i < row.at("at").size(); ++i) {
      const double want = row.at("alphas_cumprod")[i];
      EXPECT_NEAR(schedule.alphas_cumprod[row.at("at")[i].get<size_t>()] / want, 1, 1e-9);
    }
    EXPECT_EQ(schedule.alphas_cumprod.back(), kZeroTerminalAbar);
    EXPECT_NEAR(schedule.sigma_max(), 4518.7, 0.1);
    EXPECT_EQ(schedule.t(schedule.sigma_max()), static_cast<double>(timesteps - 1));
  }
  EXPECT_THROW(make_noise_schedule({.timesteps = 1, .zero_terminal_snr = true}), Error);
}

TEST(NoiseSchedule, HasStableDiffusionsLevels) {
  const NoiseSchedule schedule = make_noise_schedule({});
  EXPECT_NEAR(schedule.sigma_min(), 0.029167, 1e-6);
  EXPECT_NEAR(schedule.sigma_max(), 14.61464, 1e-5);
  EXPECT_NEAR(schedule.alphas_cumprod[999], 0.0046601, 1e-7);
}

TEST(NoiseSchedule, InterpolatesAsKDiffusionAndDpmSolverDo) {
  const auto fixture = test::read_fixture("schedules");
  NoiseSchedule schedule = make_noise_schedule({});
  for (const auto& [interpolation, name] :
       {std::pair{Interpolation::LogSigma, "log_sigma"}, {Interpolation::LogAlpha, "log_alpha"}}) {
    schedule.interpolation = interpolation;
    const auto& want = fixture.at(name);
    for (size_t i = 0; i < fixture.at("times").size(); ++i) {
      const double t = fixture.at("times")[i];
      EXPECT_NEAR(schedule.sigma(t) / want.at("sigma")[i].get<double>(), 1, 1e-9)
          << name << " t " << t;
    }
    // DPM-Solver's levels leave the two ends out.
    const size_t first = (fixture.at("levels").size() - want.at("t").size()) / 2;
    for (size_t i = 0; i < want.at("t").size(); ++i) {
      const double level = fixture.at("levels")[first + i];
      EXPECT_NEAR(schedule.t(level), want.at("t")[i].get<double>(), 1e-6) << name << " " << level;
    }
  }
}

TEST(NoiseSchedule, IsExactOnGridPointsAndInvertsBetween) {
  for (const char* name : {"linear", "cosine", "sqrt_linear", "sqrt"}) {
    ScheduleConfig config;
    config.beta_schedule = name;
    NoiseSchedule schedule = make_noise_schedule(config);
    for (const auto interpolation : {Interpolation::LogSigma, Interpolation::LogAlpha}) {
      schedule.interpolation = interpolation;
      for (int t = 0; t < 1000; ++t) ASSERT_EQ(schedule.t(schedule.sigma(t)), t) << name;
    }
    schedule.interpolation = Interpolation::LogSigma;
    for (const double t : {0.5, 3.25, 499.9, 998.01}) {
      EXPECT_NEAR(schedule.t(schedule.sigma(t)), t, 1e-9) << name;
    }
  }
}

TEST(NoiseSchedule, ClampsOutsideItsRange) {
  const NoiseSchedule schedule = make_noise_schedule({});
  EXPECT_EQ(schedule.sigma(-3), schedule.sigma_min());
  EXPECT_EQ(schedule.sigma(5000), schedule.sigma_max());
  EXPECT_EQ(schedule.t(0), 0);
  EXPECT_EQ(schedule.t(1e9), 999);
  EXPECT_DOUBLE_EQ(NoiseSchedule::alpha_cumprod(schedule.sigma(500)), schedule.alphas_cumprod[500]);
}

TEST(NoiseSchedule, RefusesWhatIsNoSchedule) {
  const auto message = [](ScheduleConfig config) -> std::string {
    try {
      make_noise_schedule(config);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message({.beta_schedule = "cosin"}).find("did you mean 'cosine'"), std::string::npos);
  EXPECT_NE(message({.timesteps = 0}).find("timesteps is 0"), std::string::npos);
  EXPECT_NE(message({.timesteps = 2'000'000}).find("1000000"), std::string::npos);
  EXPECT_NE(message({.linear_start = 0}).find("linear_start"), std::string::npos);
  EXPECT_NE(message({.linear_end = std::nan("")}).find("linear_end"), std::string::npos);
  EXPECT_NE(message({.linear_end = 1.5}).find("below 1"), std::string::npos);
  EXPECT_NE(message({.beta_schedule = "cosine", .cosine_s = -1}).find("cosine_s"),
            std::string::npos);
  // So much noise that abar is no longer a positive double.
  EXPECT_NE(
      message({.beta_schedule = "sqrt", .linear_start = 0.9, .linear_end = 0.99}).find("fall"),
      std::string::npos);
}

}  // namespace
}  // namespace easel
