// ControlNets as their authors' program, A1111's webui and diffusers keep them.
#pragma once

#include <filesystem>

#include <ATen/core/TensorBody.h>

#include <easel/checkpoint/model_config.h>
#include <easel/models/control_net.h>

namespace easel {

// Reads a .pth, .ckpt or .safetensors file in either layout, with or without "control_model." in
// front of its names, or a diffusers folder; `wanted` is the type and the device. The rest of a
// file that holds a whole model is left aside. Throws Error where it is no ControlNet, or one for
// another UNet, saying for which.
ControlNet load_control_net(const std::filesystem::path& path, const ModelConfig& model,
                            const at::TensorOptions& wanted);

}  // namespace easel
