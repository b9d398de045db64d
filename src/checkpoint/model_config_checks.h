// What must hold between the parts of a model, whatever its config was read from.
#pragma once

#include <string>

#include <easel/checkpoint/model_config.h>

namespace easel {

// Configs have a few kilobytes; the parsers are quadratic in the worst case.
inline constexpr size_t kMaxConfigBytes = 1 << 20;

// Throws Error (Usage) where the parts do not fit together. `name` stands in the message.
void check_model_config(const ModelConfig& config, const std::string& name);

}  // namespace easel
