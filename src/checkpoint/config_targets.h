// The `target:` names of CompVis's configs, in one table.
#pragma once

#include <initializer_list>
#include <string_view>

#include "config_map.h"

namespace easel {

enum class Target {
  LatentDiffusion,
  UNet,
  AutoencoderKL,
  ClipText,
  OpenClipText,
  NoiseAugmentation,
};

// Reads the map's `target` and checks that it names a `wanted`. Anything else is an Error (Usage)
// that says what the target is, where the table knows it.
void require_target(ConfigMap& config, Target wanted);
// Likewise for any of several; returns which it is.
Target require_target(ConfigMap& config, std::initializer_list<Target> wanted);

}  // namespace easel
