// Defaults that a model brings with it: the size, steps and so on that it draws best at.
#pragma once

#include <filesystem>
#include <span>

#include "cli/arguments.h"

namespace easel::cli {

// Reads `txt2img.json` in a model's folder, or NAME.txt2img.json beside the file NAME.ckpt, where
// there is one: a JSON object of option names and values, such as {"H": 128, "W": 128, "steps":
// 20}. Sets those of the options that the command line did not give. Throws Error on a malformed
// file and on an option that is not a model's to choose.
void apply_model_defaults(const std::filesystem::path& model, std::span<const Option> options,
                          const Given& given);

}  // namespace easel::cli
