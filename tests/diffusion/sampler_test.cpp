#include "easel/diffusion/sampler.h"

#include <cmath>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/diffusion/toy_network.h"
#include "tests/support/compare.h"

namespace easel {
namespace {

// Data from N(0, c^2): the best estimate and the flow's exact solution are known.
constexpr double kSpread = 0.8;

Tensor gaussian_denoiser(const Tensor& x_BCHW, double sigma) {
  return x_BCHW * (kSpread * kSpread / (kSpread * kSpread + sigma * sigma));
}

double gaussian_solution(double from, double to) {
  const auto spread = [](double sigma) { return std::sqrt(kSpread * kSpread + sigma * sigma); };
  return spread(to) / spread(from);
}

double error_after(const SamplerInfo& sampler, const std::vector<double>& sigmas) {
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
  const Tensor x = at::ones({1, 1, 1, 1}, at::kDouble);
  const Tensor got = sampler.run(gaussian_denoiser, x, sigmas, noise, {}, {});
  return std::abs(got.item<double>() - gaussian_solution(sigmas.front(), sigmas.back()));
}

// From 4 to 1 in even steps, of sigma or of its logarithm.
std::vector<double> levels(int num_steps, bool in_log) {
  std::vector<double> sigmas;
  for (int i = 0; i <= num_steps; ++i) {
    const double share = static_cast<double>(i) / num_steps;
    sigmas.push_back(in_log ? 4 * std::pow(0.25, share) : 4 - 3 * share);
  }
  return sigmas;
}

TEST(Samplers, ConvergeWithTheirOrder) {
  struct Case {
    const char* name;
    bool in_log;
    double least;
    double most;
  };
  // PLMS is of order 4 once under way, of order 3 through its first steps.
  for (const Case& c : {Case{"ddim", true, 0.9, 1.1}, Case{"euler", true, 0.9, 1.1},
                        Case{"heun", true, 1.9, 2.1}, Case{"dpmpp_2m", true, 1.85, 2.15},
                        Case{"dpm_solver", true, 1.85, 2.15}, Case{"plms", false, 2.9, 4.1}}) {
    const SamplerInfo& sampler = find_sampler(c.name);
    const double coarse = error_after(sampler, levels(80, c.in_log));
    const double fine = error_after(sampler, levels(160, c.in_log));
    EXPECT_GT(std::log2(coarse / fine), c.least) << c.name;
    EXPECT_LT(std::log2(coarse / fine), c.most) << c.name;
  }
}

TEST(Samplers, KeepTheSpreadOfTheData) {
  // Fresh noise included: the marginal at the end is the data's.
  const NoiseSchedule schedule = make_noise_schedule({});
  for (const SamplerInfo& sampler : samplers()) {
    const SigmaPlan plan = find_spacing(sampler.default_spacing).plan(schedule, 100);
    NoiseSource noise = NoiseSource::per_image(Rng::Cuda, {3});
    const Tensor x = plan.initial_scale * noise.draw({1, 4, 50, 50});
    const Tensor got = plan.final_scale * sampler.run(gaussian_denoiser, x, plan.sigmas, noise,
                                                      {.eta = sampler.default_eta}, {});
    EXPECT_NEAR(got.std().item<double>(), kSpread, 0.05) << sampler.name;
    EXPECT_NEAR(got.mean().item<double>(), 0, 0.05) << sampler.name;
  }
}

TEST(Samplers, EveryOneRunsOnEverySpacingAndCallsBackOnceAStep) {
  const NoiseSchedule trained = make_noise_schedule({});
  for (const SamplerInfo& sampler : samplers()) {
    for (const SpacingInfo& spacing : spacings()) {
      // At 600 CompVis's spacing has a step between equal levels.
      for (const int64_t steps : {1, 2, 3, 20, 600}) {
        if (steps < sampler.min_steps || (steps == 600 && spacing.name != "compvis")) continue;
        SCOPED_TRACE(std::string(sampler.name) + " " + std::string(spacing.name) + " " +
                     std::to_string(steps));
        NoiseSchedule schedule = trained;
        const SigmaPlan plan = spacing.plan(schedule, steps);
        schedule.interpolation = plan.interpolation;
        const Denoiser denoiser = make_denoiser(test::toy_network, schedule, Parameterization::Eps,
                                                test::toy_guidance(1, 2));
        NoiseSource noise = NoiseSource::per_image(Rng::Cuda, {1, 2});
        const Tensor start = plan.initial_scale * noise.draw(test::kShape);
        const Tensor kept = start.clone();
        int64_t calls = 0;
        int64_t last = 1;
        const StepCallback callback = [&](const StepInfo& info) {
          ++calls;
          if (sampler.levels == Levels::Each) {
            EXPECT_EQ(info.step, calls);
            EXPECT_EQ(info.steps, plan.steps());
            EXPECT_EQ(info.sigma, plan.sigmas[static_cast<size_t>(calls - 1)]);
          } else {
            EXPECT_GE(info.step, last);
            EXPECT_LE(info.step, info.steps);
            last = info.step;
          }
          EXPECT_EQ(info.denoised.sizes(), at::IntArrayRef(test::kShape));
        };
        const Tensor got = sampler.run(denoiser, start, plan.sigmas, noise,
                                       {.eta = sampler.default_eta}, callback);
        if (sampler.levels == Levels::Each) {
          EXPECT_EQ(calls, plan.steps());
        }
        EXPECT_TRUE(at::isfinite(got).all().item<bool>());
        EXPECT_EQ(got.scalar_type(), at::kFloat);
        EXPECT_TRUE(at::equal(start, kept)) << "the start was written to";
      }
    }
  }
}

TEST(Samplers, APictureIsTheSameAloneAndInABatch) {
  const NoiseSchedule trained = make_noise_schedule({});
  for (const SamplerInfo& sampler : samplers()) {
    NoiseSchedule schedule = trained;
    const SigmaPlan plan = find_spacing(sampler.default_spacing).plan(schedule, 12);
    schedule.interpolation = plan.interpolation;
    const auto draw = [&](const std::vector<uint64_t>& seeds) {
      Guidance guidance = test::toy_guidance(7.5, 1);
      const auto num_images = static_cast<int64_t>(seeds.size());
      for (Conditioning* part : {&guidance.conditional, &guidance.unconditional}) {
        part->context_BTD = part->context_BTD.expand({num_images, 1, 2});
      }
      const Denoiser denoiser =
          make_denoiser(test::toy_network, schedule, Parameterization::V, guidance);
      NoiseSource noise = NoiseSource::per_image(Rng::Cpu, seeds);
      const Tensor x = plan.initial_scale * noise.draw({num_images, 4, 8, 8});
      const SamplerOptions options{.eta = sampler.uses_eta() ? 1.0 : sampler.default_eta};
      return sampler.run(denoiser, x, plan.sigmas, noise, options, {});
    };
    EXPECT_TRUE(at::equal(draw({11, 12, 13, 14}).slice(0, 2, 3), draw({13}))) << sampler.name;
  }
}

TEST(Samplers, ACallbackMayCancel) {
  for (const SamplerInfo& sampler : samplers()) {
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
    int64_t last = 0;
    const StepCallback callback = [&](const StepInfo& info) {
      last = info.step;
      if (info.step == 3) throw Error("stopped", ErrorKind::Interrupted);
    };
    EXPECT_THROW(sampler.run(gaussian_denoiser, at::ones({1, 4, 2, 2}), levels(10, true), noise, {},
                             callback),
                 Error);
    EXPECT_EQ(last, 3) << sampler.name;
  }
}

TEST(Samplers, DdpmClipsItsEstimate) {
  const Denoiser far = [](const Tensor& x_BCHW, double) { return at::full_like(x_BCHW, 5); };
  const std::vector<double> sigmas = {2, 1, 0};
  for (const bool clip : {false, true}) {
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
    const Tensor got = find_sampler("ddpm").run(far, at::ones({1, 4, 2, 2}), sigmas, noise,
                                                {.eta = 1, .clip_denoised = clip}, {});
    EXPECT_TRUE(at::equal(got, at::full_like(got, clip ? 1 : 5)));
  }
}

TEST(SamplerTable, IsConsistent) {
  std::set<std::string_view> names;
  for (const SamplerInfo& sampler : samplers()) {
    EXPECT_TRUE(names.insert(sampler.name).second) << sampler.name;
    EXPECT_EQ(find_spacing(sampler.default_spacing).name, sampler.default_spacing);
    EXPECT_FALSE(sampler.paper.empty());
    EXPECT_EQ(&find_sampler(sampler.name), &sampler);
    std::string aliases(sampler.aliases);
    for (size_t start = 0; start < aliases.size();) {
      const size_t end = std::min(aliases.find(',', start), aliases.size());
      EXPECT_EQ(find_sampler(aliases.substr(start, end - start)).name, sampler.name);
      start = end + 1;
    }
    EXPECT_NO_THROW(
        check_sampler_options(sampler, {.eta = sampler.default_eta}, sampler.min_steps));
  }
}

TEST(SamplerTable, AnswersToOtherProgramsNames) {
  const std::vector<std::pair<const char*, const char*>> spellings = {
      {"DDIM", "ddim"},
      {"PLMS", "plms"},
      {"PNDM", "plms"},
      {"Euler", "euler"},
      {"k_euler", "euler"},
      {"Euler a", "euler_a"},
      {"euler-ancestral", "euler_a"},
      {"k_euler_a", "euler_a"},
      {"DPM++ 2M", "dpmpp_2m"},
      {"dpm++2m", "dpmpp_2m"},
      {"dpmpp_2m", "dpmpp_2m"},
      {"DPMSolverMultistepScheduler", "dpmpp_2m"},
      {"DPM++ 2M Karras", "dpmpp_2m_karras"},
      {"Euler Karras", "euler_karras"},
      {"Heun", "heun"},
      {"dpm-solver", "dpm_solver"},
      {"DDPM", "ddpm"},
  };
  for (const auto& [got, want] : spellings) EXPECT_EQ(find_sampler(got).name, want) << got;
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    return error.what();
  }
  return "nothing was thrown";
}

TEST(SamplerTable, UnknownNamesListTheNearestFirst) {
  const std::string message = message_of([] { find_sampler("eular"); });
  EXPECT_NE(message.find("unknown sampler 'eular'; did you mean 'euler'? Known: euler, "),
            std::string::npos)
      << message;
  EXPECT_NE(message_of([] { find_sampler(""); }).find("unknown sampler"), std::string::npos);
}

TEST(SamplerTable, RefusesOptionsThatDoNotFit) {
  const auto check = [](const char* name, const SamplerOptions& options, int64_t steps) {
    return message_of([&] { check_sampler_options(find_sampler(name), options, steps); });
  };
  EXPECT_NE(check("ddim", {.eta = 1.5}, 10).find("eta is 1.5; it must be 0 to 1"),
            std::string::npos);
  EXPECT_NE(check("ddim", {.eta = std::nan("")}, 10).find("must be 0 to 1"), std::string::npos);
  EXPECT_NE(check("plms", {.eta = 0.5}, 10).find("'plms'"), std::string::npos);
  EXPECT_NE(check("dpm_solver", {}, 1).find("at least 2"), std::string::npos);
  EXPECT_NE(check("ddim", {}, 0).find("at least 1"), std::string::npos);
  EXPECT_NE(check("ddim", {.clip_denoised = true}, 10).find("clip"), std::string::npos);
  EXPECT_EQ(check("dpm_solver", {.eta = 0}, 2), "nothing was thrown");
}

}  // namespace
}  // namespace easel
