// DPM-Solver against its authors' code (tests/data/dpm_solver, made by
// scripts/fixtures/dpm_solver.py), and the order of its error.
#include "easel/diffusion/dpm_solver.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/diffusion/toy_network.h"
#include "tests/support/compare.h"

namespace easel {
namespace {

nlohmann::json read(const std::string& name) {
  std::ifstream file(EASEL_TEST_DATA "/dpm_solver/" + name + ".json");
  return nlohmann::json::parse(file);
}

VpSchedule schedule_named(const std::string& name) {
  if (name == "linear") return linear_vp_schedule();
  if (name == "cosine") return cosine_vp_schedule();
  const std::string betas = name.substr(name.find('_') + 1);
  return discrete_vp_schedule(make_noise_schedule({.beta_schedule = betas}).alphas_cumprod);
}

// The estimate of the clean x [B, 2] that is exact for a mixture of three Gaussians.
Tensor mixture(const Tensor& x_BD, double sigma) {
  constexpr std::array<std::array<double, 2>, 3> kMeans = {{{1.5, -0.5}, {-1, 1}, {0.2, 0.4}}};
  constexpr std::array<double, 3> kDeviations = {0.3, 0.5, 0.2};
  constexpr std::array<double, 3> kWeights = {0.5, 0.3, 0.2};
  std::vector<Tensor> logits;
  std::vector<Tensor> means;
  for (size_t i = 0; i < kMeans.size(); ++i) {
    const double variance = kDeviations[i] * kDeviations[i] + sigma * sigma;
    const Tensor away_BD =
        x_BD - at::tensor(at::ArrayRef<double>(kMeans[i]), at::kDouble).to(x_BD.scalar_type());
    const double constant = std::log(kWeights[i]) - std::log(variance);
    logits.push_back(constant - away_BD.square().sum(1, true) / (2 * variance));
    means.push_back(x_BD - away_BD * (sigma * sigma / variance));
  }
  return (at::softmax(at::stack(logits), 0) * at::stack(means)).sum(0);
}

VpModel model_named(const std::string& name, const VpSchedule& schedule) {
  if (name == "mixture") return eps_model(Denoiser(mixture), schedule);
  const Conditioning conditioning = test::toy_guidance(1, test::kShape[0]).conditional;
  return [conditioning, schedule](const Tensor& x, double t) {
    const Tensor t_B = at::full({x.size(0)}, schedule.network_time(t), at::kFloat);
    return test::toy_network(x, t_B, conditioning);
  };
}

Tensor values(const nlohmann::json& numbers, at::IntArrayRef shape) {
  const auto list = numbers.get<std::vector<double>>();
  return at::tensor(at::ArrayRef<double>(list), at::kDouble).reshape(shape);
}

Tensor start_of(const std::string& problem) {
  for (const auto& row : read("start")) {
    if (row.at("problem") == problem) {
      return problem == "toy" ? values(row.at("x"), test::kShape) : values(row.at("x"), {3, 2});
    }
  }
  throw Error("no start for " + problem);
}

DpmSolverOptions options_from(const nlohmann::json& row) {
  DpmSolverOptions options;
  options.algorithm = row.at("algorithm");
  options.method = row.at("method");
  options.order = row.at("order");
  options.skip_type = row.value("skip_type", options.skip_type);
  options.solver_type = row.value("solver_type", options.solver_type);
  options.lower_order_final = row.value("lower_order_final", true);
  options.denoise_to_zero = row.value("denoise_to_zero", false);
  options.atol = row.value("atol", options.atol);
  options.rtol = row.value("rtol", options.rtol);
  if (row.contains("t_start")) options.t_start = row.at("t_start").get<double>();
  if (row.contains("t_end")) options.t_end = row.at("t_end").get<double>();
  if (row.contains("thresholding")) {
    options.dynamic_thresholding = true;
    options.thresholding_ratio = row.at("thresholding")[0];
    options.thresholding_max = row.at("thresholding")[1];
  }
  return options;
}

// How close a run has to come. In float64 the adaptive solver's peer rounds its steps to float32.
// In float32 rounding is multiplied by the first level, 15 of the discrete schedule, 150 and more
// of the continuous ones.
double tolerance_of(const nlohmann::json& row, at::ScalarType dtype) {
  if (dtype == at::kDouble) return row.at("method") == "adaptive" ? 1e-6 : 1e-8;
  return row.at("problem") == "toy" ? 1e-5 : 1e-4;
}

void expect_runs(at::ScalarType dtype) {
  double worst = 0;
  int64_t count = 0;
  for (const auto& row : read("runs")) {
    // In float32 rounding decides whether a step near the tolerance is accepted.
    if (dtype == at::kFloat && row.at("method") == "adaptive") continue;
    const double part = tolerance_of(row, dtype);
    nlohmann::json shown = row;
    shown.erase("x");
    shown.erase("probes");
    const VpSchedule schedule = schedule_named(row.at("schedule"));
    const std::string problem = row.at("problem");
    const Tensor start = start_of(problem);
    std::vector<Tensor> probes;
    const auto result =
        run_dpm_solver(model_named(problem, schedule), schedule, start.to(dtype), row.at("steps"),
                       options_from(row), [&](const DpmSolverStep& step) {
                         const Tensor flat = step.x_BCHW.flatten();
                         probes.push_back(at::stack({flat[0], flat[-1]}));
                       });
    EXPECT_EQ(result.x_BCHW.scalar_type(), dtype);
    EXPECT_EQ(result.evaluations, row.at("evaluations").get<int64_t>()) << shown.dump();
    const Tensor want = values(row.at("x"), start.sizes());
    test::expect_close(result.x_BCHW, want, part, shown.dump());
    worst = std::max(worst, test::relative_difference(result.x_BCHW, want));
    ++count;
    if (!row.contains("probes")) continue;
    ASSERT_EQ(probes.size(), row.at("probes").size()) << shown.dump();
    for (size_t i = 0; i < probes.size(); ++i) {
      const Tensor difference = probes[i].to(at::kDouble) - values(row.at("probes")[i], {2});
      EXPECT_LE(difference.abs().max().item<double>(), 3 * part) << shown.dump() << " " << i;
    }
  }
  EXPECT_GT(count, 200);
  ::testing::Test::RecordProperty("worst_relative_difference", std::to_string(worst * 1e9) + "e-9");
}

TEST(DpmSolver, EveryStepIsTheAuthorsInFloat64) { expect_runs(at::kDouble); }
TEST(DpmSolver, EveryStepIsTheAuthorsInFloat32) { expect_runs(at::kFloat); }

TEST(DpmSolver, SchedulesAreTheAuthors) {
  for (const auto& row : read("schedules")) {
    const std::string name = row.at("schedule");
    const VpSchedule schedule = schedule_named(name);
    if (schedule.kind == VpScheduleKind::Discrete) {
      EXPECT_EQ(static_cast<int64_t>(schedule.log_alphas.size()), row.at("total")) << name;
    }
    const auto times = row.at("times").get<std::vector<double>>();
    const auto expect = [&](const char* key, double got, size_t i) {
      const double want = row.at(key)[i];
      EXPECT_NEAR(got, want, 1e-8 * std::abs(want)) << name << " " << key << " " << times[i];
    };
    for (size_t i = 0; i < times.size(); ++i) {
      expect("log_alpha", schedule.marginal_log_mean_coeff(times[i]), i);
      expect("alpha", schedule.marginal_alpha(times[i]), i);
      expect("std", schedule.marginal_std(times[i]), i);
      const double lambda = schedule.marginal_lambda(times[i]);
      expect("lambdas", lambda, i);
      EXPECT_NEAR(schedule.inverse_lambda(lambda), times[i], 1e-10) << name;
      if (i > 0 && i + 1 < times.size()) {
        expect("inverse", schedule.inverse_lambda(lambda + 0.01), i - 1);
      }
    }
  }
}

double error_of(DpmSolverOptions options, int64_t steps, const Tensor& want) {
  const VpSchedule schedule = linear_vp_schedule();
  options.t_start = 0.7;
  options.t_end = 0.1;
  options.skip_type = "logSNR";
  options.lower_order_final = false;
  const auto result = run_dpm_solver(eps_model(Denoiser(mixture), schedule), schedule,
                                     start_of("mixture"), steps, options);
  return (result.x_BCHW - want).norm().item<double>();
}

TEST(DpmSolver, HalvingTheStepDividesTheErrorByTwoToTheOrder) {
  const VpSchedule schedule = linear_vp_schedule();
  const Tensor want =
      run_dpm_solver(eps_model(Denoiser(mixture), schedule), schedule, start_of("mixture"), 6000,
                     {.method = "singlestep_fixed",
                      .skip_type = "logSNR",
                      .order = 3,
                      .t_start = 0.7,
                      .t_end = 0.1})
          .x_BCHW;
  for (const char* algorithm : {"dpmsolver", "dpmsolver++"}) {
    for (const char* method : {"multistep", "singlestep_fixed"}) {
      for (const char* form : {"dpmsolver", "taylor"}) {
        for (const int64_t order : {1, 2, 3}) {
          const DpmSolverOptions options{
              .algorithm = algorithm, .method = method, .solver_type = form, .order = order};
          const int64_t steps = 160 * (method[0] == 's' ? order : 1);
          const double measured =
              std::log2(error_of(options, steps, want) / error_of(options, 2 * steps, want));
          // Multistep begins with a step of order 1, whose error no later step removes, and its
          // third-order update halves the second derivative (see DpmSolverOptions::order).
          const int64_t expected = method[0] == 'm' ? std::min<int64_t>(order, 2) : order;
          EXPECT_NEAR(measured, static_cast<double>(expected), 0.1)
              << algorithm << " " << method << " " << form;
        }
      }
    }
  }
}

TEST(DpmSolver, PredictionsOfEveryKindGiveTheSameRun) {
  const VpSchedule schedule = cosine_vp_schedule();
  const VpModel eps = eps_model(Denoiser(mixture), schedule);
  const VpModel v = eps_model(
      [&](const Tensor& x, double t) {
        const double alpha = schedule.marginal_alpha(t);
        const double sigma = schedule.marginal_std(t);
        return alpha * eps(x, t) - sigma * mixture(x / alpha, sigma / alpha);
      },
      schedule, Parameterization::V);
  const Tensor x = start_of("mixture");
  const Tensor want = run_dpm_solver(eps, schedule, x, 9, {}).x_BCHW;
  test::expect_close(run_dpm_solver(v, schedule, x, 9, {}).x_BCHW, want, 1e-11);
}

TEST(DpmSolver, RefusesWhatCannotBeMeant) {
  const VpSchedule schedule = linear_vp_schedule();
  const Tensor x = start_of("mixture");
  const auto message = [&](const DpmSolverOptions& options, int64_t steps) -> std::string {
    try {
      run_dpm_solver(eps_model(Denoiser(mixture), schedule), schedule, x, steps, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return error.what();
    }
    return "";
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(message({.algorithm = "dpmsolver+"}, 5), "did you mean 'dpmsolver"));
  EXPECT_TRUE(has(message({.method = "multi"}, 5), "singlestep_fixed"));
  EXPECT_TRUE(has(message({.skip_type = "logsnr"}, 5), "logSNR"));
  EXPECT_TRUE(has(message({.solver_type = "heun"}, 5), "taylor"));
  EXPECT_TRUE(has(message({.order = 3}, 2), "needs at least 3"));
  EXPECT_TRUE(has(message({.method = "singlestep_fixed", .order = 2}, 1), "needs at least 2"));
  EXPECT_TRUE(has(message({.order = 4}, 9), "1 to 3"));
  EXPECT_TRUE(has(message({.method = "adaptive", .order = 1}, 9), "2 to 3"));
  EXPECT_TRUE(has(message({.algorithm = "dpmsolver", .dynamic_thresholding = true}, 9), "++"));
  EXPECT_TRUE(has(message({.method = "adaptive", .atol = 0}, 9), "atol"));
  EXPECT_TRUE(has(message({.t_end = 0.0}, 9), "above 0"));
  EXPECT_TRUE(has(message({.t_start = 1.5}, 9), "t_start"));
  EXPECT_TRUE(has(message({.t_start = 0.5, .t_end = 0.5}, 9), "differ"));
  EXPECT_TRUE(has(message({.method = "adaptive", .t_start = 0.1, .t_end = 0.5}, 9), "greater"));
  EXPECT_THROW(discrete_vp_schedule(std::array<double, 2>{0.5, 0.6}), Error);
  EXPECT_THROW(discrete_vp_schedule(std::array<double, 1>{0.5}), Error);
  EXPECT_THROW(linear_vp_schedule(2, 1), Error);
}

TEST(DpmSolver, AdaptiveStopsAtValuesThatAreNotFinite) {
  const VpModel broken = [](const Tensor& x, double) { return x * NAN; };
  EXPECT_THROW(
      run_dpm_solver(broken, linear_vp_schedule(), start_of("mixture"), 0, {.method = "adaptive"}),
      Error);
}

}  // namespace
}  // namespace easel
