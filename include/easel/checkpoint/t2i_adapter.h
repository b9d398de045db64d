// Files of T2I-Adapters.
#pragma once

#include <filesystem>
#include <optional>

#include <ATen/core/TensorBody.h>

#include <easel/checkpoint/model_config.h>
#include <easel/models/t2i_adapter.h>

namespace easel {

// Reads a file in the authors' layout (TencentARC's .pth) or diffusers', or a diffusers folder, of
// the full or the light kind; sizes are read off the tensors. `wanted` is type and device. nullopt
// where the file holds something else. Throws Error where it is not whole, or is made for a UNet of
// other widths.
std::optional<T2IAdapter> read_t2i_adapter(const std::filesystem::path& path,
                                           const ModelConfig& model,
                                           const at::TensorOptions& wanted);

}  // namespace easel
