#include <cmath>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "easel/diffusion/sampler.h"
#include "src/diffusion/beta_quantile.h"
#include "tests/diffusion/toy_network.h"

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

TEST(Spacings, AreTheReferencePrograms) {
  const NoiseSchedule schedule = make_noise_schedule({});
  std::set<std::string_view> covered;
  for (const auto& row : test::read_fixture("spacings")) {
    const auto name = row.at("spacing").get<std::string>();
    const auto want = row.at("sigmas").get<std::vector<double>>();
    SCOPED_TRACE(row.at("source").get<std::string>() + " " + name + " " + row.at("steps").dump());
    const SpacingInfo& spacing = find_spacing(name);
    covered.insert(spacing.name);
    const SigmaPlan made = spacing.plan(schedule, row.at("steps"));
    ASSERT_EQ(made.sigmas.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      if (want[i] == 0) {
        EXPECT_EQ(made.sigmas[i], 0) << i;
      } else {
        EXPECT_NEAR(made.sigmas[i] / want[i], 1, 1e-6) << i;
      }
    }
  }
  EXPECT_EQ(covered.size(), spacings().size() - 4);  // CompVis's and ddpm have tests of their own
}

TEST(Spacings, HoldForEveryLengthAndNumberOfSteps) {
  for (const SpacingInfo& spacing : spacings()) {
    EXPECT_FALSE(spacing.description.empty());
    const bool aligned = spacing.name.starts_with("align_your_steps");
    for (const int64_t timesteps : {1, 2, 9, 1000}) {
      const NoiseSchedule schedule = make_noise_schedule({.timesteps = timesteps});
      if (aligned && timesteps < 1000) {
        EXPECT_THROW(spacing.plan(schedule, 1), Error);
        continue;
      }
      for (int64_t steps = 1; steps <= timesteps; steps += timesteps < 100 ? 1 : 37) {
        SCOPED_TRACE(std::string(spacing.name) + " " + std::to_string(steps));
        const SigmaPlan made = spacing.plan(schedule, steps);
        if (spacing.name == "ddim_uniform" && steps == timesteps) {
          ASSERT_EQ(made.steps(), std::max<int64_t>(steps - 1, 1));  // timestep 0 is left out
        } else if (spacing.name == "beta") {
          ASSERT_GE(made.steps(), 1);  // repeats are left out
        } else {
          ASSERT_GE(made.steps(), steps);
        }
        ASSERT_TRUE(std::is_sorted(made.sigmas.rbegin(), made.sigmas.rend()));
        ASSERT_GE(made.sigmas.back(), 0);
        ASSERT_LE(made.sigmas.front(), schedule.sigma_max() * (aligned ? 1.0001 : 1 + 1e-12));
        ASSERT_TRUE(std::isfinite(made.initial_scale) && made.initial_scale > 0);
      }
      EXPECT_THROW(spacing.plan(schedule, 0), Error);
      EXPECT_THROW(spacing.plan(schedule, -1), Error);
      EXPECT_THROW(spacing.plan(schedule, timesteps + 1), Error);
    }
  }
}

TEST(Spacings, NamesAndAliasesAreDistinct) {
  for (const SpacingInfo& spacing : spacings()) {
    std::string names = std::string(spacing.name) + "," + std::string(spacing.aliases);
    if (names.back() == ',') names.pop_back();
    for (std::istringstream words(names); std::getline(words, names, ',');) {
      EXPECT_EQ(find_spacing(names).name, spacing.name) << names;
    }
  }
}

TEST(Spacings, FitAZeroTerminalSnrSchedule) {
  const NoiseSchedule schedule = make_noise_schedule({.zero_terminal_snr = true});
  const SigmaPlan made = find_spacing("trailing").plan(schedule, 10);
  EXPECT_NEAR(made.sigmas[0], 4518.7, 0.1);
  EXPECT_NEAR(made.sigmas[1], schedule.sigma(899), 0);
  EXPECT_THROW(find_spacing("ays").plan(schedule, 10), Error);
}

TEST(BetaQuantile, IsScipys) {
  for (const auto& row : test::read_fixture("beta_quantiles")) {
    SCOPED_TRACE(row.dump());
    const double want = row.at("x");
    const double got = beta_quantile(row.at("share"), row.at("a"), row.at("b"));
    EXPECT_NEAR(got, want, 1e-9 * want);
  }
  EXPECT_THROW(beta_quantile(1.1, 1, 1), Error);
  EXPECT_THROW(beta_quantile(0.5, 0, 1), Error);
}

TEST(LevelList, IsTakenAsItStands) {
  const NoiseSchedule schedule = make_noise_schedule({});
  const std::vector<double> want = {14.615, 7.2, 0.5, 0};
  EXPECT_EQ(make_plan("14.615, 7.2,.5,0", schedule, 50).sigmas, want);
  const SigmaPlan appended = make_plan("14.615,7.2,0.5", schedule, 1);
  EXPECT_EQ(appended.sigmas, want);
  EXPECT_EQ(appended.initial_scale, 14.615);
  EXPECT_EQ(make_plan("3", schedule, 9).sigmas, (std::vector<double>{3, 0}));
  EXPECT_EQ(
      make_plan("t:999,749.5,0", schedule, 50).sigmas,
      (std::vector<double>{schedule.sigma(999), schedule.sigma(749.5), schedule.sigma(0), 0}));
  EXPECT_EQ(make_plan("Karras", schedule, 7).sigmas, plan("karras", 7).sigmas);
  EXPECT_EQ(plan_from_sigmas({2, 1}, schedule).sigmas, (std::vector<double>{2, 1, 0}));
}

TEST(LevelList, RefusesWhatIsNone) {
  const NoiseSchedule schedule = make_noise_schedule({});
  const auto message = [&](std::string_view list) -> std::string {
    try {
      make_plan(list, schedule, 10);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return error.what();
    }
    return "";
  };
  for (const auto& [list, part] : std::vector<std::pair<std::string_view, std::string_view>>{
           {"14,x,0", "value 2 is 'x'"},
           {"14,,0", "value 2 is ''"},
           {"14,", "value 2 is ''"},
           {"t:", "value 1 is ''"},
           {"7,9,0", "from 7 to 9"},
           {"7,7,0", "from 7 to 7"},
           {"15,1", "greatest is 14.6"},
           {"7,0,0", "from 0 to 0"},
           {"-1", "value 1 is -1"},
           {"0", "no sigma above 0"},
           {"inf,3", "value 1 is inf"},
           {"3,nan", "value 2 is nan"},
           {"t:1000,3", "last is 999"},
           {"t:5,-3", "value 2 is -3"},
           {"carras", "did you mean 'karras'"}}) {
    EXPECT_NE(message(list).find(part), std::string::npos) << list << ": " << message(list);
  }
  EXPECT_THROW(plan_from_sigmas({}, schedule), Error);
  EXPECT_THROW(plan_from_timesteps({}, schedule), Error);
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
