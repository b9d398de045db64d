// The training loop: batches, losses, gradients, optimizer steps, averages, checkpoints, metrics.
//
// A run's folder holds what a person looks for:
//
//   configs/project.yaml              the merged config, which --resume reads again
//   checkpoints/last.safetensors      the model (other endings: step-00001000, best)
//   checkpoints/last.state            all that resuming needs, safetensors too
//   metrics.jsonl, events.out.tfevents.*, images/
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <easel/base/progress.h>
#include <easel/io/image.h>
#include <easel/train/communicator.h>
#include <easel/train/config.h>
#include <easel/train/dataset.h>
#include <easel/train/run.h>
#include <easel/train/task.h>

namespace easel {

struct TrainerOptions {
  TrainerConfig config;
  double learning_rate = 1e-4;  // before the schedule
  std::optional<LrScheduleOptions> lr_schedule;
  bool use_ema = false;
  std::string monitor;
  int64_t batch_size = 1;  // of this process
  int64_t num_workers = 0;
  uint64_t seed = 23;
  at::Device device = at::kCPU;
  std::filesystem::path folder;            // made where it is missing
  bool resume = false;                     // from checkpoints/last.state in it
  std::string extension = ".safetensors";  // of the saved models; or ".ckpt"
  std::string config_text;                 // kept as configs/project.yaml; empty: none is
  std::vector<int64_t> bad_examples;       // known beforehand
  std::function<void(const TrainProgress&)> on_step;
  std::function<bool()> stop;  // asked after every step; true saves and ends the run
  Log log;
};

// Runs the task to its last step, or until stopped. A resumed run goes on bit for bit as an
// unbroken one on a CPU. Throws Error where the loss is no number any more (the checkpoints are as
// they were), and on what datasets and files throw. Every process of `communicator` calls it; the
// first alone validates, draws and writes, and train/ metrics are those of its own batches.
TrainOutcome train(TrainingTask& task, const Dataset& data,
                   const std::optional<Dataset>& validation, Communicator& communicator,
                   const TrainerOptions& options);

}  // namespace easel
