#include "easel/diffusion/denoiser.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr std::array<std::pair<std::string_view, Parameterization>, 6> kParameterizations = {{
    {"eps", Parameterization::Eps},
    {"v", Parameterization::V},
    {"x0", Parameterization::X0},
    {"epsilon", Parameterization::Eps},
    {"v_prediction", Parameterization::V},
    {"sample", Parameterization::X0},
}};

// The parts of a conditioning with what messages call them.
constexpr std::array<std::pair<Tensor Conditioning::*, std::string_view>, 3> kParts = {{
    {&Conditioning::context_BTD, "context"},
    {&Conditioning::concat_BCHW, "concat"},
    {&Conditioning::class_label_B, "class label"},
}};

bool is_empty(const Conditioning& conditioning) {
  for (const auto& [part, name] : kParts) {
    if ((conditioning.*part).defined()) return false;
  }
  return true;
}

void check_batch(const Conditioning& conditioning, int64_t num_rows) {
  for (const auto& [part, name] : kParts) {
    const Tensor& tensor = conditioning.*part;
    if (tensor.defined() && (tensor.dim() < 1 || tensor.size(0) != num_rows)) {
      fail(
          "the conditioning's {} has shape {} for {} rows of latents; it must have one row for "
          "each",
          name, shape_text(tensor.sizes()), num_rows);
    }
  }
}

// The clean latents from the network's output, for x = x0 + sigma * noise.
Tensor estimate(Parameterization parameterization, const Tensor& x_BCHW, const Tensor& output_BCHW,
                double sigma) {
  const double abar = NoiseSchedule::alpha_cumprod(sigma);
  switch (parameterization) {
    case Parameterization::Eps:
      return x_BCHW - output_BCHW * sigma;
    case Parameterization::V:
      // sqrt(abar) * x_t - sqrt(1 - abar) * v with x_t = sqrt(abar) * x.
      return x_BCHW * abar - output_BCHW * (sigma * std::sqrt(abar));
    case Parameterization::X0:
      return output_BCHW;
  }
  fail("parameterization {} is none of eps, v, x0", static_cast<int>(parameterization));
}

void check(const Guidance& guidance) {
  const auto check_scale = [](double scale) {
    if (!std::isfinite(scale)) {
      fail_usage("the guidance scale is {}; it must be a finite number", scale);
    }
  };
  check_scale(guidance.scale);
  for (size_t i = 0; i < guidance.scales.size(); ++i) {
    check_scale(guidance.scales[i].scale);
    const double sigma = guidance.scales[i].sigma;
    if (std::isnan(sigma) || (i > 0 && !(sigma < guidance.scales[i - 1].sigma))) {
      fail_usage("guidance scale {} is for sigma {}; the sigmas must fall strictly", i + 1, sigma);
    }
  }
  if (!(guidance.rescale >= 0 && guidance.rescale <= 1)) {
    fail_usage("the guidance rescale is {}; it must be 0 to 1, 0.7 is usual", guidance.rescale);
  }
  if (!(guidance.interval_low >= 0 && guidance.interval_low <= guidance.interval_high)) {
    fail_usage(
        "the guidance interval goes from sigma {} to {}; the first must be 0 or more and not "
        "above the second",
        guidance.interval_low, guidance.interval_high);
  }
}

// Whether some evaluation has a scale other than 1.
bool may_guide(const Guidance& guidance) {
  if (guidance.scales.empty()) return guidance.scale != 1;
  return std::any_of(guidance.scales.begin(), guidance.scales.end(),
                     [](const ScaleFrom& from) { return from.scale != 1; });
}

bool in_interval(const Guidance& guidance, double sigma) {
  const bool below = guidance.interval_low > 0 && sigma <= guidance.interval_low;
  return !below && sigma <= guidance.interval_high;
}

double scale_at(const Guidance& guidance, double sigma) {
  if (guidance.scales.empty()) return guidance.scale;
  // A level that a sampler computes anew may lie above its own by rounding.
  constexpr double kRounding = 1 + 1e-9;
  double scale = guidance.scales.front().scale;
  for (const ScaleFrom& from : guidance.scales) {
    if (from.sigma * kRounding >= sigma) scale = from.scale;
  }
  return scale;
}

Tensor rescaled(const Tensor& guided_BCHW, const Tensor& conditional_BCHW, double rescale) {
  const auto deviation = [](const Tensor& x_BCHW) { return x_BCHW.flatten(1).std(1); };
  const Tensor guided_B = deviation(guided_BCHW);
  // An output that is the same everywhere has nothing to rescale.
  const Tensor ratio_B = at::where(guided_B > 0, deviation(conditional_BCHW) / guided_B, 1.0);
  return rescale * (guided_BCHW * ratio_B.reshape({-1, 1, 1, 1})) + (1 - rescale) * guided_BCHW;
}

}  // namespace

