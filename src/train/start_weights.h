// Weights that training starts from.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <easel/base/progress.h>
#include <easel/checkpoint/weights.h>

namespace easel {

// CompVis's init_from_ckpt for one network: the file's weights of `part`, under native names
// without the part's prefix. Those whose name in the file begins with one of `ignore_keys` stay
// what `fresh` has (native names, same form). Throws Error where others are missing or misshapen.
Tensors start_weights(const std::filesystem::path& file, const ModelConfig& config, Part part,
                      const std::vector<std::string>& ignore_keys, const Tensors& fresh,
                      const Log& log);

// The module's parameters as named tensors, and back: copies, in the module's types.
template <class Module>
Tensors tensors_of(const Module& module) {
  Tensors tensors;
  for (const auto& parameter : nn::named_parameters(module)) {
    tensors.emplace(parameter.name, *parameter.tensor);
  }
  return tensors;
}
template <class Module>
void set_tensors(Module& module, const Tensors& tensors) {
  for (const auto& parameter : nn::named_parameters(module)) {
    *parameter.tensor = tensors.at(parameter.name).to(at::kFloat).clone();
  }
}

}  // namespace easel
