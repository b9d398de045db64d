// Tensors, and the legend of the shape suffixes that variable names carry.
//
//   B batch      C channels      H height      W width       (pixels or latents: layout [B, C, H,
//   W]) T tokens     D features      N heads       E features of one head
//
// A count is num_x. Tensors are values that share storage (at::Tensor's semantics); a loaded
// model's tensors are never written to, so a model is safe to share between threads.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace easel {

using at::Tensor;

// "float32", "float16", "bfloat16", "int64" ...: PyTorch's names.
std::string dtype_name(at::ScalarType dtype);

// The inverse of dtype_name; an unknown name is nullopt.
std::optional<at::ScalarType> dtype_from_name(std::string_view name);

// "[1, 4, 64, 64]".
std::string shape_text(at::IntArrayRef shape);

}  // namespace easel
