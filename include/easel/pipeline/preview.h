// Quick looks at latents: what a picture is going to be, without the autoencoder's decoder.
#pragma once

#include <vector>

#include <easel/base/tensor.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/io/image.h>

namespace easel {

// A linear map from a latent's channels to red, green and blue, fitted by least squares to what the
// model's own decoder makes of smooth noise: so it knows any autoencoder, and costs one decode of
// 24 x 24 latents.
class LatentPreview {
 public:
  explicit LatentPreview(const StableDiffusion& model);

  // Pictures of the size that latents_BCHW [B, C, h, w], as samplers have them, decode to.
  std::vector<Image> pictures(const Tensor& latents_BCHW) const;

 private:
  Tensor weights_CR_;  // [C + 1, 3]: the last row is the constant
  int64_t downsampling_;
};

}  // namespace easel
