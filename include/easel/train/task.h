// What is trained: the networks' parameters, and the loss of a batch. The trainer (trainer.h) knows
// no network; a task knows no files, optimizers or steps but the number of the one it is asked for.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/io/image.h>
#include <easel/train/adamw.h>
#include <easel/train/batch.h>
#include <easel/train/ema.h>

namespace easel {

// Scalars without gradient, by the names that CompVis's code logs ("train/" and "val/" are the
// trainer's to add).
using Metrics = std::map<std::string, Tensor>;

struct TrainingLoss {
  Tensor total;  // the scalar whose gradient is taken; undefined: nothing to learn in this step
  Metrics metrics;
};

// Parameters that one optimizer learns. Where a task has several groups, each step updates them in
// turn on the same batches, the others held fixed (CompVis's optimizer_idx).
struct ParameterGroup {
  std::string name;
  Parameters parameters;
  AdamWOptions optimizer;
};

struct TrainingTask {
  std::vector<ParameterGroup> groups;
  Parameters averaged;  // of which an exponential moving average is kept, if any is
  Parameters buffers;   // state that is saved with the parameters but not learnt

  // The loss of group `group` in step `step` (from 0).
  std::function<TrainingLoss(const Batch& batch, size_t group, int64_t step)> loss;
  // Called behind every optimizer step, to bring parameters back into their bounds; may be empty.
  std::function<void()> after_step;
  // The metrics of a batch never trained on, without gradient.
  std::function<Metrics(const Batch& batch, int64_t step)> validate;
  // Pictures that show how far it is, from a batch never trained on; may be empty.
  std::function<std::vector<Image>(const Batch& batch)> draw;
  // The trained model under the names and shapes that other programs read. With `averages` (of
  // the parameters in `averaged`) a layout that has a place for them holds them too: CompVis's
  // model_ema.*.
  std::function<std::map<std::string, Tensor>(const Ema* averages)> weights;
  // Files that belong beside the weights for them to load, their text by their name; a name that
  // begins with a dot (".yaml") is an ending of the weights' own.
  std::map<std::string, std::string> companions;
  // Of the saved files, beside what the format asks for.
  std::map<std::string, std::string> metadata;
  bool nest_state_dict = true;  // a .ckpt has the tensors in "state_dict", as whole models do
  bool needs_pictures = true;   // else the loader may leave batches' pictures out
};

}  // namespace easel
