#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/models/initialize.h>
#include <easel/nn/buffer.h>
#include <easel/nn/initialize.h>
#include <easel/pipeline/decode.h>
#include <easel/train/tasks.h>

#include "example_random.h"
#include "parameters.h"
#include "start_weights.h"

namespace easel {
namespace {

struct State {
  AutoencoderTraining training;
  Autoencoder autoencoder;
  PatchDiscriminator discriminator;
  Tensor logvar;
  at::Device device;

  explicit State(const AutoencoderTraining& given, at::Device where)
      : training(given),
        autoencoder(given.autoencoder),
        discriminator(discriminator_config(given.loss)),
        logvar(at::full({}, given.loss.logvar_init, at::TensorOptions(where).dtype(at::kFloat))),
        device(where) {}
};

bool has_discriminator(const AutoencoderTraining& training) {
  return training.loss.disc_factor > 0;
}

ReconstructedBatch reconstruct(const State& state, const Batch& batch) {
  ReconstructedBatch done;
  done.inputs_BCHW = batch.pictures_BCHW.to(state.device);
  done.posterior = state.autoencoder.encode(done.inputs_BCHW);
  const Tensor noise = example_normal(batch.seeds, Purpose::Posterior,
                                      done.posterior.mean_BCHW.sizes().slice(1), state.device);
  done.reconstructions_BCHW = state.autoencoder.decode(done.posterior.sample(noise));
  return done;
}

TrainingLoss loss(State& state, const Batch& batch, size_t group, int64_t step) {
  const auto judge = [&](const Tensor& x) { return state.discriminator.forward_training(x); };
  const AutoencoderLossOptions& options = state.training.loss;
  if (group == 0) {
    Tensor last_layer;
    for (const auto& parameter : nn::named_parameters(state.autoencoder)) {
      if (parameter.name == "decoder.conv_out.weight") last_layer = *parameter.tensor;
    }
    return generator_loss(options, reconstruct(state, batch), state.logvar, judge, last_layer,
                          step);
  }
  if (!is_adversarial(options, step)) return {};
  ReconstructedBatch done;
  {
    const at::NoGradGuard no_grad;
    done = reconstruct(state, batch);
  }
  return discriminator_loss(options, done, judge, step);
}

Metrics validate(State& state, const Batch& batch, int64_t step) {
  const auto judge = [&](const Tensor& x) { return state.discriminator.forward(x); };
  const ReconstructedBatch done = reconstruct(state, batch);
  Metrics metrics =
      generator_loss(state.training.loss, done, state.logvar, judge, {}, step).metrics;
  metrics.merge(discriminator_loss(state.training.loss, done, judge, step).metrics);
  const Tensor error = (done.reconstructions_BCHW.clamp(-1, 1) - done.inputs_BCHW) / 2;
  metrics["psnr"] = -10 * at::log10(error.to(at::kFloat).square().mean({1, 2, 3})).mean();
  return metrics;
}

// Inputs and reconstructions in turn.
std::vector<Image> draw(const State& state, const Batch& batch) {
  const ReconstructedBatch done = reconstruct(state, batch);
  std::vector<Image> images;
  for (int64_t i = 0; i < batch.size(); ++i) {
    images.push_back(to_image(done.inputs_BCHW[i].cpu(), PixelRounding::Nearest));
    images.push_back(
        to_image(done.reconstructions_BCHW[i].to(at::kFloat).cpu(), PixelRounding::Nearest));
  }
  return images;
}

ModelConfig config_of(const State& state) {
  ModelConfig config;
  config.autoencoder = state.training.autoencoder;
  return config;
}

std::map<std::string, Tensor> weights(const State& state) {
  Tensors native;
  for (auto& [name, tensor] : tensors_of(state.autoencoder)) {
    native.emplace(std::string(native_prefix(Part::Autoencoder)) + name, tensor);
  }
  std::map<std::string, Tensor> saved;
  const size_t prefix = compvis_prefix(Part::Autoencoder).size();
  for (auto& [name, tensor] :
       from_native(config_of(state), native, WeightLayout::CompVis, Part::Autoencoder)) {
    saved.emplace(name.substr(prefix), tensor);
  }
  saved.emplace("loss.logvar", state.logvar);
  if (!has_discriminator(state.training)) return saved;
  for (const auto& parameter : nn::named_parameters(state.discriminator)) {
    saved.emplace("loss.discriminator." + parameter.name, *parameter.tensor);
  }
  for (const auto& buffer : nn::named_buffers(state.discriminator)) {
    saved.emplace("loss.discriminator." + buffer.name, *buffer.tensor);
  }
  return saved;
}

}  // namespace

TrainingTask make_autoencoder_task(const AutoencoderTraining& training,
                                   const AdamWOptions& optimizer, const TaskOptions& options) {
  auto state = std::make_shared<State>(training, options.device);
  initialize(state->autoencoder, options.seed);
  if (!training.ckpt_path.empty()) {
    set_tensors(state->autoencoder,
                start_weights(training.ckpt_path, config_of(*state), Part::Autoencoder,
                              training.ignore_keys, tensors_of(state->autoencoder), options.log));
  }
  TrainingTask task;
  task.groups.push_back({.name = "ae",
                         .parameters = prepare_parameters(state->autoencoder, "", options.device,
                                                          options.channels_last, true),
                         .optimizer = optimizer});
  if (has_discriminator(training)) {
    initialize(state->discriminator, mix_seed(options.seed, 1));
    task.groups.push_back(
        {.name = "disc",
         .parameters = prepare_parameters(state->discriminator, "loss.discriminator.",
                                          options.device, options.channels_last, true),
         .optimizer = optimizer});
    for (auto& buffer : nn::named_buffers(state->discriminator)) {
      *buffer.tensor = buffer.tensor->to(options.device);
      task.buffers.push_back({"loss.discriminator." + buffer.name, buffer.tensor});
    }
  }
  task.loss = [state](const Batch& batch, size_t group, int64_t step) {
    return loss(*state, batch, group, step);
  };
  task.validate = [state](const Batch& batch, int64_t step) {
    return validate(*state, batch, step);
  };
  task.draw = [state](const Batch& batch) { return draw(*state, batch); };
  task.weights = [state](const Ema*) { return weights(*state); };
  return task;
}

}  // namespace easel
