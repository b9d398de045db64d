// From a program's options to the run that they ask for.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <easel/pipeline/run.h>

#include "cli/drawing_options.h"
#include "cli/prompt_file.h"
#include "cli/sweep.h"

namespace easel::cli {

// Without the size, which is the program's to choose.
PictureSettings picture_settings(const DrawingOptions& options);

// What one round draws, a line a picture; `list` is all the program's options.
std::vector<PromptLine> read_lines(const DrawingOptions& options, std::span<const Option> list);

// The sheet that is asked for, if one is. Throws Error (Usage).
std::optional<Sweep> read_sweep(const DrawingOptions& options, std::span<const Option> list,
                                const Given& given);

// The run of one job's batches.
RunRequest make_request(const DrawingOptions& options, PictureSettings settings,
                        std::vector<std::vector<std::string>> batches);

}  // namespace easel::cli
