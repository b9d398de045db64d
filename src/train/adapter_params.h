// The params of lora_config and personalization_config.
#pragma once

#include <optional>

#include <easel/train/lora.h>
#include <easel/train/textual_inversion.h>

#include "../checkpoint/config_map.h"

namespace easel {

// Both reject, naming file, line and key, what is unknown or out of range; nullopt where `params`
// has no such section.
std::optional<LoraOptions> read_lora(ConfigMap& params);
// As the paper's code has it, {target: ...EmbeddingManager, params: {...}}, or the params alone.
std::optional<TextualInversionOptions> read_textual_inversion(ConfigMap& params);

}  // namespace easel
