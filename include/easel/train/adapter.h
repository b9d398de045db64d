// A few parameters learnt in the stead of a model's own, which stay as they are: LoRA (lora.h) and
// textual inversion (textual_inversion.h).
#pragma once

#include <functional>
#include <map>
#include <string>

#include <easel/base/tensor.h>
#include <easel/train/adamw.h>
#include <easel/train/ema.h>

namespace easel {

// The functions share the model with whoever made the adapter.
struct Adapter {
  Parameters parameters;     // float32 leaves on the model's device; they live as long as `apply`
  bool adapts_text = false;  // the text encoder is changed by them
  // Gives the model the weights that the parameters make of its own. While gradients are recorded
  // they lead back to the parameters. Call it before each use of the model, and not between a loss
  // and its backward pass: activation checkpointing reads the weights once more.
  std::function<void()> apply;
  // What is saved: the parameters alone, or, where there are any, their averages.
  std::function<std::map<std::string, Tensor>(const Ema* averages)> weights;
  std::map<std::string, std::string> metadata;  // of the saved file
};

}  // namespace easel
