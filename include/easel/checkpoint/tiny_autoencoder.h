// Files of TAESD.
#pragma once

#include <filesystem>

#include <ATen/core/TensorBody.h>

#include <easel/checkpoint/model_files.h>
#include <easel/models/tiny_autoencoder.h>

namespace easel {

// The tensors are diffusers' AutoencoderTiny's, whole or a half of them, or those of one of its
// author's files (taesd_encoder, taesd_decoder). `wanted` is type and device. Throws Error where
// they are not whole, or of another number of latent channels; `name` leads the message.
TinyAutoencoder load_tiny_autoencoder(Tensors tensors, int64_t latent_channels,
                                      const at::TensorOptions& wanted, const std::string& name);

}  // namespace easel
