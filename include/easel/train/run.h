// A training run from its config to its last checkpoint. No LibTorch in this header.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <easel/base/progress.h>

namespace easel {

struct TrainRequest {
  std::vector<std::filesystem::path> bases = {};  // YAML files, merged from left to right
  std::vector<std::string> overrides = {};        // "key.path=value"
  std::filesystem::path folder = {};      // the run's; made unless `resume`, and must be new
  bool resume = false;                    // goes on with the run in `folder`, whose config is
                                          // read before `bases` and `overrides`
  std::string device = "auto";            // as in pipeline/device.h
  std::filesystem::path vocabulary = {};  // CLIP's BPE file
  // This process among several (communicator.h).
  int64_t rank = 0;
  int64_t world = 1;
  int64_t local_rank = 0;  // which of the machine's GPUs "auto" and "cuda" mean
  std::string master_address = "127.0.0.1";
  int64_t master_port = 29500;
  bool store_is_served = false;
};

struct TrainProgress {
  int64_t step;   // optimizer steps done
  int64_t steps;  // of the whole run
  double loss;
  double learning_rate;
  double examples_per_second;
};

struct TrainCallbacks {
  Log log = {};
  std::function<void(const TrainProgress&)> on_step = {};
  std::function<void(int64_t done, int64_t all)> on_encoded = {};  // pictures into the latent cache
  std::function<bool()> stop = {};                                 // true: save and end
};

struct TrainOutcome {
  int64_t step = 0;
  bool stopped = false;  // before the last step
  int64_t num_bad = 0;   // pictures that could not be read
  std::filesystem::path last;
};

// Throws Error, of kind Usage where the config or the request cannot be meant.
TrainOutcome run_training(const TrainRequest& request, const TrainCallbacks& callbacks = {});

}  // namespace easel
