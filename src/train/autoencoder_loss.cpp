#include "easel/train/autoencoder_loss.h"

#include <array>
#include <cmath>
#include <string_view>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr double kMaxAdaptiveWeight = 1e4;

Tensor at_least_float(const Tensor& x) {
  return x.to(at::promote_types(x.scalar_type(), at::kFloat));
}

void check_batch(const ReconstructedBatch& batch) {
  const Tensor& inputs = batch.inputs_BCHW;
  const Tensor& reconstructions = batch.reconstructions_BCHW;
  if (inputs.dim() != 4 || inputs.size(0) < 1 || inputs.sizes() != reconstructions.sizes()) {
    fail(
        "autoencoder loss: the pictures have shape {} and their reconstructions {}; expected "
        "[B, C, H, W] of both",
        shape_text(inputs.sizes()), shape_text(reconstructions.sizes()));
  }
}

// What the discriminator is shown: the pictures, and the condition stacked on their channels.
Tensor shown(const AutoencoderLossOptions& options, const Tensor& x_BCHW,
             const Tensor& condition_BCHW) {
  if (options.disc_conditional != condition_BCHW.defined()) {
    fail(
        "autoencoder loss: disc_conditional is {}, but a condition was {}; give one if and only if "
        "it is set",
        options.disc_conditional, condition_BCHW.defined() ? "given" : "not given");
  }
  if (!condition_BCHW.defined()) return x_BCHW;
  return at::cat({x_BCHW, condition_BCHW.to(x_BCHW.options())}, 1);
}

Tensor gradient_norm(const Tensor& loss, const Tensor& last_layer) {
  return torch::autograd::grad({loss}, {last_layer}, /*grad_outputs=*/{}, /*retain_graph=*/true)[0]
      .norm();
}

Tensor adaptive_weight(const AutoencoderLossOptions& options, const Tensor& nll_loss,
                       const Tensor& g_loss, const Tensor& last_layer) {
  if (!at::GradMode::is_enabled()) return at::zeros({}, nll_loss.options());
  if (!last_layer.defined() || !last_layer.requires_grad() || !g_loss.requires_grad()) {
    fail(
        "autoencoder loss: the adaptive weight needs the gradient at the decoder's last layer, "
        "which is {}; train the decoder, or switch gradients off to validate",
        last_layer.defined() ? "not learnt from the reconstructions" : "not given");
  }
  const Tensor weight =
      gradient_norm(nll_loss, last_layer) / (gradient_norm(g_loss, last_layer) + 1e-4);
  return weight.clamp(0, kMaxAdaptiveWeight).detach() * options.disc_weight;
}

Tensor logit_loss(const std::string& disc_loss, const Tensor& real, const Tensor& fake) {
  if (disc_loss == "hinge") return 0.5 * ((1 - real).relu().mean() + (1 + fake).relu().mean());
  return 0.5 * (at::softplus(-real).mean() + at::softplus(fake).mean());
}

}  // namespace

void check(const AutoencoderLossOptions& options) {
  if (options.perceptual_weight != 0) {
    fail_usage(
        "perceptual_weight is {}; the perceptual loss (LPIPS) needs VGG weights that Easel "
        "does not have: set perceptual_weight to 0",
        options.perceptual_weight);
  }
  if (options.pixelloss_weight != 1) {
    fail_usage(
        "pixelloss_weight is {}; CompVis's loss does not use it, so it must be 1 or left out",
        options.pixelloss_weight);
  }
  const auto check_weight = [](std::string_view name, double value) {
    if (!(value >= 0 && std::isfinite(value))) {
      fail_usage("{} is {}; it must be a number from 0", name, value);
    }
  };
  check_weight("kl_weight", options.kl_weight);
  check_weight("disc_factor", options.disc_factor);
  check_weight("disc_weight", options.disc_weight);
  if (!std::isfinite(options.logvar_init)) {
    fail_usage("logvar_init is {}; it must be a finite number", options.logvar_init);
  }
  if (options.disc_start < 0) {
    fail_usage("disc_start is {}; it is a step and must be 0 or more", options.disc_start);
  }
  if (options.disc_loss != "hinge" && options.disc_loss != "vanilla") {
    static constexpr std::array<std::string_view, 2> kNames = {"hinge", "vanilla"};
    throw Error(unknown_name("disc_loss", options.disc_loss, kNames), ErrorKind::Usage);
  }
  check(discriminator_config(options));
}

