// From txt2img's options to the run that they ask for.
#pragma once

#include <string>
#include <vector>

#include <easel/pipeline/run.h>

#include "cli/prompt_file.h"
#include "cli/txt2img_options.h"

namespace easel::cli {

PictureSettings picture_settings(const Txt2ImgOptions& options);

// The prompts of one iteration, and what is wrong with the others.
PromptFile read_prompts(const Txt2ImgOptions& options);

// n_iter times the prompts in batches of n_samples. Throws Error (Usage).
RunRequest make_request(const Txt2ImgOptions& options, const std::vector<std::string>& prompts);

}  // namespace easel::cli
