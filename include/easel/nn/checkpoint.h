// Activation checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"): a
// block keeps its inputs alone, and runs once more in the backward pass.
#pragma once

#include <functional>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/nn/module.h>

namespace easel::nn {

namespace detail {

using BlockForward = std::function<Tensor(const std::vector<Tensor>& inputs)>;
using BlockParameters = std::function<std::vector<Tensor>()>;

Tensor run_block(bool recompute, std::vector<Tensor> inputs, BlockForward forward,
                 BlockParameters parameters);

}  // namespace detail

// forward(inputs), where `forward` uses no other differentiable tensors than the inputs (undefined
// ones are let through) and the parameters of `module`.
//
// In training mode (nn/training_mode.h), with gradients recorded and `recompute` set, the block's
// activations are not kept. Its gradients are the same, bit for bit, as without: dropout draws the
// same numbers and autocast is as it was. What is copied from the block into `forward` must
// outlive the backward pass, so must the module, and neither may change in between (an error says
// so); second derivatives are an error.
template <class Module, class Forward>
Tensor checkpoint(const Module& module, bool recompute, std::vector<Tensor> inputs,
                  Forward forward) {
  return detail::run_block(recompute, std::move(inputs), std::move(forward), [&module] {
    std::vector<Tensor> tensors;
    for (const auto& parameter : named_parameters(module)) tensors.push_back(*parameter.tensor);
    return tensors;
  });
}

}  // namespace easel::nn
