// Files of IP-Adapters, and of the image encoders that look at pictures for them.
#pragma once

#include <filesystem>

#include <ATen/core/TensorBody.h>

#include <easel/checkpoint/stable_diffusion.h>
#include <easel/models/clip_vision.h>
#include <easel/models/ip_adapter.h>

namespace easel {

// A .safetensors, .bin or .pth file as its authors (h94/IP-Adapter) name the tensors, of the plain
// or the Plus kind, on the model's device in its type. Throws Error where it is no such file, or
// made for another UNet.
IpAdapter load_ip_adapter(const std::filesystem::path& path, const StableDiffusion& model);

// CLIP's vision transformer with its projection, as transformers' CLIPVisionModelWithProjection.
struct ImageEncoder {
  ClipVision vision;
  nn::Linear visual_projection;

  // Pictures as ClipVision takes them, to [B, projected].
  Tensor embed(const Tensor& pictures_BCHW) const {
    return visual_projection.forward(vision.pooled(pictures_BCHW));
  }

  template <class Self, class Visit>
  static void members(Self& self, Visit&& visit) {
    ClipVision::members(self.vision, visit);
    visit("visual_projection", self.visual_projection);
  }
};

// A file, or a folder with a config.json. Sizes are read off the tensors; what they do not tell,
// the heads and the activation, off the config, or where there is none by the width, as the
// published encoders have it. `wanted` is type and device. Throws Error.
ImageEncoder load_image_encoder(const std::filesystem::path& path, const at::TensorOptions& wanted);

}  // namespace easel
