// One line of --from-file: a prompt and the options that hold for it alone.
//
//   a red fox                                    a prompt, as CompVis reads it
//   a red fox -n 2 -s 30 -S 7 --sampler euler    options behind it, as in CompVis's forks
//   {"prompt": "a red fox", "n": 2, "steps": 30} a JSON object of options
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/arguments.h"

namespace easel::cli {

// Main names of options and the values they are to have.
using Changes = std::vector<std::pair<std::string, std::string>>;

struct PromptLine {
  std::optional<std::string> prompt;  // nothing: --prompt's
  Changes changes;
  std::optional<int64_t> count;  // how many pictures of it
  std::string where;             // "prompts.txt:3", for messages
  std::string error;             // what is wrong with the line; it keeps its place among the seeds
};

// A trailing part starts at the first word that is an option: --NAME, or a one-letter name with a
// value that fits. In it -s is the steps, -S the seed, -C the scale, -A and -m the sampler, -n or
// --iterations the number of pictures; else the program's own names hold. Throws Error (Usage)
// where the line is malformed or names an option that is the whole run's.
PromptLine parse_prompt_line(std::string_view line, std::span<const Option> options);

// Adds a change of the option called `name`. Throws Error (Usage) as above.
void add_change(Changes& changes, std::span<const Option> options, std::string_view name,
                std::string_view value);

// Puts the changes into the options. Throws Error (Usage) where a value does not fit.
void apply_changes(const Changes& changes, std::span<const Option> options, Given& given);

}  // namespace easel::cli
