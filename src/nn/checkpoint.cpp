#include "easel/nn/checkpoint.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <easel/nn/training_mode.h>
#include <easel/ops/aten_only.h>

namespace easel::nn::detail {
namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// Where LibTorch's default generators stand: the CPU's, and that of the block's device.
class RandomState {
 public:
  explicit RandomState(at::Device device) : generators_{generator(at::kCPU)} {
    if (!device.is_cpu()) generators_.push_back(generator(device));
    for (at::Generator& g : generators_) {
      const std::lock_guard lock(g.mutex());
      states_.push_back(g.get_state());
    }
  }

  void restore() const {
    for (size_t i = 0; i < generators_.size(); ++i) {
      at::Generator g = generators_[i];
      const std::lock_guard lock(g.mutex());
      g.set_state(states_[i]);
    }
  }

 private:
  static at::Generator generator(at::Device device) {
    return at::globalContext().defaultGenerator(device);
  }

  std::vector<at::Generator> generators_;
  std::vector<Tensor> states_;
};

// The thread's autocast settings for the CPU and the block's device.
class AutocastState {
 public:
  explicit AutocastState(at::DeviceType device)
      : cache_(at::autocast::is_autocast_cache_enabled()) {
    add(at::kCPU);
    if (device != at::kCPU) add(device);
  }

  void restore() const {
    for (const Setting& setting : settings_) {
      at::autocast::set_autocast_enabled(setting.device, setting.enabled);
      at::autocast::set_autocast_dtype(setting.device, setting.dtype);
    }
    at::autocast::set_autocast_cache_enabled(cache_);
  }

 private:
  struct Setting {
    at::DeviceType device;
    bool enabled;
    at::ScalarType dtype;
  };

  void add(at::DeviceType device) {
    settings_.push_back({device, at::autocast::is_autocast_enabled(device),
                         at::autocast::get_autocast_dtype(device)});
  }

  std::vector<Setting> settings_;
  bool cache_;
};

// Puts back, when it goes, what `state` found.
template <class State>
struct Restored {
  State state;
  ~Restored() { state.restore(); }
};

// Autocast keeps the casts of weights for the rest of its region. A cast made while gradients were
// not recorded must not serve where they are, so the block neither leaves nor takes any.
class NoAutocastCache {
 public:
  NoAutocastCache() : before_(at::autocast::is_autocast_cache_enabled()) {
    at::autocast::set_autocast_cache_enabled(false);
  }
  ~NoAutocastCache() { at::autocast::set_autocast_cache_enabled(before_); }
  NoAutocastCache(const NoAutocastCache&) = delete;
  NoAutocastCache& operator=(const NoAutocastCache&) = delete;

 private:
  bool before_;
};

bool needs_gradient(const Tensor& tensor) { return tensor.defined() && tensor.requires_grad(); }

class Recompute : public torch::autograd::Node {
 public:
  Recompute(std::vector<Tensor> inputs, BlockForward forward, BlockParameters parameters)
      : num_inputs_(inputs.size()),
        forward_(std::move(forward)),
        parameters_of_(std::move(parameters)),
        parameters_(parameters_of_()),
        random_(device_of(inputs)),
        autocast_(device_of(inputs).type()) {
    variable_list edges = inputs;
    edges.insert(edges.end(), parameters_.begin(), parameters_.end());
    set_next_edges(torch::autograd::collect_next_edges(edges));
    for (const Tensor& input : inputs) {
      inputs_.emplace_back(input, /*is_output=*/false);
      input_needs_gradient_.push_back(needs_gradient(input));
    }
    for (const Tensor& parameter : parameters_) versions_.push_back(parameter._version());
  }

  std::string name() const override { return "easel::Recompute"; }

  void release_variables() override {
    const std::lock_guard lock(mutex_);
    for (SavedVariable& input : inputs_) input.reset_data();
  }

