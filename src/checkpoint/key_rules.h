// What the tables of names are made of, for networks beside a model's three.
#pragma once

#include <easel/checkpoint/weights.h>

#include "weight_report.h"

namespace easel {

// Puts CompVis's name, without a prefix, beside rule.native, "unet." and a parameter of the UNet.
void rename_unet(KeyRule& rule, const UNetConfig& config, const UNetPlan& plan);

// The file's tensor as the parameter that the rule describes; nullopt after an entry in the report.
std::optional<Tensor> parameter_of(const KeyRule& rule, const Tensor& tensor, WeightReport& report);

}  // namespace easel
