// A run as a list of jobs, each with its own settings.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/prompt_line.h"

namespace easel::cli {

// Pictures that have their settings in common.
struct Job {
  Changes changes;                                // in the options of the command line
  std::vector<std::vector<std::string>> batches;  // prompts, one a picture
  bool own_seed = false;  // its pictures count from its own seed, others from where the run is
  std::string where{};    // where it was asked for, for messages
  std::string error{};    // not empty: it cannot be drawn

  int64_t num_pictures() const;
};

// The lines `n_iter` times over in batches of `n_samples`, as CompVis makes them: lines that follow
// one another with the same options share batches, a batch does not reach into the next round. A
// line with a count of its own is drawn that often in the first round; so is one with its own seed,
// whose pictures have that seed and the next ones. `prompt` is for lines without one. Throws Error
// (Usage) where that are more than a million pictures.
std::vector<Job> make_jobs(std::span<const PromptLine> lines, const std::string& prompt,
                           int64_t n_samples, int64_t n_iter);

}  // namespace easel::cli
