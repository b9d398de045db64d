// The prompts of --from-file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace easel::cli {

struct PromptFile {
  std::vector<std::string> prompts;
  std::vector<std::string> errors;  // "FILE:3: ...", one for each line that is left out
};

// Reads one prompt a line; "-" is the standard input. Throws Error where it cannot be read or holds
// no prompt.
PromptFile read_prompt_file(const std::string& path);

// The lines of a text as Python's str.splitlines() gives them; a byte order mark in front is
// dropped.
std::vector<std::string> split_lines(std::string_view text);

// The prompts in batches of at most `size`.
std::vector<std::vector<std::string>> in_batches(const std::vector<std::string>& prompts,
                                                 size_t size);

}  // namespace easel::cli
