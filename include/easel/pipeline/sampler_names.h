// The names in the tables of samplers and schedules, as the command line takes them. No LibTorch in
// this header.
#pragma once

#include <string_view>
#include <vector>

namespace easel {

std::vector<std::string_view> sampler_names();
std::vector<std::string_view> schedule_names();

}  // namespace easel
