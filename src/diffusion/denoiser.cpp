#include "easel/diffusion/denoiser.h"

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

Denoiser make_denoiser(Network network, const NoiseSchedule& schedule,
                       Parameterization parameterization, Guidance guidance) {
  if (!std::isfinite(guidance.scale)) {
    fail_usage("the guidance scale is {}; it must be a finite number", guidance.scale);
  }
  // Without a condition both halves would be the same.
  const bool guided = guidance.scale != 1 && !is_empty(guidance.conditional);
  const Conditioning conditioning =
      guided ? concatenate(guidance.unconditional, guidance.conditional) : guidance.conditional;
  return [network = std::move(network), schedule, parameterization, guided, conditioning,
          scale = guidance.scale](const Tensor& x_BCHW, double sigma) {
    Tensor scaled_BCHW = x_BCHW * std::sqrt(NoiseSchedule::alpha_cumprod(sigma));
    if (guided) scaled_BCHW = at::cat({scaled_BCHW, scaled_BCHW});
    const int64_t num_rows = scaled_BCHW.size(0);
    check_batch(conditioning, num_rows);
    const Tensor t_B = at::full({num_rows}, schedule.t(sigma), scaled_BCHW.options());
    Tensor output_BCHW = network(scaled_BCHW, t_B, conditioning).to(at::kFloat);
    TORCH_CHECK(output_BCHW.sizes() == scaled_BCHW.sizes(), "the network returned ",
                output_BCHW.sizes(), " for latents ", scaled_BCHW.sizes());
    if (guided) {
      const auto halves = output_BCHW.chunk(2);
      output_BCHW = halves[0] + scale * (halves[1] - halves[0]);
    }
    return estimate(parameterization, x_BCHW, output_BCHW, sigma);
  };
}

}  // namespace easel
