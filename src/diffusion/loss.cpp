#include "easel/diffusion/loss.h"

#include <cmath>

#include <ATen/ATen.h>

#include <easel/base/error.h>

#include "timesteps.h"

namespace easel {
namespace {

// The mean difference of each example, [B].
Tensor mean_difference(const std::string& loss_type, const Tensor& output, const Tensor& target) {
  const Tensor difference = target.to(at::promote_types(target.scalar_type(), at::kFloat)) - output;
  return (loss_type == "l1" ? difference.abs() : difference.square()).flatten(1).mean(1);
}

// Min-SNR weights for each timestep, [timesteps] float64.
Tensor snr_weights(const DiffusionProcess& process, double gamma) {
  const Tensor snr = process.alphas_cumprod / (1 - process.alphas_cumprod);
  const Tensor clipped = snr.clamp_max(gamma);
  switch (process.parameterization) {
    case Parameterization::Eps:
      return clipped / snr;
    case Parameterization::V:
      return clipped / (snr + 1);
    case Parameterization::X0:
      return clipped;
  }
  fail("parameterization {} is none of eps, v, x0", static_cast<int>(process.parameterization));
}

void check_logvar(const DiffusionProcess& process, const DiffusionLossOptions& options,
                  const Tensor& logvar_T) {
  if (options.learn_logvar != logvar_T.defined()) {
    fail(
        "diffusion loss: learn_logvar is {}, but log-variances were {}; give them if and only if "
        "they are learnt",
        options.learn_logvar, logvar_T.defined() ? "given" : "not given");
  }
  if (logvar_T.defined() && (logvar_T.dim() != 1 || logvar_T.size(0) != process.timesteps() ||
                             !at::isFloatingType(logvar_T.scalar_type()))) {
    fail(
        "diffusion loss: the log-variances are {} {}; expected floating-point [{}], one a timestep",
        dtype_name(logvar_T.scalar_type()), shape_text(logvar_T.sizes()), process.timesteps());
  }
}

}  // namespace

void check(const DiffusionLossOptions& options) {
  if (options.loss_type != "l1" && options.loss_type != "l2") {
    static constexpr std::array<std::string_view, 2> kNames = {"l1", "l2"};
    throw Error(unknown_name("loss_type", options.loss_type, kNames), ErrorKind::Usage);
  }
  const auto check_weight = [](std::string_view name, double value) {
    if (!(value >= 0 && std::isfinite(value))) {
      fail_usage("{} is {}; it must be a number from 0", name, value);
    }
  };
  check_weight("l_simple_weight", options.l_simple_weight);
  check_weight("original_elbo_weight", options.original_elbo_weight);
  check_weight("snr_gamma", options.snr_gamma);
  if (!std::isfinite(options.logvar_init)) {
    fail_usage("logvar_init is {}; it must be a finite number", options.logvar_init);
  }
}

Tensor initial_logvar(const DiffusionProcess& process, const DiffusionLossOptions& options) {
  return at::full({process.timesteps()}, options.logvar_init, at::kFloat);
}

DiffusionLoss p_losses(const DiffusionProcess& process, const Network& network,
                       const Tensor& x_start, const Tensor& t_B, const Tensor& noise,
                       const Conditioning& conditioning, const DiffusionLossOptions& options,
                       const Tensor& logvar_T) {
  check(options);
  check_logvar(process, options, logvar_T);
  const Tensor x_noisy = q_sample(process, x_start, t_B, noise);
  const Tensor output = apply_network(network, x_noisy, t_B, conditioning);
  const Tensor simple_B =
      mean_difference(options.loss_type, output, training_target(process, x_start, noise, t_B));

  Tensor gamma_B = simple_B;
  if (options.learn_logvar) {
    const Tensor logvar_B =
        logvar_T.index_select(0, t_B.to(logvar_T.device())).to(simple_B.device());
    gamma_B = simple_B / logvar_B.exp() + logvar_B;
  } else if (options.logvar_init != 0) {
    gamma_B = simple_B / std::exp(options.logvar_init) + options.logvar_init;
  }
  const Tensor weighted_B =
      options.snr_gamma > 0
          ? at_timesteps(snr_weights(process, options.snr_gamma), t_B, simple_B) * gamma_B
          : gamma_B;
  const Tensor vlb = (at_timesteps(process.lvlb_weights, t_B, simple_B) * simple_B).mean();

  DiffusionLoss result;
  result.loss = options.l_simple_weight * weighted_B.mean() + options.original_elbo_weight * vlb;
  result.metrics["loss_simple"] = simple_B.detach().mean();
  result.metrics["loss_vlb"] = vlb.detach();
  result.metrics["loss"] = result.loss.detach();
  if (options.learn_logvar) {
    result.metrics["loss_gamma"] = gamma_B.detach().mean();
    result.metrics["logvar"] = logvar_T.detach().mean();
  }
  return result;
}

}  // namespace easel
