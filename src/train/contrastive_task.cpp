#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/models/clip.h>
#include <easel/models/initialize.h>
#include <easel/nn/initialize.h>
#include <easel/train/tasks.h>

#include "parameters.h"
#include "start_weights.h"

namespace easel {
namespace {

struct State {
  ContrastiveTraining training;
  Tokenizer tokenizer;
  Clip clip;
  at::Device device;
};

Tensor tokens_of(const State& state, const Batch& batch) {
  const auto length = static_cast<size_t>(state.training.clip.text.max_position_embeddings);
  std::vector<int64_t> tokens;
  for (const std::string& caption : batch.captions) {
    const std::vector<int64_t> row = state.tokenizer.encode(caption, length);
    tokens.insert(tokens.end(), row.begin(), row.end());
  }
  return at::tensor(tokens, at::kLong)
      .view({batch.size(), static_cast<int64_t>(length)})
      .to(state.device);
}

TrainingLoss loss(const State& state, const Batch& batch) {
  const Tensor text_BD = state.clip.encode_text(tokens_of(state, batch)).to(at::kFloat);
  const Tensor image_BD =
      state.clip.encode_image(batch.pictures_BCHW.to(state.device)).to(at::kFloat);
  TrainingLoss loss;
  loss.total = contrastive_loss(text_BD, image_BD, state.clip.logit_scale);
  const at::NoGradGuard no_grad;
  const Tensor logits = clip_logits(text_BD, image_BD, state.clip.logit_scale);
  const Tensor right = at::arange(batch.size(), at::TensorOptions(state.device).dtype(at::kLong));
  loss.metrics["loss"] = loss.total.detach();
  loss.metrics["accuracy"] = logits.argmax(1).eq(right).to(at::kFloat).mean();
  loss.metrics["logit_scale"] = state.clip.logit_scale.detach().exp();
  return loss;
}

// A checkpoint of transformers' CLIPModel, ours or another's.
void load(State& state, const Log& log) {
  const std::filesystem::path& path = state.training.ckpt_path;
  const TensorFile file = read_tensor_file(path);
  std::string missing;
  for (const auto& parameter : nn::named_parameters(state.clip)) {
    const auto ignored = [&](const std::string& key) { return parameter.name.starts_with(key); };
    if (std::any_of(state.training.ignore_keys.begin(), state.training.ignore_keys.end(), ignored))
      continue;
    const auto found = file.tensors.find(parameter.name);
    if (found == file.tensors.end() || found->second.sizes() != parameter.tensor->sizes()) {
      missing += fmt::format("\n  {} {}", parameter.name, shape_text(parameter.tensor->sizes()));
    } else {
      *parameter.tensor = found->second.to(at::kFloat).clone();
    }
  }
  if (!missing.empty()) {
    fail("{}: these tensors of a CLIP model are missing or of another shape:{}", path.string(),
         missing);
  }
  say(log, LogLevel::Info, fmt::format("CLIP from {}", path.string()));
}

}  // namespace

TrainingTask make_contrastive_task(const ContrastiveTraining& training,
                                   const AdamWOptions& optimizer, const TaskOptions& options) {
  Tokenizer tokenizer =
      load_tokenizer({}, training.tokenizer, training.clip.text, options.vocabulary);
  ClipConfig clip = training.clip;
  clip.eos_token_id = tokenizer.eos();
  auto state = std::make_shared<State>(State{.training = training,
                                             .tokenizer = std::move(tokenizer),
                                             .clip = Clip(clip),
                                             .device = options.device});
  initialize(state->clip, options.seed);
  if (!training.ckpt_path.empty()) load(*state, options.log);
  TrainingTask task;
  task.groups.push_back({.name = "clip",
                         .parameters = prepare_parameters(state->clip, "", options.device,
                                                          options.channels_last, true),
                         .optimizer = optimizer});
  task.loss = [state](const Batch& batch, size_t, int64_t) { return loss(*state, batch); };
  task.after_step = [state] { clamp_logit_scale(state->clip); };
  task.validate = [state](const Batch& batch, int64_t) { return loss(*state, batch).metrics; };
  task.weights = [state](const Ema*) { return tensors_of(state->clip); };
  return task;
}

}  // namespace easel