Conditioning concatenate(const Conditioning& first, const Conditioning& second) {
  Conditioning both;
  for (const auto& [part, name] : kParts) {
    const Tensor& a = first.*part;
    const Tensor& b = second.*part;
    if (!a.defined() && !b.defined()) continue;
    if (a.defined() != b.defined()) {
      fail("one of two conditionings has a {} and the other has none; give both the same parts",
           name);
    }
    if (a.dim() < 1 || b.dim() < 1 || a.sizes().slice(1) != b.sizes().slice(1)) {
      fail("two conditionings' {} have shapes {} and {}; all but the batch must be equal", name,
           shape_text(a.sizes()), shape_text(b.sizes()));
    }
    both.*part = at::cat({a, b});
  }
  return both;
}

Parameterization parameterization_from_name(std::string_view name) {
  std::vector<std::string_view> known;
  for (const auto& [known_name, parameterization] : kParameterizations) {
    if (name == known_name) return parameterization;
    known.push_back(known_name);
  }
  throw Error(unknown_name("parameterization", name, known), ErrorKind::Usage);
}

std::vector<ScaleFrom> per_step_scales(std::span<const double> scales,
                                       std::span<const double> sigmas) {
  if (scales.size() + 1 != sigmas.size()) {
    fail_usage("there are {} guidance scales for {} steps; give one for each step", scales.size(),
               sigmas.empty() ? 0 : sigmas.size() - 1);
  }
  std::vector<ScaleFrom> made;
  for (size_t i = 0; i < scales.size(); ++i) {
    if (!made.empty() && made.back().sigma == sigmas[i]) made.pop_back();
    made.push_back({.sigma = sigmas[i], .scale = scales[i]});
  }
  return made;
}

double sigma_at_fraction(const NoiseSchedule& schedule, double fraction) {
  if (!(fraction >= 0 && fraction <= 1)) {
    fail_usage("the fraction of the run is {}; it must be 0 to 1", fraction);
  }
  if (fraction == 0) return std::numeric_limits<double>::infinity();
  if (fraction == 1) return 0;
  return schedule.sigma((1 - fraction) * static_cast<double>(schedule.timesteps() - 1));
}

Denoiser make_denoiser(Network network, const NoiseSchedule& schedule,
                       Parameterization parameterization, Guidance guidance) {
  check(guidance);
  // Without a condition both halves would be the same.
  const bool conditioned = !is_empty(guidance.conditional);
  const bool has_both = conditioned && (may_guide(guidance) || !is_empty(guidance.unconditional));
  const Conditioning both =
      has_both ? concatenate(guidance.unconditional, guidance.conditional) : Conditioning{};
  return Denoiser([network = std::move(network), schedule, parameterization, conditioned, has_both,
                   both, guidance = std::move(guidance)](const Tensor& x_BCHW, double sigma,
                                                         bool wants_unconditional) -> Estimates {
    const bool inside = conditioned && in_interval(guidance, sigma);
    const double scale = inside ? scale_at(guidance, sigma) : 1;
    const bool halves = inside && (scale != 1 || wants_unconditional);
    if (halves && !has_both) {
      fail_usage(
          "this sampler steps along the unconditional estimate, and the guidance has no "
          "unconditional part: give it one, or take another sampler");
    }
    const Conditioning& conditioning = halves ? both : guidance.conditional;
    Tensor scaled_BCHW = x_BCHW * std::sqrt(NoiseSchedule::alpha_cumprod(sigma));
    if (halves) scaled_BCHW = at::cat({scaled_BCHW, scaled_BCHW});
    const int64_t num_rows = scaled_BCHW.size(0);
    check_batch(conditioning, num_rows);
    const Tensor t_B = at::full({num_rows}, schedule.t(sigma), scaled_BCHW.options());
    const Tensor output_BCHW = network(scaled_BCHW, t_B, conditioning).to(at::kFloat);
    TORCH_CHECK(output_BCHW.sizes() == scaled_BCHW.sizes(), "the network returned ",
                output_BCHW.sizes(), " for latents ", scaled_BCHW.sizes());
    const auto clean = [&](const Tensor& output) {
      return estimate(parameterization, x_BCHW, output, sigma);
    };
    if (!halves) {
      const Tensor clean_BCHW = clean(output_BCHW);
      return {clean_BCHW, clean_BCHW};
    }
    const auto parts = output_BCHW.chunk(2);
    Tensor guided_BCHW = scale == 1 ? parts[1] : parts[0] + scale * (parts[1] - parts[0]);
    if (guidance.rescale > 0) guided_BCHW = rescaled(guided_BCHW, parts[1], guidance.rescale);
    return {clean(guided_BCHW), wants_unconditional ? clean(parts[0]) : Tensor()};
  });
}

}  // namespace easel
