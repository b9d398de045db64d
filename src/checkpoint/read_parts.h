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

}  // namespace easel
