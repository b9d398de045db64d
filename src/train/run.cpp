#include "easel/train/run.h"

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/base/fields.h>
#include <easel/pipeline/device.h>
#include <easel/train/communicator.h>
#include <easel/train/data_loader.h>
#include <easel/train/latent_cache.h>
#include <easel/train/tasks.h>
#include <easel/train/trainer.h>

#include "merge_configs.h"
#include "run_files.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

TrainConfig read_config(const TrainRequest& request) {
  if (!request.resume) {
    if (request.rank == 0 && fs::exists(request.folder)) {
      fail_usage("{} exists: --resume goes on with the run in it, and a new run needs a new folder",
                 request.folder.string());
    }
    return read_train_config(request.bases, request.overrides);
  }
  if (!fs::exists(state_path(request.folder))) {
    fail_usage("{} holds no training run to go on with: there is no {}", request.folder.string(),
               state_path(request.folder).string());
  }
  std::vector<fs::path> bases{config_path(request.folder)};
  bases.insert(bases.end(), request.bases.begin(), request.bases.end());
  return read_train_config(bases, request.overrides);
}

at::Device device_of(const TrainRequest& request) {
  const at::Device device = device_from_name(request.device);
  if (device.is_cpu() || request.world == 1 || request.device.find(':') != std::string::npos) {
    return device;
  }
  return device_from_name(fmt::format("cuda:{}", request.local_rank));
}

// What else than its names decides a dataset's pictures.
std::string picture_key(const PictureFolder& pictures) {
  std::string key;
  visit_fields(pictures.options(), [&](const auto& field, const FieldInfo& info) {
    if (info.name == "data_root" || info.name.find("caption") != std::string_view::npos) return;
    key += fmt::format("{}={}\n", info.name, field_text(field));
  });
  for (int64_t i = 0; i < pictures.size(); ++i) {
    std::error_code error;  // a file that is gone is found when it is read
    key +=
        fmt::format("{}\n", fs::file_size(pictures.options().data_root / pictures.name(i), error));
  }
  return key;
}

// What of the request does not go with what is trained.
void check_fits(const DiffusionTraining& training, const TrainConfig& config,
                const PictureFolder& pictures) {
  if (training.lora && training.lora->layout == "diffusers" && config.run.format == "ckpt") {
    fail_usage(
        "lora_config: the layout diffusers keeps alpha in a .safetensors file's metadata, "
        "which a .ckpt has not; save as safetensors, or take the layout kohya");
  }
  if (!training.textual_inversion) return;
  for (const std::string& placeholder : training.textual_inversion->placeholder_strings) {
    bool found = false;
    for (int64_t i = 0; i < pictures.size() && !found; ++i) {
      // A picture may have several captions, of which the seed chooses.
      for (uint64_t seed = 0; seed < 32 && !found; ++seed) {
        found = pictures.caption(i, seed).find(placeholder) != std::string::npos;
      }
    }
    if (!found) {
      fail_usage(
          "{}: no caption in {} has the placeholder '{}', so there is nothing to learn; "
          "write it into the captions",
          config.name, config.data.train.data_root.string(), printable(placeholder, 40));
    }
  }
}

// What is made of a dataset and a task before training.
struct Prepared {
  TrainingTask task;
  std::vector<int64_t> bad;            // pictures that are known to be damaged
  std::optional<double> scale_factor;  // that scale_by_std found
};

Prepared prepare_diffusion(const TrainConfig& config, const TaskOptions& options,
                           const std::shared_ptr<const PictureFolder>& pictures,
                           Communicator& communicator, const TrainCallbacks& callbacks) {
  DiffusionTraining training = std::get<DiffusionTraining>(config.model);
  const auto model = make_training_model(training, options);
  std::shared_ptr<LatentCache> cache;
  const Dataset data = as_dataset(pictures);
  if (!config.data.cache_latents.empty()) {
    if (pictures->is_random()) {
      fail_usage(
          "{}: cache_latents keeps one picture of each example, but random_crop or flip_p make "
          "them different every time; leave one of the two out",
          config.name);
    }
    LatentCacheOptions cached{.path = config.data.cache_latents,
                              .key = picture_key(*pictures),
                              .num_workers = config.data.num_workers,
                              .device = options.device,
                              .progress = callbacks.on_encoded,
                              .log = options.log};
    // One process makes it, the others read it.
    for (const bool turn : {true, false}) {
      if ((communicator.rank() == 0) == turn) {
        cache = std::make_shared<LatentCache>(make_latent_cache(data, model->autoencoder, cached));
      }
      communicator.barrier();
    }
  }
  Prepared prepared;
  if (training.scale_by_std) {
    // Every process takes the batch of the first, so all find the same.
    DataLoader loader(data, {.batch_size = config.data.batch_size,
                             .seed = options.seed,
                             .load_pictures = cache == nullptr,
                             .bad = cache ? cache->bad() : std::vector<int64_t>()});
    find_scale(*model, loader.next(), cache.get(), options.log);
    prepared.scale_factor = model->config.scale_factor;
  }
  if (cache) prepared.bad = cache->bad();
  prepared.task = make_diffusion_task(training, config.optimizer, options, model, cache);
  return prepared;
}

