// Whole runs of the samplers that are in neither CompVis's code nor k-diffusion, against diffusers
// and their papers' formulas (tests/data/diffusion/samplers.json, made by
// scripts/fixtures/samplers.py).
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "easel/diffusion/dpm_solver.h"
#include "easel/diffusion/sampler.h"
#include "tests/diffusion/toy_network.h"
#include "tests/support/compare.h"

namespace easel {
namespace {

TEST(SamplersReference, WholeRunsAreTheirs) {
  const NoiseSchedule schedule = make_noise_schedule({});
  double worst = 0;
  std::set<std::string> covered;
  for (const auto& row : test::read_fixture("samplers")) {
    nlohmann::json shown = row;
    shown.erase("latents");
    SCOPED_TRACE(shown.dump());
    const SamplerInfo& sampler = find_sampler(row.at("sampler").get<std::string>());
    covered.emplace(sampler.name);
    const auto& given = row.at("options");
    const std::string solver = given.value("solver", "");
    SamplerOptions options;
    options.eta = given.value("eta", sampler.default_eta);
    options.s_noise = given.value("s_noise", options.s_noise);
    options.order = given.value("order", options.order);
    options.solver = solver;
    options.schedule = &schedule;
    const auto steps = row.at("steps").get<int64_t>();
    EXPECT_NO_THROW(check_sampler_options(sampler, options, steps));

    auto count = std::make_shared<int64_t>(0);
    const Denoiser denoiser =
        make_denoiser(test::counted_toy_network(count), schedule, Parameterization::Eps,
                      test::toy_guidance(3, test::kShape[0]));
    NormalStream stream(Rng::Cpu, static_cast<uint64_t>(steps));
    NoiseSource noise = NoiseSource::per_batch(stream);
    const auto sigmas = row.at("sigmas").get<std::vector<double>>();
    const Tensor x = sigmas[0] * noise.draw(test::kShape);
    const Tensor got = sampler.run(denoiser, x, sigmas, noise, options, {});
    const Tensor want = test::tensor_from_json(row.at("latents"), test::kShape);
    test::expect_close(got, want, 2e-5, "latents");
    EXPECT_EQ(*count, row.at("evaluations").get<int64_t>());
    worst = std::max(worst, test::relative_difference(got, want));
  }
  EXPECT_EQ(covered.size(), 10u);
  ::testing::Test::RecordProperty("worst_relative_difference", std::to_string(worst * 1e6) + "e-6");
}

// The rows of the table are the library's solver, which is held to its authors' program elsewhere.
class DpmSolverRows : public ::testing::Test {
 protected:
  NoiseSchedule schedule_ = [] {
    NoiseSchedule schedule = make_noise_schedule({});
    schedule.interpolation = Interpolation::LogAlpha;
    return schedule;
  }();
  std::shared_ptr<int64_t> count_ = std::make_shared<int64_t>(0);
  Denoiser denoiser_ = make_denoiser(test::counted_toy_network(count_), schedule_,
                                     Parameterization::Eps, test::toy_guidance(3, 1));
  Tensor noise_ = at::sin(at::arange(24, at::kFloat)).reshape({1, 4, 2, 3});

  void expect_same(std::string_view name, const SamplerOptions& options,
                   const DpmSolverOptions& whole) {
    SCOPED_TRACE(std::string(name) + " of order " + std::to_string(whole.order) + ", " +
                 whole.solver_type);
    constexpr int64_t kSteps = 12;
    const SamplerInfo& sampler = find_sampler(name);
    EXPECT_NO_THROW(check_sampler_options(sampler, options, kSteps));
    const SigmaPlan plan = find_spacing(sampler.default_spacing).plan(schedule_, kSteps);
    NoiseSource none = NoiseSource::per_image(Rng::Cpu, {1});
    *count_ = 0;
    const Tensor x =
        sampler.run(denoiser_, plan.initial_scale * noise_, plan.sigmas, none, options, {});
    const int64_t evaluations = std::exchange(*count_, 0);
    const VpSchedule vp = discrete_vp_schedule(schedule_.alphas_cumprod);
    const Tensor want = run_dpm_solver(eps_model(denoiser_, vp), vp, noise_, kSteps, whole).x_BCHW;
    test::expect_close(plan.final_scale * x, want, 5e-5, "latents");
    EXPECT_EQ(evaluations, *count_);
  }
};

TEST_F(DpmSolverRows, AreTheLibrarysSolver) {
  for (const char* solver : {"dpmsolver", "taylor"}) {
    for (const int64_t order : {1, 2, 3}) {
      SamplerOptions options{.order = order, .solver = solver};
      DpmSolverOptions whole{.solver_type = solver, .order = order};
      for (const char* algorithm : {"dpmsolver", "dpmsolver++"}) {
        whole.algorithm = algorithm;
        for (const char* method : {"multistep", "singlestep", "adaptive"}) {
          whole.method = method;
          const std::string name = std::string(algorithm) + "_" + method;
          // The library refuses an adaptive order 1; so does the row.
          if (order == 1 && whole.method == "adaptive") continue;
          whole.rtol = options.rtol = whole.method == "adaptive" ? 0.02 : SamplerOptions{}.rtol;
          expect_same(name, options, whole);
        }
      }
    }
  }
}

}  // namespace
}  // namespace easel
