// How a model is best sampled, by its own config.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace easel {

struct SamplingDefault {
  std::string option;  // a program's option name
  std::string value;
};

// The `sampling:` section of a config in the CompVis schema (an extension): option names with their
// values, in the order of the file, such as
//   sampling: {sampler: dpmpp_2m, schedule: karras, steps: 20, scale: 5}
// Empty where there is none. The names are the caller's to check. Throws Error (Usage) naming file
// and line where the section is no mapping of names to plain values.
std::vector<SamplingDefault> read_sampling_section(const std::filesystem::path& yaml);

}  // namespace easel
