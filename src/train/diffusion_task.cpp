#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>
#include <easel/checkpoint/convert.h>
#include <easel/io/file.h>
#include <easel/models/initialize.h>
#include <easel/nn/initialize.h>
#include <easel/pipeline/network.h>
#include <easel/pipeline/txt2img.h>
#include <easel/train/latent_cache.h>
#include <easel/train/tasks.h>

#include "example_random.h"
#include "parameters.h"
#include "start_weights.h"

namespace easel {
namespace {

constexpr int64_t kPreviewSteps = 20;
constexpr double kPreviewScale = 5;

struct State {
  DiffusionTraining training;
  std::shared_ptr<StableDiffusion> model;
  std::shared_ptr<const LatentCache> cache;
  DiffusionProcess process;
  Tensor logvar_T;  // where learn_logvar is set
  std::optional<Adapter> adapter;
};

Posterior posterior_of(const StableDiffusion& model, const LatentCache* cache, const Batch& batch) {
  if (cache != nullptr && !batch.pictures_BCHW.defined()) return cache->at(batch.indices);
  return model.autoencoder.encode(batch.pictures_BCHW.to(model.device));
}

Tensor sample(const Posterior& posterior, const Batch& batch, at::Device device) {
  const Tensor noise =
      example_normal(batch.seeds, Purpose::Posterior, posterior.mean_BCHW.sizes().slice(1),
                     posterior.mean_BCHW.device());
  return posterior.sample(noise).to(at::TensorOptions(device).dtype(at::kFloat));
}

// Scaled latents of a batch, a sample of the encoder's posterior, as in CompVis's get_input.
Tensor latents_of(const State& state, const Batch& batch) {
  const at::NoGradGuard no_grad;
  const StableDiffusion& model = *state.model;
  return sample(posterior_of(model, state.cache.get(), batch), batch, model.device) *
         model.config.scale_factor;
}

Tensor tokens_of(const State& state, const Batch& batch, bool with_dropout) {
  const auto length = static_cast<size_t>(state.model->config.text_encoder.max_position_embeddings);
  std::vector<int64_t> tokens;
  for (size_t i = 0; i < batch.captions.size(); ++i) {
    const bool drop = with_dropout && example_uniform(batch.seeds[i], Purpose::CaptionDropout) <
                                          state.training.caption_dropout;
    const std::string& caption = drop ? state.training.caption_dropout_text : batch.captions[i];
    const std::vector<int64_t> row = state.model->tokenizer.encode(caption, length);
    tokens.insert(tokens.end(), row.begin(), row.end());
  }
  return at::tensor(tokens, at::kLong)
      .view({batch.size(), static_cast<int64_t>(length)})
      .to(state.model->device);
}

DiffusionLoss loss_of(const State& state, const Batch& batch, bool learning) {
  const StableDiffusion& model = *state.model;
  const bool learns_text =
      state.adapter ? state.adapter->adapts_text : state.training.cond_stage_trainable;
  if (state.adapter) state.adapter->apply();
  const Tensor latents_BCHW = latents_of(state, batch);
  const Tensor t_B = example_integers(batch.seeds, Purpose::Timestep, state.process.timesteps());
  const Tensor noise_BCHW =
      example_normal(batch.seeds, Purpose::Noise, latents_BCHW.sizes().slice(1), model.device);
  Conditioning conditioning;
  {
    const at::AutoGradMode grad(learning && learns_text);
    conditioning.context_BTD =
        model.text_encoder.forward(tokens_of(state, batch, learning), model.config.clip_skip);
  }
  return p_losses(state.process, make_network(model), latents_BCHW, t_B, noise_BCHW, conditioning,
                  state.training.loss, state.logvar_T);
}

Metrics validate(const State& state, const Batch& batch) {
  const DiffusionLoss loss = loss_of(state, batch, /*learning=*/false);
  return loss.metrics;
}

std::vector<Image> draw(const State& state, const Batch& batch) {
  if (state.adapter) state.adapter->apply();
  const StableDiffusion& model = *state.model;
  Txt2ImgRequest request;
  request.prompts = batch.captions;
  const int64_t side = model.config.image_size * model.config.autoencoder.downsampling();
  request.settings.width = request.settings.height = side;
  request.settings.steps = kPreviewSteps;
  request.settings.scale = kPreviewScale;
  std::vector<uint64_t> seeds;
  for (size_t i = 0; i < request.prompts.size(); ++i) seeds.push_back(i);
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, seeds);
  return txt2img(model, request, noise).images;
}

std::map<std::string, Tensor> weights(const State& state, const Ema* averages) {
  const StableDiffusion& model = *state.model;
  Tensors native;
  const auto add = [&](const auto& module, Part part) {
    for (auto& [name, tensor] : tensors_of(module)) {
      native.emplace(std::string(native_prefix(part)) + name, tensor);
    }
  };
  add(model.text_encoder, Part::TextEncoder);
  add(model.unet, Part::UNet);
  add(model.autoencoder, Part::Autoencoder);
  Tensors saved = from_native(model.config, native, WeightLayout::CompVis);
  if (state.logvar_T.defined()) saved.emplace("logvar", state.logvar_T);
  if (averages == nullptr) return saved;
  for (const auto& [name, tensor] : averages->tensors()) native[name] = tensor;
  saved.merge(
      compvis_ema_tensors(from_native(model.config, native, WeightLayout::CompVis, Part::UNet),
                          averages->decay(), averages->num_updates()));
  return saved;
}

void check_trainable(const DiffusionTraining& training) {
  if (training.model.conditioning_key != ConditioningKey::CrossAttention) {
    fail_usage(
        "training with conditioning_key concat or hybrid is not supported: the dataset gives "
        "pictures and captions only; expected crossattn");
  }
  if (training.model.unet.num_classes) {
    fail_usage(
        "training with num_classes is not supported: the dataset gives captions, no classes");
  }
}

// What a run with an adapter cannot have.
void check_adapter(const DiffusionTraining& training) {
  if (!training.lora && !training.textual_inversion) return;
  const std::string_view key = training.lora ? "lora_config" : "personalization_config";
  if (training.lora && training.textual_inversion) {
    fail_usage("lora_config and personalization_config are trained one after the other, not both");
  }
  if (training.ckpt_path.empty()) {
    fail_usage("{} adapts a trained model: give it as ckpt_path", key);
  }
  if (training.scale_by_std) {
    fail_usage(
        "{}: scale_by_std would change the scale of latents that the model was trained with; give "
        "the model's own scale_factor (it stands in the .yaml beside the model)",
        key);
  }
  if (training.loss.learn_logvar) {
    fail_usage("{}: learn_logvar is for the training of whole models", key);
  }
  // The authors of textual inversion set cond_stage_trainable, and mean the new words.
  if (training.lora && training.cond_stage_trainable) {
    fail_usage(
        "lora_config: cond_stage_trainable would train the whole text encoder; give "
        "lora_config.text_encoder: true in its place");
  }
}

// Learns the adapter in the networks' stead.
void add_adapter(State& state, TrainingTask& task, const AdamWOptions& optimizer,
                 const TaskOptions& options) {
  const DiffusionTraining& training = state.training;
  state.adapter = training.lora ? make_lora(*training.lora, state.model, mix_seed(options.seed, 4))
                                : make_textual_inversion(*training.textual_inversion, state.model);
  task.averaged = state.adapter->parameters;
  task.groups.push_back(
      {.name = "adapter", .parameters = state.adapter->parameters, .optimizer = optimizer});
  task.weights = state.adapter->weights;
  task.metadata = state.adapter->metadata;
  task.nest_state_dict = false;
}

template <class Module>
void load_part(Module& module, Part part, const DiffusionTraining& training,
               const std::filesystem::path& own_file, const TaskOptions& options) {
  const bool own = !own_file.empty();
  set_tensors(module, start_weights(own ? own_file : training.ckpt_path, training.model, part,
                                    own ? std::vector<std::string>() : training.ignore_keys,
                                    tensors_of(module), options.log));
}

}  // namespace

