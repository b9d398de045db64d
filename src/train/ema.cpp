#include "easel/train/ema.h"

#include <algorithm>
#include <string_view>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr std::string_view kPrefix = "model.";
constexpr std::string_view kEmaPrefix = "model_ema.";

// What the n-th update moves the averages by, in float32 as LitEma has it.
double step_size(const EmaOptions& options, int64_t n) {
  auto decay = static_cast<float>(options.decay);
  if (n >= 0) decay = std::min(decay, static_cast<float>(1 + n) / static_cast<float>(10 + n));
  return 1.0F - decay;
}

}  // namespace

Ema::Ema(std::vector<nn::NamedParameter<Tensor*>> parameters, EmaOptions options)
    : parameters_(std::move(parameters)),
      options_(options),
      num_updates_(options.use_num_updates ? 0 : -1) {
  if (!(options_.decay >= 0 && options_.decay <= 1)) {
    fail_usage("the decay of averaged weights is from 0 to 1; got {}", options_.decay);
  }
  for (const auto& [name, parameter] : parameters_) {
    averages_.push_back(parameter->detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true));
  }
}

void Ema::update() {
  if (parameters_.empty()) return;
  if (num_updates_ >= 0) ++num_updates_;
  const at::NoGradGuard no_grad;
  std::vector<Tensor> values;
  values.reserve(parameters_.size());
  for (const auto& [name, parameter] : parameters_) {
    values.push_back(parameter->detach().to(at::kFloat));
  }
  at::_foreach_lerp_(averages_, values, step_size(options_, num_updates_));
}

std::map<std::string, Tensor> Ema::tensors() const {
  std::map<std::string, Tensor> named;
  for (size_t i = 0; i < averages_.size(); ++i) named.emplace(parameters_[i].name, averages_[i]);
  return named;
}

void Ema::load(const std::map<std::string, Tensor>& tensors, int64_t num_updates) {
  if (num_updates < -1) fail("averaged weights cannot have had {} updates", num_updates);
  for (size_t i = 0; i < averages_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    const auto found = tensors.find(name);
    if (found == tensors.end()) fail("the averaged weights have no '{}'", printable(name));
    if (found->second.sizes() != averages_[i].sizes()) {
      fail("the averaged weight '{}' is {}, and the model's is {}", printable(name),
           shape_text(found->second.sizes()), shape_text(averages_[i].sizes()));
    }
  }
  if (tensors.size() != averages_.size()) {
    const auto own = this->tensors();
    const auto other = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const auto& entry) { return !own.contains(entry.first); });
    fail("the averaged weight '{}' is none of the model's", printable(other->first));
  }
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < averages_.size(); ++i) {
    averages_[i].copy_(tensors.at(parameters_[i].name));
  }
  num_updates_ = num_updates;
}

EmaScope::EmaScope(const Ema& ema) : ema_(ema) {
  std::vector<Tensor> averages;
  for (size_t i = 0; i < ema.averages_.size(); ++i) {
    own_.push_back(*ema.parameters_[i].tensor);
    averages.push_back(ema.averages_[i].to(own_.back().scalar_type()));
  }
  for (size_t i = 0; i < averages.size(); ++i) *ema.parameters_[i].tensor = averages[i];
}

EmaScope::~EmaScope() {
  for (size_t i = 0; i < own_.size(); ++i) *ema_.parameters_[i].tensor = std::move(own_[i]);
}

std::map<std::string, Tensor> compvis_ema_tensors(const std::map<std::string, Tensor>& tensors,
                                                  double decay, int64_t num_updates) {
  std::map<std::string, Tensor> averages;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with(kPrefix)) continue;
    std::string flat = name.substr(kPrefix.size());
    std::erase(flat, '.');
    const bool first = averages.emplace(std::string(kEmaPrefix) + flat, tensor).second;
    if (!first) fail("two weights are called '{}' without dots", printable(flat));
  }
  averages.emplace("model_ema.decay", at::scalar_tensor(decay, at::kFloat));
  averages.emplace("model_ema.num_updates", at::scalar_tensor(num_updates, at::kInt));
  return averages;
}

int64_t compvis_ema_num_updates(const std::map<std::string, Tensor>& checkpoint) {
  const auto found = checkpoint.find("model_ema.num_updates");
  if (found == checkpoint.end()) return -1;
  const Tensor& tensor = found->second;
  if (tensor.numel() != 1 || !at::isIntegralType(tensor.scalar_type(), /*includeBool=*/false)) {
    fail("model_ema.num_updates is {} {}, and a whole number was expected",
         dtype_name(tensor.scalar_type()), shape_text(tensor.sizes()));
  }
  return tensor.item<int64_t>();
}

}  // namespace easel
