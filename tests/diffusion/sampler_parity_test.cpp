// Whole runs against CompVis's sampler classes, k-diffusion and diffusers (tests/data/diffusion,
// made by scripts/fixtures/diffusion.py).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "easel/diffusion/sampler.h"
#include "tests/diffusion/toy_network.h"
#include "tests/support/compare.h"

namespace easel {
namespace {

struct Replay {
  Tensor latents;
  int64_t evaluations;
  NormalStream stream;  // as the run left it
};

Replay replay(const nlohmann::json& row) {
  NoiseSchedule schedule =
      make_noise_schedule({.timesteps = row.value("timesteps", int64_t{1000})});
  const SigmaPlan plan =
      find_spacing(row.at("spacing").get<std::string>()).plan(schedule, row.at("steps"));
  schedule.interpolation = plan.interpolation;
  auto count = std::make_shared<int64_t>(0);
  const Denoiser denoiser =
      make_denoiser(test::counted_toy_network(count), schedule, Parameterization::Eps,
                    test::toy_guidance(row.at("scale"), test::kShape[0]));
  Replay run{{}, 0, NormalStream(Rng::Cpu, row.at("seed").get<uint64_t>())};
  NoiseSource noise = NoiseSource::per_batch(run.stream);
  const Tensor x = plan.initial_scale * noise.draw(test::kShape);
  const SamplerOptions options{.eta = row.at("eta"), .clip_denoised = row.value("clip", false)};
  const SamplerInfo& sampler = find_sampler(row.at("sampler").get<std::string>());
  check_sampler_options(sampler, options, row.at("steps"));
  run.latents = plan.final_scale * sampler.run(denoiser, x, plan.sigmas, noise, options, {});
  run.evaluations = *count;
  return run;
}

void expect_runs(const std::string& fixture, double part) {
  double worst = 0;
  for (const auto& row : test::read_fixture(fixture)) {
    Replay run = replay(row);
    const Tensor want = test::tensor_from_json(row.at("latents"), test::kShape);
    nlohmann::json shown = row;
    shown.erase("latents");
    shown.erase("next_draw");
    // Two steps of Heun divide float32's rounding by the second level, 0.03, and multiply it by
    // half of the first, 14.6.
    const bool ill_conditioned = row.at("sampler") == "heun" && row.at("steps") == 2;
    test::expect_close(run.latents, want, ill_conditioned ? 1e-4 : part, shown.dump());
    EXPECT_EQ(run.evaluations, row.at("evaluations").get<int64_t>()) << shown.dump();
    if (row.contains("next_draw")) {
      // The peer drew as often: the stream goes on with the same number.
      const Tensor next = run.stream.draw(test::kShape)[0][0];
      test::expect_close(next, test::tensor_from_json(row.at("next_draw"), next.sizes()), 1e-6,
                         "draws of " + shown.dump());
    }
    worst = std::max(worst, test::relative_difference(run.latents, want));
  }
  ::testing::Test::RecordProperty("worst_relative_difference", std::to_string(worst * 1e6) + "e-6");
}

TEST(SamplerParity, CompVis) { expect_runs("compvis", 1e-5); }
TEST(SamplerParity, KDiffusion) { expect_runs("k_diffusion", 1e-5); }
TEST(SamplerParity, DiffusersDdpm) { expect_runs("ddpm", 1e-5); }

TEST(SamplerParity, PlansAreThoseOfKDiffusion) {
  const NoiseSchedule schedule = make_noise_schedule({});
  for (const auto& row : test::read_fixture("k_diffusion_sigmas")) {
    const SigmaPlan plan =
        find_spacing(row.at("spacing").get<std::string>()).plan(schedule, row.at("steps"));
    const auto want = row.at("sigmas").get<std::vector<double>>();
    ASSERT_EQ(plan.sigmas.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) {
      EXPECT_NEAR(plan.sigmas[i], want[i], 4e-6 * want[i]) << row.at("spacing") << " " << i;
    }
    EXPECT_EQ(plan.initial_scale, plan.sigmas[0]);
    EXPECT_EQ(plan.final_scale, 1);
  }
}

}  // namespace
}  // namespace easel