std::shared_ptr<StableDiffusion> make_training_model(const DiffusionTraining& training,
                                                     const TaskOptions& options) {
  check_trainable(training);
  check_adapter(training);
  const bool whole = !training.ckpt_path.empty();
  if (training.first_stage_ckpt.empty() && !whole) {
    fail_usage(
        "there is no autoencoder to train with: give first_stage_config.params.ckpt_path (weights "
        "that easel-train made from an AutoencoderKL config, or any Stable Diffusion model), or "
        "ckpt_path");
  }
  if (training.cond_stage_ckpt.empty() && !whole && !training.cond_stage_trainable) {
    fail_usage(
        "the text encoder would have random weights and never learn: give "
        "cond_stage_config.params.ckpt_path, or ckpt_path, or set cond_stage_trainable");
  }
  auto model = std::make_shared<StableDiffusion>(StableDiffusion{
      .config = training.model,
      .tokenizer = load_tokenizer({}, training.model, options.vocabulary),
      .text_encoder = ClipText(training.model.text_encoder),
      .unet = UNet(training.model.unet),
      .autoencoder = Autoencoder(training.model.autoencoder),
      .schedule = make_noise_schedule(training.model.schedule),
      .device = options.device,
      .dtype = at::kFloat,
      .name = "training",
  });
  model->config.scale_by_std = false;
  initialize(model->text_encoder, mix_seed(options.seed, 1));
  initialize(model->unet, mix_seed(options.seed, 2));
  initialize(model->autoencoder, mix_seed(options.seed, 3));
  if (whole) load_part(model->unet, Part::UNet, training, {}, options);
  load_part(model->autoencoder, Part::Autoencoder, training, training.first_stage_ckpt, options);
  if (whole || !training.cond_stage_ckpt.empty()) {
    load_part(model->text_encoder, Part::TextEncoder, training, training.cond_stage_ckpt, options);
  }
  prepare_parameters(model->autoencoder, "", options.device, options.channels_last, false);
  prepare_parameters(model->text_encoder, "", options.device, options.channels_last, false);
  prepare_parameters(model->unet, "", options.device, options.channels_last, false);
  return model;
}

