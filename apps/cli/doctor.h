// txt2img --doctor: what there is to draw with on this machine, and what to do about what is
// missing.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <easel/pipeline/machine.h>

#include "cli/drawing_options.h"

namespace easel::cli {

// The program's data, the model that would be drawn with, other models, the output folder. `data`
// is data_folder(). Nothing is made or changed.
std::vector<Finding> look_at_files(const DrawingOptions& options,
                                   const std::filesystem::path& data);

// The findings as text, what to do about each below it, and whether anything can be drawn.
std::string findings_text(std::span<const Finding> findings);

// Looks at all of it and prints it. Returns the exit code: 1 where nothing can be drawn.
int run_doctor(std::string_view program, const DrawingOptions& options);

}  // namespace easel::cli
