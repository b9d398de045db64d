// The parts of the UNet that a ControlNet copies.
#pragma once

#include <easel/models/unet.h>

namespace easel::models {

inline constexpr double kUNetEps = 1e-5;

inline int64_t time_channels(const UNetConfig& config) { return config.model_channels * 4; }

UNetDownBlock down_block(const UNetConfig& config, const UNetPlan::Block& plan);
UNetUpBlock up_block(const UNetConfig& config, const UNetPlan::Block& plan);
UNetMidBlock mid_block(const UNetConfig& config, const UNetPlan& plan);

}  // namespace easel::models
