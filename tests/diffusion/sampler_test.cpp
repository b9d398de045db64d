#include "easel/diffusion/sampler.h"

#include <cmath>
#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/base/fields.h>

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

double error_after(const SamplerInfo& sampler, const std::vector<double>& sigmas,
                   const SamplerOptions& options) {
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
  const Tensor x = at::ones({1, 1, 1, 1}, at::kDouble);
  const Tensor got = sampler.run(gaussian_denoiser, x, sigmas, noise, options, {});
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
    SamplerOptions options{};
    int fine_steps = 160;
  };
  // PLMS is of order 4 once under way, of order 3 through its first steps; the other multistep ones
  // too start with lower orders, whose errors weigh less: a start of order 1 costs the square of
  // the step. UniPC's corrector raises the order by one, but not that of its last step, which is of
  // order 1 and very short here. Singlestep runs of order 3 end in a step of order 2 where the
  // number of steps leaves 2.
  for (const Case& c : {Case{"ddim", true, 0.9, 1.1},
                        Case{"euler", true, 0.9, 1.1},
                        Case{"heun", true, 1.9, 2.1},
                        Case{"dpmpp_2m", true, 1.85, 2.15},
                        Case{"dpm_solver", true, 1.85, 2.15},
                        Case{"plms", false, 2.9, 4.1},
                        Case{"euler_cfg_pp", true, 0.9, 1.1},
                        Case{"dpmpp_2m_cfg_pp", true, 1.85, 2.15},
                        Case{"tcd", true, 0.9, 1.1, {.eta = 0}},
                        Case{"unipc", true, 1.9, 2.1, {.order = 1}},
                        Case{"unipc", true, 2.8, 3.2, {.order = 2}},
                        Case{"unipc_bh2", true, 2.8, 3.2},
                        Case{"unipc", true, 2.8, 4.2, {.order = 3}},
                        Case{"deis", true, 0.9, 1.1, {.order = 1}},
                        Case{"deis", true, 1.85, 2.15, {.order = 2}},
                        Case{"deis", true, 1.85, 3.2, {.order = 3}},
                        Case{"deis", true, 1.85, 4.2, {.order = 4}},
                        Case{"ipndm", false, 0.9, 1.1, {.order = 1}},
                        Case{"ipndm", false, 1.85, 2.15, {.order = 2}},
                        Case{"ipndm", false, 1.85, 4.1, {.order = 4}},
                        Case{"dpm_solver_singlestep", true, 0.9, 1.1, {.order = 1}},
                        Case{"dpm_solver_singlestep", true, 1.85, 2.15, {.order = 2}},
                        Case{"dpm_solver_singlestep", true, 2.7, 3.3, {.order = 3}, 161},
                        Case{"dpmpp_singlestep", true, 1.85, 2.15, {.order = 2}},
                        Case{"dpmpp_singlestep", true, 2.7, 3.3, {.order = 3}, 161},
                        Case{"dpm_solver_multistep", true, 1.85, 2.15, {.order = 2}},
                        Case{"dpmpp_multistep", true, 1.85, 2.15, {.order = 2}}}) {
    const SamplerInfo& sampler = find_sampler(c.name);
    const auto error = [&](int steps) {
      std::vector<double> sigmas = levels(steps, c.in_log);
      if (std::string_view(c.name).starts_with("unipc")) sigmas.push_back(sigmas.back() - 1e-12);
      return error_after(sampler, sigmas, c.options);
    };
    const double order = std::log(error(80) / error(c.fine_steps)) / std::log(c.fine_steps / 80.0);
    EXPECT_GT(order, c.least) << c.name << " " << c.options.order;
    EXPECT_LT(order, c.most) << c.name << " " << c.options.order;
  }
}

TEST(Samplers, KeepTheSpreadOfTheData) {
  // Fresh noise included: the marginal at the end is the data's.
  const NoiseSchedule schedule = make_noise_schedule({});
  for (const SamplerInfo& sampler : samplers()) {
    // Their steps drop far below the next level, from where a distilled model's estimate is one
    // possible picture. This one's is the mean, whose spread is smaller.
    if (sampler.name == "lcm" || sampler.name == "tcd") continue;
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

// As img2img does: the tail of a plan, from noised latents.
TEST(Samplers, StartFromAnyPointOfAPlan) {
  const NoiseSchedule trained = make_noise_schedule({});
  for (const SamplerInfo& sampler : samplers()) {
    NoiseSchedule schedule = trained;
    const SigmaPlan plan = make_plan(sampler, find_spacing(sampler.default_spacing), trained, 40);
    schedule.interpolation = plan.interpolation;
    const Denoiser denoiser =
        make_denoiser(test::toy_network, schedule, Parameterization::Eps, test::toy_guidance(3, 2));
    for (const size_t left : {size_t{1}, size_t{2}, size_t{3}, size_t{10}, size_t{39}}) {
      SCOPED_TRACE(std::string(sampler.name) + ", steps left: " + std::to_string(left));
      const auto tail = std::span(plan.sigmas).last(left + 1);
      const auto draw = [&](const SamplerOptions& options, const StepCallback& callback) {
        NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1, 2});
        const Tensor x = 0.5 + tail.front() * noise.draw(test::kShape);
        return sampler.run(denoiser, x, tail, noise, options, callback);
      };
      int64_t calls = 0;
      int64_t last = 0;
      const Tensor got = draw({.eta = sampler.default_eta}, [&](const StepInfo& info) {
        ++calls;
        last = info.step;
        EXPECT_EQ(info.steps,
                  sampler.levels == Levels::Each ? static_cast<int64_t>(left) : info.steps);
      });
      EXPECT_TRUE(at::isfinite(got).all().item<bool>());
      EXPECT_TRUE(at::equal(got, draw({.eta = sampler.default_eta}, {})));
      if (sampler.levels == Levels::Each) {
        EXPECT_EQ(calls, static_cast<int64_t>(left));
        EXPECT_EQ(last, static_cast<int64_t>(left));
      }
      if (sampler.accepts(kTakesOrder)) {
        for (int64_t order = sampler.min_order; order <= sampler.order; ++order) {
          EXPECT_TRUE(at::isfinite(draw({.order = order}, {})).all().item<bool>()) << order;
        }
      }
    }
  }
}

