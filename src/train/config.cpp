#include "easel/train/config.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <easel/base/error.h>

#include "../checkpoint/config_map.h"
#include "../checkpoint/config_targets.h"
#include "../checkpoint/model_config_checks.h"
#include "../checkpoint/read_parts.h"
#include "adapter_params.h"
#include "lr_schedule_params.h"
#include "merge_configs.h"

namespace easel {
namespace {

constexpr IntegerRange kPositive{.min = 1};
constexpr IntegerRange kCount{.min = 0, .max = int64_t{1} << 40};
constexpr IntegerRange kCountOrNone{.min = -1, .max = int64_t{1} << 40};

// Every field of an options struct that lists them, by its name.
template <class Options>
void read_fields(ConfigMap& map, Options& options) {
  visit_fields(options, [&](auto& field, const FieldInfo& info) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if (!map.has(info.name)) {
      map.ignore({info.name});
    } else if constexpr (std::is_same_v<Field, bool>) {
      field = map.boolean(info.name, field);
    } else if constexpr (std::is_same_v<Field, int64_t>) {
      field = map.integer(info.name, field, kCountOrNone);
    } else if constexpr (std::is_same_v<Field, double>) {
      field = map.number(info.name, field);
    } else {
      field = map.text(info.name, std::nullopt);
    }
  });
}

std::vector<std::string> ignore_keys(ConfigMap& params) {
  if (params.has("ignore_keys")) return params.texts("ignore_keys");
  params.ignore({"ignore_keys"});
  return {};
}

AdamWOptions read_optimizer(ConfigMap& params, AdamWOptions optimizer) {
  std::optional<ConfigMap> map = params.optional_map("optimizer");
  if (!map) return optimizer;
  optimizer.beta1 = map->number("beta1", optimizer.beta1);
  optimizer.beta2 = map->number("beta2", optimizer.beta2);
  optimizer.eps = map->number("eps", optimizer.eps);
  optimizer.weight_decay = map->number("weight_decay", optimizer.weight_decay);
  for (const std::string_view key : {"beta1", "beta2"}) {
    const double beta = key == "beta1" ? optimizer.beta1 : optimizer.beta2;
    if (!(beta >= 0 && beta < 1)) map->reject(key, "expected 0 to below 1");
  }
  if (!(optimizer.eps > 0)) map->reject("eps", "expected a number above 0");
  if (!(optimizer.weight_decay >= 0)) map->reject("weight_decay", "expected 0 or more");
  map->finish();
  return optimizer;
}

std::optional<LrScheduleOptions> read_lr_schedule(ConfigMap& params) {
  std::optional<ConfigMap> map = params.optional_map("scheduler_config");
  if (!map) return std::nullopt;
  LrScheduleKind kind{};
  try {
    kind = lr_schedule_kind(map->text("target", std::nullopt));
  } catch (const Error& error) {
    map->reject("target", error.what());
  }
  LrScheduleOptions schedule{.kind = kind, .cycles = {}};
  std::optional<ConfigMap> given = map->optional_map("params");
  map->finish();
  if (given) {
    read_lr_schedule_params(*given, schedule);
    given->finish();
  } else if (kind != LrScheduleKind::Constant) {
    map->reject("params", "the cycles of the schedule are missing");
  }
  return schedule;
}

PictureFolderOptions read_dataset(ConfigMap map) {
  const std::string target = map.text("target", std::nullopt);
  if (target != "easel.data.PictureFolder") {
    constexpr std::array<std::string_view, 1> known{"easel.data.PictureFolder"};
    map.reject("target", unknown_name("dataset", target, known));
  }
  ConfigMap params = map.map("params");
  map.finish();
  PictureFolderOptions options;
  if (!params.has("data_root")) params.text("data_root", std::nullopt);
  read_fields(params, options);
  params.finish();
  return options;
}

DataConfig read_data(ConfigMap map) {
  const std::string target = map.text("target", "main.DataModuleFromConfig");
  if (target != "main.DataModuleFromConfig") {
    constexpr std::array<std::string_view, 1> known{"main.DataModuleFromConfig"};
    map.reject("target", unknown_name("data module", target, known));
  }
  ConfigMap params = map.map("params");
  map.finish();
  DataConfig data;
  data.batch_size = params.integer("batch_size", std::nullopt, kPositive);
  // main.py takes twice the batch size where no number is given; that many threads are of no use.
  data.num_workers = params.integer("num_workers", 2, {.min = 0, .max = 1024});
  params.boolean("wrap", false);  // wraps the dataset in an object that changes nothing
  data.cache_latents = params.text("cache_latents", "");
  data.train = read_dataset(params.map("train"));
  if (auto validation = params.optional_map("validation"))
    data.validation = read_dataset(*validation);
  params.finish();
  return data;
}

Precision read_precision(ConfigMap& trainer) {
  if (!trainer.has("precision")) {
    trainer.ignore({"precision"});
    return Precision::Float32;
  }
  const std::string text = trainer.text("precision", std::nullopt);
  if (text == "32") return Precision::Float32;
  if (text == "16") return Precision::Float16;
  if (text == "bf16") return Precision::BFloat16;
  trainer.reject("precision",
                 fmt::format("got '{}', expected 32, 16 or bf16", printable(text, 40)));
}

void read_image_logger(ConfigMap map, TrainerConfig& trainer) {
  map.ignore({"target"});
  std::optional<ConfigMap> params = map.optional_map("params");
  map.finish();
  if (!params) return;
  trainer.image_frequency = params->integer("batch_frequency", std::nullopt, kPositive);
  trainer.image_count = params->integer("max_images", trainer.image_count, {.min = 1, .max = 1024});
  trainer.image_increase_log_steps =
      params->boolean("increase_log_steps", trainer.image_increase_log_steps);
  params->require("clamp", "true", "pictures are always clamped");
  params->finish();
}

TrainerConfig read_trainer(ConfigMap map, std::string& monitor) {
  TrainerConfig trainer;
  if (auto given = map.optional_map("trainer")) {
    trainer.max_steps = given->integer("max_steps", -1, kCountOrNone);
    trainer.max_epochs = given->integer("max_epochs", -1, kCountOrNone);
    trainer.accumulate_grad_batches = given->integer("accumulate_grad_batches", 1, kPositive);
    trainer.gradient_clip_val = given->number("gradient_clip_val", 0.0);
    if (!(trainer.gradient_clip_val >= 0)) given->reject("gradient_clip_val", "expected 0 or more");
    trainer.precision = read_precision(*given);
    trainer.log_every_n_steps = given->integer("log_every_n_steps", 50, kPositive);
    trainer.val_check_interval = given->integer("val_check_interval", 0, kCount);
    trainer.limit_val_batches = given->integer("limit_val_batches", 0, kCount);
    given->ignore({"benchmark", "num_sanity_val_steps"});
    for (const std::string_view key :
         {"gpus", "devices", "accelerator", "strategy", "num_nodes", "distributed_backend"}) {
      given->require(key, "",
                     "the device is chosen with --device, several processes with torchrun");
    }
    given->finish();
  }
  if (auto given = map.optional_map("modelcheckpoint")) {
    given->ignore({"target"});
    if (auto params = given->optional_map("params")) {
      trainer.every_n_train_steps = params->integer("every_n_train_steps", 0, kCount);
      trainer.save_top_k = params->integer("save_top_k", 1, {.min = -1, .max = 1});
      monitor = params->text("monitor", monitor);
      params->require("save_last", "true", "the last state is always saved");
      params->finish();
    }
    given->finish();
  }
  if (auto callbacks = map.optional_map("callbacks")) {
    if (auto logger = callbacks->optional_map("image_logger")) read_image_logger(*logger, trainer);
    callbacks->finish();
  }
  map.finish();
  return trainer;
}

AutoencoderTraining read_autoencoder_training(ConfigMap& params) {
  AutoencoderTraining training;
  ConfigMap loss = params.map("lossconfig");
  const std::string target = loss.text("target", std::nullopt);
  if (target != "ldm.modules.losses.LPIPSWithDiscriminator") {
    constexpr std::array<std::string_view, 1> known{"ldm.modules.losses.LPIPSWithDiscriminator"};
    loss.reject("target", unknown_name("loss", target, known));
  }
  ConfigMap given = loss.map("params");
  loss.finish();
  if (!given.has("disc_start")) given.integer("disc_start", std::nullopt);
  read_fields(given, training.loss);
  given.finish();
  check(training.loss);
  training.ckpt_path = params.text("ckpt_path", "");
  training.ignore_keys = ignore_keys(params);
  params.require("image_key", "image", "the dataset gives pictures under no other key");
  return training;
}

std::string stage_ckpt(ConfigMap& params, std::string_view stage) {
  ConfigMap map = params.map(stage);
  auto stage_params = map.optional_map("params");
  return stage_params ? stage_params->text("ckpt_path", "") : std::string();
}

// Keys of CompVis's and Stability's training that would change what is trained, and cannot here.
void require_plain_training(ConfigMap& params) {
  params.require("num_timesteps_cond", "1", "noise on the conditioning");
  params.require("load_only_unet", "false",
                 "first_stage_config.params.ckpt_path and cond_stage_config.params.ckpt_path say "
                 "where the other parts come from");
  params.require("unet_trainable", "true", "the UNet is always trained");
  params.require("make_it_fit", "false", "weights of other shapes");
  params.require("reset_ema", "false", "averages start as copies of the weights");
  params.require("reset_num_ema_updates", "false", "averages start as copies of the weights");
  params.require("finetune_keys", "", "weights of other shapes");
  for (const auto& [key, known] : {std::pair<std::string_view, std::array<std::string_view, 4>>{
                                       "first_stage_key", {"image", "jpg", "png", "pixel_values"}},
                                   {"cond_stage_key", {"txt", "caption", "text", "prompt"}}}) {
    const std::string given = params.text(key, std::string(known[0]));
    if (std::find(known.begin(), known.end(), given) == known.end()) {
      params.reject(key, fmt::format("got '{}', but the dataset gives pictures (image) and "
                                     "captions (txt) only",
                                     printable(given, 60)));
    }
  }
}

// The keys of a LatentDiffusion that parse_model_config leaves to training.
DiffusionTraining read_diffusion_training(ConfigMap& params) {
  require_plain_training(params);
  DiffusionTraining training;
  training.cond_stage_trainable = params.boolean("cond_stage_trainable", false);
  training.scale_by_std = params.boolean("scale_by_std", false);
  training.ckpt_path = params.text("ckpt_path", "");
  training.ignore_keys = ignore_keys(params);
  training.first_stage_ckpt = stage_ckpt(params, "first_stage_config");
  training.cond_stage_ckpt = stage_ckpt(params, "cond_stage_config");
  training.lora = read_lora(params);
  training.textual_inversion = read_textual_inversion(params);
  read_fields(params, training.loss);
  check(training.loss);
  if (auto dropout = params.optional_map("ucg_training")) {
    if (auto caption = dropout->optional_map("txt")) {
      training.caption_dropout = caption->number("p", std::nullopt);
      if (!(training.caption_dropout >= 0 && training.caption_dropout <= 1)) {
        caption->reject("p", "expected a probability, 0 to 1");
      }
      training.caption_dropout_text = caption->text("val", "");
      caption->finish();
    }
    dropout->finish();
  }
  return training;
}

ClipVisionConfig read_vision(ConfigMap params) {
  ClipVisionConfig vision;
  vision.hidden_size = params.integer("hidden_size", vision.hidden_size, kPositive);
  vision.intermediate_size =
      params.integer("intermediate_size", vision.intermediate_size, kPositive);
  vision.num_hidden_layers =
      params.integer("num_hidden_layers", vision.num_hidden_layers, kPositive);
  vision.num_attention_heads =
      params.integer("num_attention_heads", vision.num_attention_heads, kPositive);
  vision.num_channels = params.integer("num_channels", vision.num_channels, kPositive);
  vision.image_size = params.integer("image_size", vision.image_size, kPositive);
  vision.patch_size = params.integer("patch_size", vision.patch_size, kPositive);
  vision.hidden_act = params.text("hidden_act", vision.hidden_act);
  vision.layer_norm_eps = params.number("layer_norm_eps", vision.layer_norm_eps);
  params.finish();
  return vision;
}

// transformers' CLIPConfig: text_config, vision_config and what joins them.
ContrastiveTraining read_contrastive_training(ConfigMap& params) {
  ContrastiveTraining training;
  training.ckpt_path = params.text("ckpt_path", "");
  training.ignore_keys = ignore_keys(params);
  ConfigMap text = params.map("text_config");
  training.clip.text = read_text_encoder_params(text);
  training.tokenizer = text.text("tokenizer", "");
  text.finish();
  training.clip.vision = read_vision(params.map("vision_config"));
  training.clip.projection_dim = params.integer("projection_dim", 512, kPositive);
  training.clip.logit_scale_init_value =
      params.number("logit_scale_init_value", training.clip.logit_scale_init_value);
  return training;
}

// A relative path in a config starts at the config; what is kept of the run lies elsewhere.
void make_absolute(std::string& tokenizer, const std::string& key,
                   const std::filesystem::path& config_file, TrainConfig& config) {
  if (tokenizer.empty() || std::filesystem::path(tokenizer).is_absolute()) return;
  tokenizer =
      std::filesystem::absolute(config_file.parent_path() / tokenizer).lexically_normal().string();
  config.text = with_value(config.text, key, tokenizer);
}

RunConfig read_run(ConfigMap map) {
  RunConfig run;
  run.seed = map.integer("seed", run.seed, {.max = std::numeric_limits<int64_t>::max()});
  run.scale_lr = map.boolean("scale_lr", run.scale_lr);
  run.format = map.text("format", run.format);
  if (run.format != "safetensors" && run.format != "ckpt") {
    constexpr std::array<std::string_view, 2> known{"safetensors", "ckpt"};
    map.reject("format", unknown_name("format", run.format, known));
  }
  map.finish();
  return run;
}

enum class Kind { Autoencoder, Diffusion, Contrastive };

Kind read_kind(ConfigMap& model) {
  const std::string target = model.text("target", std::nullopt);
  if (target == "ldm.models.autoencoder.AutoencoderKL") return Kind::Autoencoder;
  if (target == "easel.models.Clip") return Kind::Contrastive;
  if (target.starts_with("ldm.models.diffusion.ddpm.")) return Kind::Diffusion;
  constexpr std::array<std::string_view, 3> known{"ldm.models.diffusion.ddpm.LatentDiffusion",
                                                  "ldm.models.autoencoder.AutoencoderKL",
                                                  "easel.models.Clip"};
  model.reject("target", unknown_name("model", target, known));
}

}  // namespace

