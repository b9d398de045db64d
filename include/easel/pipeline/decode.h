// From latents to pictures and back.
#pragma once

#include <vector>

#include <easel/base/progress.h>
#include <easel/base/tensor.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/io/image.h>
#include <easel/pipeline/settings.h>

namespace easel {

// Decodes scaled latents [B, C, h, w] picture by picture, which bounds the memory. Where half
// precision overflows, that picture is decoded again in float32 and the log says so, as it does
// where memory is short.
std::vector<Image> decode_latents(const StableDiffusion& model, const Tensor& latents_BCHW,
                                  PixelRounding rounding, const Log& log = {},
                                  VaeTiling tiling = VaeTiling::Auto);

// Decodes scaled latents with TAESD: quickly, and near to what the autoencoder gives.
std::vector<Image> decode_tiny(const TinyDecoder& decoder, const Tensor& latents_BCHW,
                               PixelRounding rounding);

// The unscaled posterior of pictures [B, 3, H, W] in [-1, 1], float32 on the model's device. Where
// half precision overflows, they are encoded again in float32 and the log says so, as it does where
// memory is short.
Posterior encode_pictures(const StableDiffusion& model, const Tensor& x_BCHW, const Log& log = {},
                          VaeTiling tiling = VaeTiling::Auto);

// An RGB picture as values in [-1, 1], [1, 3, H, W], float32 on the CPU.
Tensor from_image(const Image& image);

// A picture of values about [-1, 1], [3, H, W]: clamp((x + 1) / 2, 0, 1) * 255 as bytes.
Image to_image(const Tensor& x_CHW, PixelRounding rounding);

}  // namespace easel
