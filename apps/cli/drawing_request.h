// From a program's options to the run that they ask for.
#pragma once

#include <string>
#include <vector>

#include <easel/pipeline/run.h>

#include "cli/drawing_options.h"
#include "cli/prompt_file.h"

namespace easel::cli {

// Without the size, which is the program's to choose.
PictureSettings picture_settings(const DrawingOptions& options);

// The prompts of one iteration, and what is wrong with the others.
PromptFile read_prompts(const DrawingOptions& options);

// n_iter times the prompts in batches of n_samples. Throws Error (Usage).
RunRequest make_request(const DrawingOptions& options, PictureSettings settings,
                        const std::vector<std::string>& prompts);

}  // namespace easel::cli
