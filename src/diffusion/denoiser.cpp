#include "easel/diffusion/denoiser.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
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

void check_composition(const Guidance& guidance) {
  for (const ComposedRow& row : guidance.rows) {
    if (row.picture < 0 || !std::isfinite(row.weight)) {
      fail_usage("a composed row is for picture {} with weight {}; expected 0 or more, and finite",
                 row.picture, row.weight);
    }
  }
  int64_t last = 0;
  for (const ConditionsFrom& change : guidance.changes) {
    if (change.evaluation <= last) {
      fail_usage("the conditions change at evaluation {} after {}; they must rise, from 1 on",
                 change.evaluation, last);
    }
    last = change.evaluation;
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

void check_alike(const Conditioning& first, const Conditioning& second) {
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
  }
}

// The conditions of one evaluation after the other.
class Conditions {
 public:
  Conditions(const Guidance& guidance, bool has_both)
      : changes_(guidance.changes), has_both_(has_both) {
    for (const ConditionsFrom& change : changes_) {
      if (has_both) check_alike(change.unconditional, change.conditional);
    }
    take(guidance.conditional, guidance.unconditional);
  }

  // Where nothing changes, many threads may call it.
  void next() {
    if (changes_.empty()) return;
    for (; num_taken_ < changes_.size() && changes_[num_taken_].evaluation <= evaluation_;
         ++num_taken_) {
      take(changes_[num_taken_].conditional, changes_[num_taken_].unconditional);
    }
    ++evaluation_;
  }
  const Conditioning& conditional() const { return conditional_; }
  const Conditioning& both() const { return both_; }  // [unconditional, conditional]

 private:
  void take(const Conditioning& conditional, const Conditioning& unconditional) {
    conditional_ = conditional;
    if (has_both_) both_ = concatenate(unconditional, conditional);
  }

  std::vector<ConditionsFrom> changes_;
  bool has_both_;
  Conditioning conditional_;
  Conditioning both_;
  int64_t evaluation_ = 0;
  size_t num_taken_ = 0;
};

// The latents of each row of the conditional.
Tensor rows_of(const std::vector<ComposedRow>& rows, const Tensor& x_BCHW) {
  if (rows.empty()) return x_BCHW;
  std::vector<int64_t> pictures;
  for (const ComposedRow& row : rows) {
    if (row.picture >= x_BCHW.size(0)) {
      fail("a composed row is for picture {} of {}", row.picture, x_BCHW.size(0));
    }
    pictures.push_back(row.picture);
  }
  return x_BCHW.index_select(0, at::tensor(pictures, at::kLong).to(x_BCHW.device()));
}

// u + sum weight_k (c_k - u) of each picture. Row by row: the same sum on every device.
Tensor composed(const std::vector<ComposedRow>& rows, const Tensor& u_BCHW, const Tensor& c_RCHW) {
  if (rows.empty()) return c_RCHW;
  Tensor out_BCHW = u_BCHW.clone();
  for (size_t k = 0; k < rows.size(); ++k) {
    const auto [picture, weight] = rows[k];
    out_BCHW[picture].add_(c_RCHW[static_cast<int64_t>(k)] - u_BCHW[picture], weight);
  }
  return out_BCHW;
}

}  // namespace

Conditioning concatenate(const Conditioning& first, const Conditioning& second) {
  check_alike(first, second);
  Conditioning both;
  for (const auto& [part, name] : kParts) {
    if ((first.*part).defined()) both.*part = at::cat({first.*part, second.*part});
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
  check_composition(guidance);
  // Without a condition both halves would be the same.
  const bool conditioned = !is_empty(guidance.conditional);
  const bool is_composed = conditioned && !guidance.rows.empty();
  const bool has_both =
      conditioned && (may_guide(guidance) || is_composed || !is_empty(guidance.unconditional));
  const auto conditions = std::make_shared<Conditions>(guidance, has_both);
  return Denoiser([network = std::move(network), schedule, parameterization, conditioned,
                   is_composed, has_both, conditions, guidance = std::move(guidance)](
                      const Tensor& x_BCHW, double sigma, bool wants_unconditional) -> Estimates {
    const bool inside = conditioned && in_interval(guidance, sigma);
    const double scale = inside ? scale_at(guidance, sigma) : 1;
    const bool halves = is_composed || (inside && (scale != 1 || wants_unconditional));
    if (halves && !has_both) {
      fail_usage(
          "this sampler steps along the unconditional estimate, and the guidance has no "
          "unconditional part: give it one, or take another sampler");
    }
    conditions->next();
    const Conditioning& conditioning = halves ? conditions->both() : conditions->conditional();
    Tensor scaled_BCHW = x_BCHW * std::sqrt(NoiseSchedule::alpha_cumprod(sigma));
    if (halves) scaled_BCHW = at::cat({scaled_BCHW, rows_of(guidance.rows, scaled_BCHW)});
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
    const Tensor u_BCHW = output_BCHW.slice(0, 0, x_BCHW.size(0));
    const Tensor c_BCHW =
        composed(guidance.rows, u_BCHW, output_BCHW.slice(0, x_BCHW.size(0), num_rows));
    Tensor guided_BCHW = scale == 1 ? c_BCHW : u_BCHW + scale * (c_BCHW - u_BCHW);
    if (guidance.rescale > 0) guided_BCHW = rescaled(guided_BCHW, c_BCHW, guidance.rescale);
    const Tensor clean_BCHW = clean(guided_BCHW);
    if (!inside) return {clean_BCHW, clean_BCHW};
    return {clean_BCHW, wants_unconditional ? clean(u_BCHW) : Tensor()};
  });
}

}  // namespace easel
