// All that a run needs to go on where it stopped, in one safetensors file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <easel/train/adamw.h>
#include <easel/train/ema.h>
#include <easel/train/task.h>

namespace easel {

// Sums of metrics over batches of different sizes.
struct MetricSum {
  double sum = 0;
  double weight = 0;
};
using MetricSums = std::map<std::string, MetricSum>;

// What is not in a tensor.
struct TrainingProgress {
  int64_t step = 0;           // optimizer steps done
  double best = 0;            // of the monitored metric; NaN: none yet
  double loss_scale = 65536;  // float16's
  int64_t good_steps = 0;     // since the scale last changed
  MetricSums sums;            // of the steps since the last logged one
};

struct TrainingState {
  TrainingTask& task;
  std::vector<AdamW>& optimizers;  // one for each of the task's groups
  Ema* averages;                   // may be null
};

// Parameters, buffers, moments and averages. Atomic: the file is the old one or the new one whole.
void save_state(const std::filesystem::path& path, const TrainingState& state,
                const TrainingProgress& progress);
// Throws Error where the file is another task's.
TrainingProgress load_state(const std::filesystem::path& path, const TrainingState& state);

}  // namespace easel
