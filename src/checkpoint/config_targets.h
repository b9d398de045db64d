// The `target:` names of CompVis's configs, in one table.
#pragma once

#include <string_view>

#include "config_map.h"

namespace easel {

enum class Target { LatentDiffusion, UNet, AutoencoderKL, ClipText };

// Reads the map's `target` and checks that it names a `wanted`. Anything else is an Error (Usage)
// that says what the target is, where the table knows it.
void require_target(ConfigMap& config, Target wanted);

}  // namespace easel