TrainConfig read_train_config(const std::vector<std::filesystem::path>& bases,
                              const std::vector<std::string>& overrides) {
  const MergedConfig merged = merge_configs(bases, overrides);
  TrainConfig config;
  config.text = merged.text;
  config.name = merged.name;
  ConfigMap root = ConfigMap::parse(merged.text, merged.name);
  ConfigMap model = root.map("model");
  const Kind kind = read_kind(model);
  config.base_learning_rate = model.number("base_learning_rate", std::nullopt);
  if (!(config.base_learning_rate > 0))
    model.reject("base_learning_rate", "expected a number above 0");
  ConfigMap params = model.map("params");
  model.finish();

  config.monitor = params.has("monitor") ? params.text("monitor", std::nullopt) : std::string();
  params.ignore({"monitor"});
  AdamWOptions optimizer;
  if (kind == Kind::Autoencoder) {
    // CompVis trains the autoencoder with Adam(0.5, 0.9), the rest with AdamW's defaults.
    optimizer = {.beta1 = 0.5, .beta2 = 0.9, .eps = 1e-8, .weight_decay = 0};
  }
  config.optimizer = read_optimizer(params, optimizer);
  config.lr_schedule = read_lr_schedule(params);
  switch (kind) {
    case Kind::Autoencoder: {
      AutoencoderTraining training = read_autoencoder_training(params);
      training.autoencoder = read_autoencoder_params(params);
      params.finish();
      config.model = std::move(training);
      break;
    }
    case Kind::Contrastive: {
      ContrastiveTraining training = read_contrastive_training(params);
      params.finish();
      make_absolute(training.tokenizer, "model.params.text_config.tokenizer", bases.back(), config);
      config.model = std::move(training);
      break;
    }
    case Kind::Diffusion: {
      ModelConfig whole = parse_model_config(merged.text, merged.name);  // strict about its keys
      DiffusionTraining training = read_diffusion_training(params);
      config.use_ema = params.boolean("use_ema", true);
      training.model = std::move(whole);
      make_absolute(training.model.tokenizer, "model.params.cond_stage_config.params.tokenizer",
                    bases.back(), config);
      config.model = std::move(training);
      break;
    }
  }
  config.data = read_data(root.map("data"));
  if (auto run = root.optional_map("run")) config.run = read_run(*std::move(run));
  if (auto lightning = root.optional_map("lightning")) {
    config.trainer = read_trainer(*lightning, config.monitor);
  }
  root.ignore({"sampling"});
  root.finish();
  if (!config.monitor.empty() && !config.data.validation) {
    fail_usage(
        "{}: monitor '{}' needs data.params.validation, without which nothing is measured; give "
        "it, or "
        "leave the monitor out (model.params.monitor=)",
        merged.name, printable(config.monitor));
  }
  if (config.trainer.max_steps < 0 && config.trainer.max_epochs < 0) {
    fail_usage(
        "{}: nothing says when to stop; give lightning.trainer.max_steps or max_epochs (0 only "
        "checks the set-up), in the file or as an override",
        merged.name);
  }
  return config;
}

}  // namespace easel