  variable_list apply(variable_list&& output_gradient) override {
    const std::lock_guard lock(mutex_);
    variable_list gradients(num_inputs_ + parameters_.size());
    if (!output_gradient[0].defined()) return gradients;
    TORCH_CHECK(
        !at::GradMode::is_enabled(),
        "a block with activation checkpointing has no second derivative; turn use_checkpoint "
        "off");
    check_parameters();

    // Leaves that stand for the inputs; the parameters stand for themselves.
    std::vector<Tensor> inputs;
    variable_list wanted;
    std::vector<size_t> places;
    const auto want = [&](const Tensor& leaf, size_t place) {
      if (!task_should_compute_output(place)) return;
      wanted.push_back(leaf);
      places.push_back(place);
    };
    for (size_t i = 0; i < num_inputs_; ++i) {
      Tensor input = inputs_[i].unpack();
      if (input.defined()) input = input.detach().set_requires_grad(input_needs_gradient_[i]);
      if (input_needs_gradient_[i]) want(input, i);
      inputs.push_back(std::move(input));
    }
    for (size_t i = 0; i < parameters_.size(); ++i) {
      if (parameters_[i].requires_grad()) want(parameters_[i], num_inputs_ + i);
    }
    if (wanted.empty()) return gradients;

    const Tensor output = run_again(inputs);
    const variable_list found =
        torch::autograd::grad({output}, wanted, output_gradient, /*retain_graph=*/false,
                              /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < places.size(); ++i) gradients[places[i]] = found[i];
    return gradients;
  }

 private:
  static at::Device device_of(const std::vector<Tensor>& inputs) {
    for (const Tensor& input : inputs) {
      if (input.defined()) return input.device();
    }
    return at::kCPU;
  }

  Tensor run_again(const std::vector<Tensor>& inputs) const {
    const Restored<RandomState> random{RandomState(device_of(inputs))};
    const Restored<AutocastState> autocast{AutocastState(device_of(inputs).type())};
    random_.restore();
    autocast_.restore();
    const NoAutocastCache no_cache;
    const TrainingMode training;
    const at::AutoGradMode gradients(true);
    return forward_(inputs);
  }

  void check_parameters() const {
    const std::vector<Tensor> now = parameters_of_();
    bool same = now.size() == parameters_.size();
    for (size_t i = 0; same && i < now.size(); ++i) {
      same = now[i].is_same(parameters_[i]) && now[i]._version() == versions_[i];
    }
    TORCH_CHECK(same,
                "the parameters of a block with activation checkpointing were changed between "
                "the forward and the backward pass");
  }

  size_t num_inputs_;
  BlockForward forward_;
  BlockParameters parameters_of_;
  std::vector<Tensor> parameters_;
  std::vector<int64_t> versions_;
  std::vector<SavedVariable> inputs_;
  std::vector<bool> input_needs_gradient_;
  RandomState random_;
  AutocastState autocast_;
};

}  // namespace

Tensor run_block(bool recompute, std::vector<Tensor> inputs, BlockForward forward,
                 BlockParameters parameters) {
  if (!TrainingMode::is_enabled() || !at::GradMode::is_enabled()) return forward(inputs);
  if (!recompute) {
    // The gradients of an input's uses in the block add up before they join those of other uses, as
    // they do where the block is one node: float sums depend on the order.
    for (Tensor& input : inputs) {
      if (needs_gradient(input)) input = input.view_as(input);
    }
    return forward(inputs);
  }
  const auto any_of = [](const std::vector<Tensor>& tensors) {
    return std::any_of(tensors.begin(), tensors.end(), needs_gradient);
  };
  if (!any_of(inputs) && !any_of(parameters())) return forward(inputs);
  const std::shared_ptr<Recompute> node(new Recompute(inputs, forward, std::move(parameters)),
                                        torch::autograd::deleteNode);
  Tensor output;
  {
    const at::NoGradGuard no_grad;
    const NoAutocastCache no_cache;
    const ops::AtenOnly aten_only;  // as it will be where gradients are recorded
    output = forward(inputs);
  }
  torch::autograd::set_history(output, node);
  return output;
}

}  // namespace easel::nn::detail
