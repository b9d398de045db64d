// Whether layers behave as in training: dropout acts, and blocks that are told to (use_checkpoint)
// recompute their activations in the backward pass (nn/checkpoint.h).
//
// It is a property of the calling thread, not of the module: forward() is const, and one model may
// serve a training step on one thread and a preview on another. Threads start in inference mode.
#pragma once

#include <easel/base/tensor.h>

namespace easel::nn {

// Training mode (or, with `false`, inference mode) on this thread while the object lives. They
// nest: the mode before comes back.
//
//   const nn::TrainingMode training;
//   loss(unet.forward(x, t, context)).backward();
class TrainingMode {
 public:
  explicit TrainingMode(bool enabled = true);
  ~TrainingMode();
  TrainingMode(const TrainingMode&) = delete;
  TrainingMode& operator=(const TrainingMode&) = delete;

  static bool is_enabled();

 private:
  bool before_;
};

// In training mode every value is zero with this probability, and the others are scaled by
// 1 / (1 - probability); otherwise x itself. Draws from LibTorch's default generator of x's device.
Tensor dropout(const Tensor& x, double probability);

}  // namespace easel::nn
