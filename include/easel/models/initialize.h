// First values of the networks' parameters, in the distributions of the reference programs. Equal
// seeds give equal values; a parameter on the meta device gets memory (nn/initialize.h).
#pragma once

#include <cstdint>

#include <easel/models/autoencoder.h>
#include <easel/models/clip.h>
#include <easel/models/clip_text.h>
#include <easel/models/clip_vision.h>
#include <easel/models/unet.h>

namespace easel {

// CompVis's UNetModel: PyTorch's defaults; zero where it calls zero_module: the last convolution of
// every residual block, the last projection of every attention layer and spatial transformer, and
// conv_out. A network that was just initialised gives 0 everywhere.
void initialize(UNet& unet, uint64_t seed);

// CompVis's AutoencoderKL: PyTorch's defaults.
void initialize(Autoencoder& autoencoder, uint64_t seed);

// transformers' CLIPPreTrainedModel._init_weights with initializer_factor 1 and initializer_range
// 0.02.
void initialize(ClipText& text, uint64_t seed);
void initialize(ClipVision& vision, uint64_t seed);
void initialize(Clip& clip, uint64_t seed);

}  // namespace easel
