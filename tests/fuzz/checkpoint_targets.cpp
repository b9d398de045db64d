// Models' configs.
#include <array>
#include <string>

#include <easel/checkpoint/model_config.h>

#include "tests/fuzz/targets.h"

namespace easel::fuzz {
namespace {

void config(std::string_view bytes) { parse_model_config(std::string(bytes), "config.yaml"); }

constexpr std::array<Target, 1> kTargets = {{{"config", config}}};

}  // namespace

std::span<const Target> targets() { return kTargets; }

}  // namespace easel::fuzz
