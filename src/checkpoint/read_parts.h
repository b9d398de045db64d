// The parameters of the networks that are configured alike for drawing and for training.
#pragma once

#include <easel/models/autoencoder.h>
#include <easel/models/clip_text.h>

#include "config_map.h"

namespace easel {

// CompVis's AutoencoderKL: embed_dim and ddconfig. Reads what it knows of `params` and leaves the
// rest to the caller, who calls finish().
AutoencoderConfig read_autoencoder_params(ConfigMap& params);

// CompVis's FrozenCLIPEmbedder, and ClipTextConfig's fields by name; likewise.
ClipTextConfig read_text_encoder_params(ConfigMap& params);

// OpenCLIP's ViT-H-14 text encoder, all 24 layers of it.
ClipTextConfig open_clip_vit_h();

// Stability's FrozenOpenCLIPEmbedder; likewise. num_hidden_layers is that of the transformer; the
// config has one less where `layer` is "penultimate".
ClipTextConfig read_open_clip_params(ConfigMap& params);

}  // namespace easel