PatchDiscriminatorConfig discriminator_config(const AutoencoderLossOptions& options) {
  return {.input_nc = options.disc_in_channels,
          .ndf = options.disc_ndf,
          .n_layers = options.disc_num_layers,
          .use_actnorm = options.use_actnorm};
}

bool is_adversarial(const AutoencoderLossOptions& options, int64_t global_step) {
  return options.disc_factor > 0 && global_step >= options.disc_start;
}

TrainingLoss generator_loss(const AutoencoderLossOptions& options, const ReconstructedBatch& batch,
                            const Tensor& logvar, const Discriminator& discriminator,
                            const Tensor& last_layer, int64_t global_step) {
  check(options);
  check_batch(batch);
  const double num_examples = static_cast<double>(batch.inputs_BCHW.size(0));
  const Tensor rec_BCHW =
      (at_least_float(batch.inputs_BCHW) - at_least_float(batch.reconstructions_BCHW)).abs();
  const Tensor nll_BCHW = rec_BCHW / logvar.exp() + logvar;
  const Tensor nll_loss = nll_BCHW.sum() / num_examples;
  const Tensor weighted_nll_loss =
      batch.weights.defined() ? (batch.weights * nll_BCHW).sum() / num_examples : nll_loss;
  const Tensor kl_loss = batch.posterior.kl().mean();

  TrainingLoss result;
  result.total = weighted_nll_loss + options.kl_weight * kl_loss;
  Tensor d_weight = at::zeros({}, nll_loss.options().requires_grad(false));
  const bool adversarial = is_adversarial(options, global_step);
  if (adversarial) {
    const Tensor logits_fake =
        discriminator(shown(options, batch.reconstructions_BCHW, batch.condition_BCHW));
    const Tensor g_loss = -at_least_float(logits_fake).mean();
    d_weight = adaptive_weight(options, nll_loss, g_loss, last_layer);
    result.total = result.total + d_weight * options.disc_factor * g_loss;
    result.metrics["g_loss"] = g_loss.detach();
  }
  result.metrics["total_loss"] = result.total.detach();
  result.metrics["logvar"] = logvar.detach().clone();
  result.metrics["kl_loss"] = kl_loss.detach();
  result.metrics["nll_loss"] = nll_loss.detach();
  result.metrics["rec_loss"] = rec_BCHW.detach().mean();
  result.metrics["d_weight"] = d_weight;
  result.metrics["disc_factor"] =
      at::full({}, adversarial ? options.disc_factor : 0.0, d_weight.options());
  return result;
}

TrainingLoss discriminator_loss(const AutoencoderLossOptions& options,
                                const ReconstructedBatch& batch, const Discriminator& discriminator,
                                int64_t global_step) {
  check(options);
  check_batch(batch);
  if (!is_adversarial(options, global_step)) return {};
  const Tensor real = at_least_float(
      discriminator(shown(options, batch.inputs_BCHW.detach(), batch.condition_BCHW)));
  const Tensor fake = at_least_float(
      discriminator(shown(options, batch.reconstructions_BCHW.detach(), batch.condition_BCHW)));

  TrainingLoss result;
  result.total = options.disc_factor * logit_loss(options.disc_loss, real, fake);
  result.metrics["disc_loss"] = result.total.detach();
  result.metrics["logits_real"] = real.detach().mean();
  result.metrics["logits_fake"] = fake.detach().mean();
  return result;
}

}  // namespace easel
