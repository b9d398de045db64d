// Defaults that a model brings with it: the size, steps and so on that it draws best at.
#pragma once

#include <filesystem>
#include <span>

#include <easel/pipeline/open_model.h>

#include "cli/arguments.h"

namespace easel::cli {

// Sets those of the options that the command line did not give and the model chooses: first by the
// `sampling:` section of its config, which is `config`, or NAME.yaml beside the file NAME.ckpt;
// then by `txt2img.json` in the model's folder, or NAME.txt2img.json beside the file. Either maps
// option names to values, such as {"H": 128, "W": 128, "steps": 20, "sampler": "DPM++ 2M Karras"}.
// Throws Error on a malformed file and on an option that is not a model's to choose.
void apply_model_defaults(const std::filesystem::path& model, const std::filesystem::path& config,
                          std::span<const Option> options, const Given& given);

// Sets what the kind of model decides, of the options that are there and not given: H and W to the
// side that it was trained at, and lcm in 4 steps for a model that was distilled to it.
void apply_model_use(const ModelUse& use, std::span<const Option> options, const Given& given);

}  // namespace easel::cli