void find_scale(StableDiffusion& model, const Batch& batch, const LatentCache* cache,
                const Log& log) {
  const at::NoGradGuard no_grad;
  model.config.scale_factor = 1;
  const Posterior posterior = posterior_of(model, cache, batch);
  model.config.scale_factor = 1 / sample(posterior, batch, model.device).std().item<double>();
  say(log, LogLevel::Info,
      fmt::format("scale_factor {:.5g}, from the first batch", model.config.scale_factor));
}

TrainingTask make_diffusion_task(const DiffusionTraining& training, const AdamWOptions& optimizer,
                                 const TaskOptions& options, std::shared_ptr<StableDiffusion> model,
                                 std::shared_ptr<const LatentCache> cache) {
  auto state = std::make_shared<State>(State{
      .training = training,
      .model = std::move(model),
      .cache = std::move(cache),
      .process = make_diffusion_process(make_noise_schedule(training.model.schedule),
                                        {.parameterization = training.model.parameterization}),
      .logvar_T = {},
      .adapter = {}});
  TrainingTask task;
  const bool whole = !training.lora && !training.textual_inversion;
  Parameters unet = prepare_parameters(state->model->unet, std::string(native_prefix(Part::UNet)),
                                       options.device, options.channels_last, whole);
  task.loss = [state](const Batch& batch, size_t, int64_t) {
    DiffusionLoss loss = loss_of(*state, batch, /*learning=*/true);
    return TrainingLoss{.total = loss.loss, .metrics = std::move(loss.metrics)};
  };
  task.validate = [state](const Batch& batch, int64_t) { return validate(*state, batch); };
  task.draw = [state](const Batch& batch) { return draw(*state, batch); };
  task.needs_pictures = state->cache == nullptr;
  if (!whole) {
    add_adapter(*state, task, optimizer, options);
    return task;
  }
  ParameterGroup group{.name = "model", .parameters = std::move(unet), .optimizer = optimizer};
  task.averaged = group.parameters;
  if (training.cond_stage_trainable) {
    group.parameters = join(std::move(group.parameters),
                            prepare_parameters(state->model->text_encoder,
                                               std::string(native_prefix(Part::TextEncoder)),
                                               options.device, options.channels_last, true));
  }
  if (training.loss.learn_logvar) {
    state->logvar_T =
        initial_logvar(state->process, training.loss).to(options.device).requires_grad_(true);
    group.parameters.push_back({"logvar", &state->logvar_T});
  }
  task.groups.push_back(std::move(group));
  task.weights = [state](const Ema* averages) { return weights(*state, averages); };
  ModelConfig saved = state->model->config;
  if (std::filesystem::is_regular_file(saved.tokenizer)) {
    task.companions["tokenizer.model"] = read_text_file(saved.tokenizer);
    saved.tokenizer = "tokenizer.model";
  }
  task.companions[".yaml"] = compvis_config_text(saved);
  return task;
}

}  // namespace easel