Prepared prepare(const TrainConfig& config, const TaskOptions& options,
                 const std::shared_ptr<const PictureFolder>& pictures, Communicator& communicator,
                 const TrainCallbacks& callbacks) {
  if (std::holds_alternative<DiffusionTraining>(config.model)) {
    return prepare_diffusion(config, options, pictures, communicator, callbacks);
  }
  if (!config.data.cache_latents.empty()) {
    fail_usage("{}: cache_latents is for the training of latent diffusion only", config.name);
  }
  if (const auto* autoencoder = std::get_if<AutoencoderTraining>(&config.model)) {
    if (autoencoder->loss.use_actnorm && communicator.world() > 1) {
      fail_usage(
          "{}: use_actnorm takes its first values from the first batch, which differs in each "
          "process; train in one process, or without it",
          config.name);
    }
    Prepared prepared;
    prepared.task = make_autoencoder_task(*autoencoder, config.optimizer, options);
    return prepared;
  }
  if (config.data.batch_size < 2) {
    fail_usage("{}: captions and pictures are told apart within a batch: batch_size is 2 or more",
               config.name);
  }
  Prepared prepared;
  prepared.task =
      make_contrastive_task(std::get<ContrastiveTraining>(config.model), config.optimizer, options);
  return prepared;
}

// The kept config says what this run has settled, so that resuming it needs no options.
void keep_settings(TrainConfig& config, const Prepared& prepared) {
  std::string& text = config.text;
  text = with_value(text, "run.seed", field_text(config.run.seed));
  text = with_value(text, "run.scale_lr", field_text(config.run.scale_lr));
  text = with_value(text, "run.format", config.run.format);
  if (!prepared.scale_factor) return;
  text = with_value(text, "model.params.scale_by_std", "false");
  text = with_value(text, "model.params.scale_factor", field_text(*prepared.scale_factor));
}

}  // namespace

TrainOutcome run_training(const TrainRequest& request, const TrainCallbacks& callbacks) {
  TrainConfig config = read_config(request);
  const at::Device device = device_of(request);
  if (config.trainer.precision == Precision::Float16 && device.is_cpu()) {
    fail_usage("precision 16 is for CUDA devices; on a CPU take bf16 or 32");
  }
  const auto pictures = std::make_shared<const PictureFolder>(config.data.train);
  std::optional<Dataset> validation;
  if (config.data.validation) {
    validation = as_dataset(std::make_shared<const PictureFolder>(*config.data.validation));
  }
  if (const auto* training = std::get_if<DiffusionTraining>(&config.model)) {
    check_fits(*training, config, *pictures);
  }
  const bool is_main = request.rank == 0;
  const auto seed = static_cast<uint64_t>(config.run.seed);
  const TaskOptions options{
      .device = device,
      .seed = seed,
      .channels_last = device.is_cuda(),
      .vocabulary = request.vocabulary,
      .log = is_main ? callbacks.log : Log(),
  };
  Communicator communicator({.rank = request.rank,
                             .world = request.world,
                             .master_address = request.master_address,
                             .master_port = request.master_port,
                             .store_is_served = request.store_is_served},
                            device);
  Prepared prepared = prepare(config, options, pictures, communicator, callbacks);
  keep_settings(config, prepared);

  const double scale = config.run.scale_lr
                           ? static_cast<double>(request.world * config.data.batch_size *
                                                 config.trainer.accumulate_grad_batches)
                           : 1.0;
  TrainerOptions trainer{.config = config.trainer,
                         .learning_rate = config.base_learning_rate * scale,
                         .lr_schedule = config.lr_schedule,
                         .use_ema = config.use_ema,
                         .monitor = config.monitor,
                         .batch_size = config.data.batch_size,
                         .num_workers = config.data.num_workers,
                         .seed = seed,
                         .device = device,
                         .folder = request.folder,
                         .resume = request.resume,
                         .extension = "." + config.run.format,
                         .config_text = config.text,
                         .bad_examples = std::move(prepared.bad),
                         .on_step = is_main ? callbacks.on_step : nullptr,
                         .stop = callbacks.stop,
                         .log = options.log};
  say(options.log, LogLevel::Info,
      fmt::format("{}: {} pictures, batches of {} x {} x {}, learning rate {:.3g}",
                  request.folder.string(), pictures->size(), request.world, trainer.batch_size,
                  trainer.config.accumulate_grad_batches, trainer.learning_rate));
  return train(prepared.task, as_dataset(pictures), validation, communicator, trainer);
}

}  // namespace easel
