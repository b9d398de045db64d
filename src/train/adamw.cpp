#include "easel/train/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>

namespace easel {
namespace {

std::vector<Tensor> gradients(const Parameters& parameters) {
  std::vector<Tensor> all;
  for (const auto& parameter : parameters) {
    if (parameter.tensor->grad().defined()) all.push_back(parameter.tensor->grad());
  }
  return all;
}

}  // namespace

AdamW::AdamW(Parameters parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  const at::NoGradGuard no_grad;
  for (const auto& parameter : parameters_) {
    exp_avgs_.push_back(at::zeros_like(*parameter.tensor));
    exp_avg_sqs_.push_back(at::zeros_like(*parameter.tensor));
    steps_.push_back(at::zeros({}, parameter.tensor->options().dtype(at::kFloat)));
  }
}

void AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  std::vector<Tensor> values, grads, exp_avgs, exp_avg_sqs, steps;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    Tensor& value = *parameters_[i].tensor;
    if (!value.grad().defined()) continue;
    values.push_back(value);
    // The kernel walks over the memory of all four side by side.
    Tensor grad = value.grad();
    if (grad.strides() != value.strides()) grad = at::empty_like(value).copy_(grad);
    grads.push_back(grad);
    exp_avgs.push_back(exp_avgs_[i]);
    exp_avg_sqs.push_back(exp_avg_sqs_[i]);
    steps_[i].add_(1);
    steps.push_back(steps_[i]);
  }
  if (values.empty()) return;
  at::_fused_adamw_(values, grads, exp_avgs, exp_avg_sqs, {}, steps, learning_rate, options_.beta1,
                    options_.beta2, options_.weight_decay, options_.eps, /*amsgrad=*/false,
                    /*maximize=*/false);
}

void AdamW::zero_grad() {
  for (const auto& parameter : parameters_) parameter.tensor->mutable_grad() = Tensor();
}

std::map<std::string, Tensor> AdamW::state() const {
  std::map<std::string, Tensor> state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state["exp_avg." + parameters_[i].name] = exp_avgs_[i];
    state["exp_avg_sq." + parameters_[i].name] = exp_avg_sqs_[i];
    state["step." + parameters_[i].name] = steps_[i];
  }
  return state;
}

void AdamW::load_state(const std::map<std::string, Tensor>& state,
                       const std::string& name_for_errors) {
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : this->state()) {
    const auto found = state.find(name);
    if (found == state.end()) {
      fail("{}: the optimizer's {} is missing; the file was saved with other parameters trained",
           name_for_errors, name);
    }
    if (found->second.sizes() != tensor.sizes()) {
      fail("{}: the optimizer's {} is {}, expected {}", name_for_errors, name,
           shape_text(found->second.sizes()), shape_text(tensor.sizes()));
    }
    Tensor target = tensor;
    target.copy_(found->second);
  }
}

double gradient_norm(const Parameters& parameters) {
  const at::NoGradGuard no_grad;
  const std::vector<Tensor> grads = gradients(parameters);
  if (grads.empty()) return 0;
  std::vector<Tensor> norms = at::_foreach_norm(grads, 2);
  return at::linalg_vector_norm(at::stack(norms)).item<double>();
}

void clip_gradients(const Parameters& parameters, double norm, double max_norm) {
  const at::NoGradGuard no_grad;
  const double factor = max_norm / (norm + 1e-6);
  if (!(factor < 1)) return;
  std::vector<Tensor> grads = gradients(parameters);
  if (!grads.empty()) at::_foreach_mul_(grads, factor);
}

}  // namespace easel
