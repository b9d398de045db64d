// Parameters that are about to be trained.
#pragma once

#include <string>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/nn/module.h>
#include <easel/train/adamw.h>

namespace easel {

// The module's parameters under `prefix` + name: gives each the device and, where it is a
// convolution's weight, the memory layout, and asks for gradients if `learnt`.
template <class Module>
Parameters prepare_parameters(Module& module, const std::string& prefix, at::Device device,
                              bool channels_last, bool learnt) {
  const at::NoGradGuard no_grad;
  Parameters parameters = nn::named_parameters(module);
  for (auto& parameter : parameters) {
    parameter.name.insert(0, prefix);
    Tensor value = parameter.tensor->detach().to(device);
    if (channels_last && value.dim() == 4) value = value.contiguous(at::MemoryFormat::ChannelsLast);
    // A leaf of its own memory: the optimizer writes to it, and a loaded file is read-only.
    *parameter.tensor = value.clone().requires_grad_(learnt);
  }
  return parameters;
}

inline Parameters join(Parameters first, const Parameters& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace easel
