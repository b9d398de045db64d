// Sheets: pictures that differ in one or two things, with all else the same.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/prompt_line.h"

namespace easel::cli {

struct Sweep {
  std::vector<PromptLine> cells;  // row by row
  std::vector<std::string> columns;
  std::vector<std::string> rows;
};

// "a house|in snow|at night": the first part with every choice of the others, joined by ", ", in
// A1111's order. Throws Error (Usage) where there are more than 10 others.
Sweep prompt_matrix(const std::string& text);

// "x:NAME=A,B" and "y:NAME=C,D", either may be missing: options of the program, or
// "x:prompt:OLD=NEW,NEWER", which replaces OLD in the prompt. A value in double quotes may hold
// commas. Throws Error (Usage).
Sweep xy_sweep(std::span<const std::string> axes, const std::string& prompt,
               std::span<const Option> options);

// Gives every cell that has none this seed, so that cells differ only in what they are to show.
void set_seed(Sweep& sweep, int64_t seed);

}  // namespace easel::cli
