#include "training_state.h"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>
#include <easel/base/fields.h>
#include <easel/io/tensor_file.h>

namespace easel {
namespace {

using Tensors = std::map<std::string, Tensor>;

constexpr std::string_view kFormat = "easel.training_state";

void restore(Parameters& parameters, const std::string& prefix, const Tensors& tensors,
             const std::string& path) {
  const at::NoGradGuard no_grad;
  for (auto& parameter : parameters) {
    const auto found = tensors.find(prefix + parameter.name);
    if (found == tensors.end() || found->second.sizes() != parameter.tensor->sizes()) {
      fail("{}: {} is missing or of another shape; the state belongs to another model", path,
           parameter.name);
    }
    parameter.tensor->copy_(found->second);
  }
}

// The tensors whose names begin with `prefix`, without it.
Tensors part(const Tensors& tensors, const std::string& prefix) {
  Tensors found;
  for (auto at = tensors.lower_bound(prefix); at != tensors.end() && at->first.starts_with(prefix);
       ++at) {
    found.emplace(at->first.substr(prefix.size()), at->second);
  }
  return found;
}

template <class Number>
Number number(const std::map<std::string, std::string>& metadata, const std::string& key,
              const std::string& path) {
  const auto found = metadata.find(key);
  if (found != metadata.end()) {
    if (std::is_same_v<Number, double> && found->second == "nan") return Number(NAN);
    Number value{};
    if (parse_field(found->second, value)) return value;
  }
  fail("{}: '{}' is missing or no number; the state is damaged", path, key);
}

}  // namespace

void save_state(const std::filesystem::path& path, const TrainingState& state,
                const TrainingProgress& progress) {
  Tensors tensors;
  for (size_t i = 0; i < state.optimizers.size(); ++i) {
    const std::string group = fmt::format("optimizer.{}.", i);
    for (auto& [name, tensor] : state.optimizers[i].state()) tensors.emplace(group + name, tensor);
    for (const auto& parameter : state.task.groups[i].parameters) {
      tensors.emplace("parameter." + parameter.name, parameter.tensor->detach());
    }
  }
  for (const auto& buffer : state.task.buffers) {
    tensors.emplace("buffer." + buffer.name, *buffer.tensor);
  }
  std::map<std::string, std::string> metadata{
      {"format", std::string(kFormat)},
      {"step", field_text(progress.step)},
      {"best", std::isnan(progress.best) ? "nan" : field_text(progress.best)},
      {"loss_scale", field_text(progress.loss_scale)},
      {"good_steps", field_text(progress.good_steps)},
  };
  for (const auto& [name, all] : progress.sums) {
    tensors.emplace("metric." + name, at::tensor({all.sum, all.weight}, at::kDouble));
  }
  if (state.averages != nullptr) {
    for (auto& [name, tensor] : state.averages->tensors()) tensors.emplace("ema." + name, tensor);
    metadata["ema_num_updates"] = field_text(state.averages->num_updates());
  }
  write_safetensors(path, tensors, metadata, IfExists::Replace);
}

TrainingProgress load_state(const std::filesystem::path& path, const TrainingState& state) {
  const TensorFile file = read_safetensors(path);
  const std::string name = path.string();
  const auto format = file.metadata.find("format");
  if (format == file.metadata.end() || format->second != kFormat) {
    fail("{} is no state of a training run; --resume takes a run's folder", name);
  }
  for (size_t i = 0; i < state.optimizers.size(); ++i) {
    restore(state.task.groups[i].parameters, "parameter.", file.tensors, name);
    state.optimizers[i].load_state(part(file.tensors, fmt::format("optimizer.{}.", i)), name);
  }
  restore(state.task.buffers, "buffer.", file.tensors, name);
  if ((state.averages != nullptr) != file.metadata.contains("ema_num_updates")) {
    fail("{}: the run was begun {} use_ema and cannot go on {} it", name,
         state.averages == nullptr ? "with" : "without",
         state.averages == nullptr ? "without" : "with");
  }
  if (state.averages != nullptr) {
    state.averages->load(part(file.tensors, "ema."),
                         number<int64_t>(file.metadata, "ema_num_updates", name));
  }
  MetricSums sums;
  for (const auto& [metric, pair] : part(file.tensors, "metric.")) {
    if (pair.scalar_type() != at::kDouble || pair.numel() != 2) {
      fail("{}: the sum of '{}' is damaged", name, printable(metric));
    }
    const Tensor values = pair.contiguous();
    const double* value = values.const_data_ptr<double>();
    sums[metric] = {.sum = value[0], .weight = value[1]};
  }
  return {.step = number<int64_t>(file.metadata, "step", name),
          .best = number<double>(file.metadata, "best", name),
          .loss_scale = number<double>(file.metadata, "loss_scale", name),
          .good_steps = number<int64_t>(file.metadata, "good_steps", name),
          .sums = std::move(sums)};
}

}  // namespace easel
