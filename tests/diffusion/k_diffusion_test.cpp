// The k-diffusion family against k-diffusion itself, and its Brownian noise against torchsde's
// (tests/data/diffusion, made by scripts/fixtures/k_diffusion.py).
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "easel/diffusion/sampler.h"
#include "tests/diffusion/toy_network.h"
#include "tests/support/compare.h"

namespace easel {
namespace {

SamplerOptions options_of(const nlohmann::json& row, std::string& solver) {
  const auto& given = row.at("options");
  SamplerOptions options;
  solver = given.value("solver", "");
  options.eta = given.value("eta", 0.0);
  options.s_churn = given.value("s_churn", options.s_churn);
  options.s_tmin = given.value("s_tmin", options.s_tmin);
  options.s_tmax = given.value("s_tmax", options.s_tmax);
  options.s_noise = given.value("s_noise", options.s_noise);
  options.order = given.value("order", options.order);
  options.rtol = given.value("rtol", options.rtol);
  options.atol = given.value("atol", options.atol);
  // The row of the table that is heun by name takes no solver.
  if (row.at("sampler") != "dpmpp_2m_sde_heun") options.solver = solver;
  return options;
}

TEST(KDiffusion, WholeRunsAreTheirs) {
  double worst = 0;
  for (const auto& row : test::read_fixture("k_diffusion_family")) {
    nlohmann::json shown = row;
    shown.erase("latents");
    shown.erase("sigmas");
    SCOPED_TRACE(shown.dump());
    const SamplerInfo& sampler = find_sampler(row.at("sampler").get<std::string>());
    const auto steps = row.at("steps").get<int64_t>();
    const auto sigmas = row.at("sigmas").get<std::vector<double>>();
    const NoiseSchedule schedule = make_noise_schedule({});

    const SigmaPlan plan =
        make_plan(sampler, find_spacing(row.at("spacing").get<std::string>()), schedule, steps);
    ASSERT_EQ(plan.sigmas.size(), sigmas.size());
    for (size_t i = 0; i < sigmas.size(); ++i) {
      EXPECT_NEAR(plan.sigmas[i], sigmas[i], 4e-6 * sigmas[i]);
    }

    auto count = std::make_shared<int64_t>(0);
    const Denoiser denoiser =
        make_denoiser(test::counted_toy_network(count), schedule, Parameterization::Eps,
                      test::toy_guidance(7.5, test::kShape[0]));
    NormalStream stream(Rng::Cpu, static_cast<uint64_t>(steps));
    const bool tree = row.at("noise") == "tree";
    NoiseSource drawn = NoiseSource::per_batch(stream);
    NoiseSource by_picture = NoiseSource::per_image(Rng::Cpu, {11, (uint64_t{1} << 40) + 5});
    const Tensor x = sigmas[0] * drawn.draw(test::kShape);
    std::string solver;
    const SamplerOptions options = options_of(row, solver);
    EXPECT_NO_THROW(check_sampler_options(sampler, options, steps));
    const Tensor got = sampler.run(denoiser, x, sigmas, tree ? by_picture : drawn, options, {});
    const Tensor want = test::tensor_from_json(row.at("latents"), test::kShape);
    // DPM++ SDE asks the tree for levels that k-diffusion rounds to float32 and the tree to six
    // decimals: the noise at a level 1e-6 off differs by the root of that.
    const double allowed = tree && row.at("sampler") == "dpmpp_sde" ? 5e-3 : 1e-5;
    test::expect_close(got, want, allowed, "latents");
    EXPECT_EQ(*count, row.at("evaluations").get<int64_t>());
    if (allowed < 1e-4) worst = std::max(worst, test::relative_difference(got, want));
  }
  ::testing::Test::RecordProperty("worst_relative_difference", std::to_string(worst * 1e6) + "e-6");
}

TEST(KDiffusion, BrownianNoiseIsThatOfTorchsde) {
  for (const auto& row : test::read_fixture("brownian_tree")) {
    const auto seeds = row.at("seeds").get<std::vector<uint64_t>>();
    const std::vector<int64_t> shape = {static_cast<int64_t>(seeds.size()), 4, 2, 3};
    NoiseSource source = NoiseSource::per_image(Rng::Cpu, seeds);
    BrownianNoise brownian = source.brownian(shape, row.at("low"), row.at("high"));
    const auto levels = row.at("levels").get<std::vector<double>>();
    const Tensor got = brownian(levels[0], levels[1]);
    test::expect_close(got, test::tensor_from_json(row.at("noise"), shape), 2e-6,
                       row.at("levels").dump());
  }
}

TEST(KDiffusion, BrownianNoiseAddsUpAndKnowsItsSeeds) {
  for (const Rng rng : {Rng::Cpu, Rng::Cuda}) {
    NoiseSource source = NoiseSource::per_image(rng, {5, 6});
    const std::vector<int64_t> shape = {2, 4, 50, 50};
    BrownianNoise brownian = source.brownian(shape, 1, 5);
    const Tensor whole = brownian(5, 1) * 2;
    const Tensor parts = brownian(5, 3.7) * std::sqrt(1.3) + brownian(3.7, 1) * std::sqrt(2.7);
    test::expect_close(parts, whole, 1e-5, "parts");
    EXPECT_TRUE(at::equal(brownian(3.7, 1), -brownian(1, 3.7)));
    for (const auto& [from, to] : {std::pair{5.0, 3.7}, std::pair{2.0, 1.5}}) {
      EXPECT_NEAR(brownian(from, to).std().item<double>(), 1, 0.03);
      EXPECT_NEAR(brownian(from, to).mean().item<double>(), 0, 0.03);
    }
    NoiseSource alone = NoiseSource::per_image(rng, {6});
    const Tensor row = alone.brownian({1, 4, 50, 50}, 1, 5)(2, 1.5);
    EXPECT_TRUE(at::equal(row[0], brownian(2, 1.5)[1]));

    // One seed for a whole batch, another for the next.
    NormalStream stream(rng, 9);
    NoiseSource batch = NoiseSource::per_batch(stream);
    const Tensor first = batch.brownian(shape, 1, 5)(2, 1.5);
    const Tensor second = batch.brownian(shape, 1, 5)(2, 1.5);
    EXPECT_EQ(first.sizes(), at::IntArrayRef(shape));
    EXPECT_FALSE(at::equal(first, second));
    NormalStream same_stream(rng, 9);
    NoiseSource same = NoiseSource::per_batch(same_stream);
    EXPECT_TRUE(at::equal(first, same.brownian(shape, 1, 5)(2, 1.5)));
  }
}

TEST(KDiffusion, EverySamplerIsDeterministicFromItsSeed) {
  for (const SamplerInfo& sampler : samplers()) {
    const NoiseSchedule trained = make_noise_schedule({});
    const SigmaPlan plan = make_plan(sampler, find_spacing(sampler.default_spacing), trained, 6);
    NoiseSchedule schedule = trained;
    schedule.interpolation = plan.interpolation;
    const auto draw = [&](uint64_t seed) {
      const Denoiser denoiser = make_denoiser(test::toy_network, schedule, Parameterization::Eps,
                                              test::toy_guidance(3, 2));
      NoiseSource noise = NoiseSource::per_image(Rng::Cuda, {seed, seed + 1});
      const Tensor x = plan.initial_scale * noise.draw(test::kShape);
      return sampler.run(denoiser, x, plan.sigmas, noise, {.eta = sampler.default_eta}, {});
    };
    EXPECT_TRUE(at::equal(draw(4), draw(4))) << sampler.name;
    EXPECT_FALSE(at::equal(draw(4), draw(5))) << sampler.name;
  }
}

TEST(KDiffusion, EverySamplerTakesTheOptionsThatItNamesAndNoOthers) {
  struct Option {
    uint32_t bit;
    void (*set)(SamplerOptions& options, const SamplerInfo& sampler);
  };
  const std::vector<Option> every = {
      {kTakesEta, [](SamplerOptions& o, const SamplerInfo&) { o.eta = 0.37; }},
      {kTakesClipDenoised, [](SamplerOptions& o, const SamplerInfo&) { o.clip_denoised = true; }},
      {kTakesChurn, [](SamplerOptions& o, const SamplerInfo&) { o.s_churn = 2; }},
      {kTakesChurn, [](SamplerOptions& o, const SamplerInfo&) { o.s_tmin = 0.1; }},
      {kTakesChurn, [](SamplerOptions& o, const SamplerInfo&) { o.s_tmax = 10; }},
      {kTakesSNoise, [](SamplerOptions& o, const SamplerInfo&) { o.s_noise = 1.01; }},
      {kTakesOrder, [](SamplerOptions& o, const SamplerInfo& s) { o.order = s.order; }},
      {kTakesSolver,
       [](SamplerOptions& o, const SamplerInfo& s) {
         o.solver = s.solvers.empty() ? "bh1" : s.solvers.substr(0, s.solvers.find(','));
       }},
      {kTakesTolerance, [](SamplerOptions& o, const SamplerInfo&) { o.rtol = 0.01; }},
      {kTakesTolerance, [](SamplerOptions& o, const SamplerInfo&) { o.atol = 0.01; }}};
  for (const SamplerInfo& sampler : samplers()) {
    for (size_t i = 0; i < every.size(); ++i) {
      SamplerOptions options{.eta = sampler.default_eta};
      every[i].set(options, sampler);
      bool taken = true;
      try {
        check_sampler_options(sampler, options, 10);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Usage);
        taken = false;
      }
      EXPECT_EQ(taken, sampler.accepts(every[i].bit)) << sampler.name << ", option " << i;
    }
    EXPECT_THROW(check_sampler_options(sampler, {}, sampler.min_steps - 1), Error);
  }
}

TEST(KDiffusion, OptionsThatASamplerHasNotAreRefusedNamingThoseThatHave) {
  const auto refusal = [](const char* name, const SamplerOptions& options) -> std::string {
    try {
      check_sampler_options(find_sampler(name), options, 10);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return error.what();
    }
    return "";
  };
  const auto says = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  SamplerOptions options;
  options.s_churn = 1;
  says(refusal("lms", options), "take one of: euler, heun, dpm_2");
  EXPECT_EQ(refusal("euler", options), "");
  options = {};
  options.order = 5;
  says(refusal("lms", options), "orders 1 to 4");
  says(refusal("dpm_adaptive", options), "orders 2 to 3");
  says(refusal("euler", options), "lms, dpm_adaptive, dpm_solver_singlestep");
  options = {};
  options.solver = "heum";
  says(refusal("dpmpp_2m_sde", options), "midpoint,heun");
  says(refusal("dpmpp_sde", options), "dpmpp_2m_sde");
  options = {};
  options.s_noise = 0;
  says(refusal("euler_a", options), "above 0");
  options = {};
  options.rtol = 0.1;
  says(refusal("dpm_fast", options), "dpm_adaptive");
}

}  // namespace
}  // namespace easel