TEST(Samplers, RunWithEverySolverTheyName) {
  for (const SamplerInfo& sampler : samplers()) {
    for (std::string_view solver : split_list(sampler.solvers)) {
      const SamplerOptions options{.eta = sampler.default_eta, .solver = solver};
      EXPECT_NO_THROW(check_sampler_options(sampler, options, 10));
      NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
      const Tensor got = sampler.run(gaussian_denoiser, at::ones({1, 4, 2, 2}), levels(10, true),
                                     noise, options, {});
      EXPECT_TRUE(at::isfinite(got).all().item<bool>()) << sampler.name << " " << solver;
    }
  }
}

TEST(Samplers, CfgPpTakesTheUnconditionalEstimate) {
  const Denoiser halves(Denoiser::Evaluate([](const Tensor& x_BCHW, double, bool wants) {
    const Tensor guided_BCHW = at::full_like(x_BCHW, 2);
    return Estimates{guided_BCHW, wants ? at::full_like(x_BCHW, 1) : Tensor()};
  }));
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
  const std::vector<double> sigmas = {4, 1};
  // The guided estimate, with the noise that the unconditional one leaves: 2 + (9 - 1) / 4.
  const Tensor got =
      find_sampler("euler_cfg_pp").run(halves, at::full({1, 4, 2, 2}, 9.0), sigmas, noise, {}, {});
  EXPECT_TRUE(at::equal(got, at::full_like(got, 4)));
}

TEST(Samplers, ACallbackMayCancel) {
  for (const SamplerInfo& sampler : samplers()) {
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
    int64_t last = 0;
    const StepCallback callback = [&](const StepInfo& info) {
      last = info.step;
      if (info.step >= 3) throw Error("stopped", ErrorKind::Interrupted);
    };
    EXPECT_THROW(sampler.run(gaussian_denoiser, at::ones({1, 4, 2, 2}), levels(10, true), noise, {},
                             callback),
                 Error);
    if (sampler.levels == Levels::Each) {
      EXPECT_EQ(last, 3) << sampler.name;
    } else {
      EXPECT_GE(last, 3) << sampler.name;
    }
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
      {"DPM++ 2M Karras", "dpmpp_2m"},
      {"k_dpmpp_2m_sde_ka", "dpmpp_2m_sde"},
      {"UniPC", "unipc"},
      {"uni_pc_bh2", "unipc_bh2"},
      {"UniPCMultistepScheduler", "unipc_bh2"},
      {"Restart", "restart"},
      {"LCM", "lcm"},
      {"euler_ancestral_cfg_pp", "euler_a_cfg_pp"},
      {"dpm++2s_a", "dpmpp_2s_a"},
      {"DPM-Solver++ singlestep", "dpmpp_singlestep"},
      {"Heun", "heun"},
      {"dpm-solver", "dpm_solver"},
      {"DDPM", "ddpm"},
  };
  for (const auto& [got, want] : spellings) EXPECT_EQ(find_sampler(got).name, want) << got;
}

TEST(SamplerTable, ASamplersNameMayBeFollowedByASchedules) {
  struct Case {
    const char* name;
    const char* sampler;
    const char* spacing;
  };
  for (const Case& c :
       {Case{"DPM++ 2M Karras", "dpmpp_2m", "karras"}, Case{"dpmpp_2m_k", "dpmpp_2m", "karras"},
        Case{"DPM++ 2M SDE Heun Exponential", "dpmpp_2m_sde_heun", "exponential"},
        Case{"k_dpmpp_2m_sde_exp", "dpmpp_2m_sde", "exponential"},
        Case{"Euler a SGM Uniform", "euler_a", "sgm_uniform"},
        Case{"ddim_trailing", "ddim", "trailing"},
        Case{"UniPC Align Your Steps", "unipc", "align_your_steps"},
        Case{"DPM2 a", "dpm_2_a", "default"}, Case{"Restart", "restart", "karras"}}) {
    const NamedSampler found = find_sampler_and_spacing(c.name);
    EXPECT_EQ(found.sampler.name, c.sampler) << c.name;
    EXPECT_EQ(found.spacing, c.spacing) << c.name;
  }
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
  EXPECT_NE(message_of([] { find_sampler("karras"); }).find("unknown sampler"), std::string::npos);
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
  EXPECT_NE(check("unipc", {.solver = "bh3"}, 10).find("bh1,bh2"), std::string::npos);
  EXPECT_NE(check("deis", {.order = 5}, 10).find("orders 1 to 4"), std::string::npos);
  EXPECT_NE(check("ddim", {}, 0).find("at least 1"), std::string::npos);
  EXPECT_NE(check("ddim", {.clip_denoised = true}, 10).find("clip"), std::string::npos);
  EXPECT_EQ(check("dpm_solver", {.eta = 0}, 2), "nothing was thrown");
}

}  // namespace
}  // namespace easel
