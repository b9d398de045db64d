// DPM-Solver along the levels of a plan, with a denoiser alone.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "easel/diffusion/dpm_solver.h"
#include "tests/diffusion/toy_network.h"
#include "tests/support/compare.h"

namespace easel {
namespace {

class AlongLevels : public ::testing::Test {
 protected:
  NoiseSchedule schedule_ = [] {
    NoiseSchedule schedule = make_noise_schedule({});
    schedule.interpolation = Interpolation::LogAlpha;
    return schedule;
  }();
  std::shared_ptr<int64_t> count_ = std::make_shared<int64_t>(0);
  Denoiser denoiser_ = make_denoiser(test::counted_toy_network(count_), schedule_,
                                     Parameterization::Eps, test::toy_guidance(7.5, 2));
  Tensor noise_ = at::sin(at::arange(48, at::kFloat)).reshape(test::kShape);
};

TEST_F(AlongLevels, IsTheWholeRunWithEvenTimes) {
  const VpSchedule vp = discrete_vp_schedule(schedule_.alphas_cumprod);
  for (const char* algorithm : {"dpmsolver", "dpmsolver++"}) {
    for (const char* method : {"multistep", "singlestep"}) {
      for (const int64_t order : {1, 2, 3}) {
        for (const int64_t steps : {3, 7, 12}) {
          const DpmSolverOptions options{.algorithm = algorithm, .method = method, .order = order};
          const SigmaPlan plan = find_spacing("dpm_solver").plan(schedule_, steps);
          *count_ = 0;
          int64_t calls = 0;
          const Tensor got =
              plan.final_scale *
              sample_dpm_solver_along(denoiser_, plan.initial_scale * noise_, plan.sigmas, options,
                                      [&](const StepInfo& info) { calls = info.step; });
          EXPECT_EQ(*count_, steps);
          EXPECT_EQ(calls, steps);
          const Tensor want =
              run_dpm_solver(eps_model(denoiser_, vp), vp, noise_, steps, options).x_BCHW;
          test::expect_close(got, want, 2e-5, std::string(algorithm) + " " + method);
        }
      }
    }
  }
}

TEST_F(AlongLevels, SecondOrderIsCompVissDpmSolver) {
  for (const int64_t steps : {2, 9, 14, 15, 30}) {
    const SigmaPlan plan = find_spacing("dpm_solver").plan(schedule_, steps);
    NormalStream stream(Rng::Cpu, 1);
    NoiseSource noise = NoiseSource::per_batch(stream);
    const Tensor x = plan.initial_scale * noise_;
    const Tensor want = find_sampler("dpm_solver").run(denoiser_, x, plan.sigmas, noise, {}, {});
    const DpmSolverOptions options{.lower_order_final_below = 15};
    test::expect_close(sample_dpm_solver_along(denoiser_, x, plan.sigmas, options), want, 1e-5);
  }
}

TEST_F(AlongLevels, TakesLevelZeroAndLevelsTwice) {
  const std::vector<double> sigmas = {14, 6, 6, 3, 1, 1, 0.5, 0};
  for (const char* algorithm : {"dpmsolver", "dpmsolver++"}) {
    for (const char* method : {"multistep", "singlestep"}) {
      for (const int64_t order : {1, 2, 3}) {
        const DpmSolverOptions options{.algorithm = algorithm, .method = method, .order = order};
        *count_ = 0;
        const Tensor x = sample_dpm_solver_along(denoiser_, 14 * noise_, sigmas, options);
        EXPECT_TRUE(at::isfinite(x).all().item<bool>()) << algorithm << method << order;
        EXPECT_EQ(*count_, 7);
      }
    }
  }
  // One step to level 0 is the estimate itself.
  const std::vector<double> one = {2, 0};
  for (const char* algorithm : {"dpmsolver", "dpmsolver++"}) {
    const Tensor x = sample_dpm_solver_along(
        denoiser_, noise_, one, {.algorithm = algorithm, .method = "singlestep", .order = 3});
    test::expect_close(x, denoiser_(noise_, 2), 1e-5);
  }
}

TEST_F(AlongLevels, RefusesWhatThePlanDecides) {
  const std::vector<double> sigmas = {2, 1, 0.5};
  const std::vector<double> rising = {1, 2};
  EXPECT_THROW(sample_dpm_solver_along(denoiser_, noise_, sigmas, {.method = "adaptive"}), Error);
  EXPECT_THROW(sample_dpm_solver_along(denoiser_, noise_, sigmas, {.skip_type = "logSNR"}), Error);
  EXPECT_THROW(sample_dpm_solver_along(denoiser_, noise_, sigmas, {.denoise_to_zero = true}),
               Error);
  EXPECT_THROW(sample_dpm_solver_along(denoiser_, noise_, rising, {.order = 1}), Error);
}

}  // namespace
}  // namespace easel
