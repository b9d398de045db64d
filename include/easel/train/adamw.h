// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101), with PyTorch's update rule and defaults.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/nn/module.h>

namespace easel {

using Parameters = std::vector<nn::NamedParameter<Tensor*>>;

struct AdamWOptions {
  double beta1 = 0.9;    // decay of the mean of the gradients, 0 to 1
  double beta2 = 0.999;  // decay of the mean of their squares, 0 to 1
  double eps = 1e-8;
  double weight_decay = 1e-2;  // share of a parameter that is taken off it in a step of rate 1
};

// Not thread-safe. The parameters must outlive it and stay where they are.
class AdamW {
 public:
  AdamW(Parameters parameters, const AdamWOptions& options);

  const Parameters& parameters() const { return parameters_; }

  // One update from the parameters' gradients; a parameter without one stays as it is.
  void step(double learning_rate);
  // Forgets the gradients.
  void zero_grad();

  // The moments, by "exp_avg.NAME", "exp_avg_sq.NAME" and "step.NAME", sharing memory.
  std::map<std::string, Tensor> state() const;
  // Copies the moments back. Throws Error naming what is missing or misshapen.
  void load_state(const std::map<std::string, Tensor>& state, const std::string& name_for_errors);

 private:
  Parameters parameters_;
  AdamWOptions options_;
  std::vector<Tensor> exp_avgs_, exp_avg_sqs_, steps_;
};

// The root of the sum of squares of all gradients.
double gradient_norm(const Parameters& parameters);
// Scales the gradients so that their norm is at most `max_norm`, given what it is now; as
// torch.nn.utils.clip_grad_norm_.
void clip_gradients(const Parameters& parameters, double norm, double max_norm);

}  // namespace easel
