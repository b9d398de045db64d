// Files of upscaler models, in the layouts that are about: ESRGAN's first (model.N), BSRGAN's
// (RRDB_trunk.N), Real-ESRGAN's (body.N) and its compact networks; what the network is made of is
// read off the tensors.
#pragma once

#include <filesystem>
#include <string>
#include <variant>

#include <ATen/core/TensorBody.h>

#include <easel/checkpoint/weights.h>
#include <easel/models/upscalers.h>

namespace easel {

// Immutable once loaded: may be shared between threads.
struct Upscaler {
  std::variant<RrdbNet, CompactNet> network;
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;
  std::string name;  // file name without its ending

  int64_t scale() const;
  // Pictures [B, 3, H, W] in [0, 1], any device and type; the result has the network's.
  Tensor forward(const Tensor& x_BCHW) const;
};

// Reads .pth, .pt, .ckpt and .safetensors. Throws one Error that lists every missing, unexpected
// and misshapen tensor, or says that the file is no such model.
Upscaler load_upscaler(const std::filesystem::path& path, at::Device device = at::kCPU,
                       at::ScalarType dtype = at::kFloat);

}  // namespace easel
