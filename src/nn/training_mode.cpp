#include "easel/nn/training_mode.h"

#include <ATen/ATen.h>

namespace easel::nn {
namespace {

thread_local bool training = false;

}  // namespace

TrainingMode::TrainingMode(bool enabled) : before_(training) { training = enabled; }

TrainingMode::~TrainingMode() { training = before_; }

bool TrainingMode::is_enabled() { return training; }

Tensor dropout(const Tensor& x, double probability) {
  return probability > 0 && training ? at::dropout(x, probability, /*train=*/true) : x;
}

}  // namespace easel::nn
