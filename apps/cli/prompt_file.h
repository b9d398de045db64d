// The prompts of --from-file.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/prompt_line.h"

namespace easel::cli {

// Reads one prompt a line; "-" is the standard input. A line that is wrong has an error. Throws
// Error where the file cannot be read or holds no prompt.
std::vector<PromptLine> read_prompt_file(const std::string& path, std::span<const Option> options);

// The lines of a text as Python's str.splitlines() gives them; a byte order mark in front is
// dropped.
std::vector<std::string> split_lines(std::string_view text);

}  // namespace easel::cli
