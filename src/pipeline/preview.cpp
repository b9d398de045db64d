#include "easel/pipeline/preview.h"

#include <array>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/diffusion/noise.h>
#include <easel/nn/stored_weights.h>
#include <easel/pipeline/decode.h>

namespace easel {
namespace {

constexpr int64_t kSide = 24;   // latents, of the fit
constexpr int64_t kSmooth = 6;  // of them as many are drawn, and the others lie between

Tensor with_constant(const Tensor& rows_NC) {
  return at::cat({rows_NC, at::ones({rows_NC.size(0), 1}, rows_NC.options())}, 1);
}

Tensor as_rows(const Tensor& x_BCHW) {
  return x_BCHW.permute({0, 2, 3, 1}).reshape({-1, x_BCHW.size(1)});
}

}  // namespace

LatentPreview::LatentPreview(const StableDiffusion& model)
    : downsampling_(model.config.autoencoder.downsampling()) {
  const c10::InferenceMode inference;
  NormalStream stream(Rng::Cpu, /*seed=*/0);
  const Tensor coarse = stream.draw({1, model.config.autoencoder.embed_dim, kSmooth, kSmooth});
  const Tensor smooth =
      at::upsample_bilinear2d(coarse, {kSide, kSide}, /*align_corners=*/true).mul(1.5);
  const Tensor z = smooth.div(model.config.scale_factor).to(model.device, model.dtype);
  const nn::StoredWeights weights(model.weight_place());
  const Tensor decoded = model.autoencoder.decode(z).to(at::kFloat).cpu().clamp(-1, 1);
  const Tensor targets = as_rows(at::avg_pool2d(decoded, {downsampling_, downsampling_}));
  const Tensor inputs = with_constant(as_rows(smooth)).to(at::kDouble);
  // Ridge: a channel that the decoder passes over must not blow up.
  const Tensor square = inputs.t().mm(inputs) + 1e-3 * at::eye(inputs.size(1), at::kDouble);
  weights_CR_ = std::get<0>(at::linalg_solve_ex(square, inputs.t().mm(targets.to(at::kDouble))))
                    .to(at::kFloat);
}

std::vector<Image> LatentPreview::pictures(const Tensor& latents_BCHW) const {
  const c10::InferenceMode inference;
  const Tensor latents = latents_BCHW.to(at::kFloat).cpu();
  const std::array<int64_t, 2> size = {latents.size(2) * downsampling_,
                                       latents.size(3) * downsampling_};
  std::vector<Image> images;
  for (int64_t k = 0; k < latents.size(0); ++k) {
    const Tensor rows = with_constant(as_rows(latents.narrow(0, k, 1))).mm(weights_CR_);
    const Tensor small =
        rows.view({1, latents.size(2), latents.size(3), 3}).permute({0, 3, 1, 2}).contiguous();
    images.push_back(to_image(at::upsample_bilinear2d(small, size, /*align_corners=*/false)[0],
                              PixelRounding::Nearest));
  }
  return images;
}

}  // namespace easel
