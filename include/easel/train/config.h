// A training run as a YAML file in the CompVis schema describes it: model, data, lightning.
//
// What CompVis's main.py and its model classes read has its name and its default here. Added:
//   model.params.optimizer {beta1, beta2, eps, weight_decay}
//   model.params.ucg_training {txt: {p, val}}  captions replaced by `val` with probability p, as
//                                              in Stability's later code
//   model.params.snr_gamma                     min-SNR weighting
//   {first_stage_config,cond_stage_config}.params.ckpt_path, the latter also for text encoders
//   run {seed, scale_lr, format}               what easel-train's options of these names set
//   data.params.cache_latents                  a file that keeps the encoded training pictures
//   model.params.lora_config                   LoRA (lora.h)
//   model.params.personalization_config        textual inversion (textual_inversion.h), as in its
//                                              authors' code
//   easel.data.PictureFolder                   the dataset (picture_folder.h)
//   easel.models.Clip                          contrastive training of a text encoder
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <easel/checkpoint/model_config.h>
#include <easel/diffusion/loss.h>
#include <easel/models/autoencoder.h>
#include <easel/models/clip.h>
#include <easel/train/adamw.h>
#include <easel/train/autoencoder_loss.h>
#include <easel/train/lora.h>
#include <easel/train/lr_schedule.h>
#include <easel/train/picture_folder.h>
#include <easel/train/textual_inversion.h>

namespace easel {

// CompVis's AutoencoderKL with LPIPSWithDiscriminator.
struct AutoencoderTraining {
  AutoencoderConfig autoencoder;
  AutoencoderLossOptions loss;
  std::filesystem::path ckpt_path;       // weights to start from; empty: fresh ones
  std::vector<std::string> ignore_keys;  // beginnings of names in it that are left out
};

// CompVis's LatentDiffusion.
struct DiffusionTraining {
  ModelConfig model;
  DiffusionLossOptions loss;
  bool cond_stage_trainable = false;
  bool scale_by_std = false;   // scale_factor becomes 1 / std of the first batch's latents
  double caption_dropout = 0;  // probability of caption_dropout_text in a caption's place
  std::string caption_dropout_text;
  std::filesystem::path ckpt_path;  // a whole model to start from; may be empty
  std::vector<std::string> ignore_keys;
  std::filesystem::path first_stage_ckpt;  // the autoencoder's weights; may be empty with ckpt_path
  std::filesystem::path cond_stage_ckpt;   // the text encoder's; empty: fresh ones
  // At most one of them: learnt in the networks' stead, on a model from ckpt_path.
  std::optional<LoraOptions> lora;
  std::optional<TextualInversionOptions> textual_inversion;
};

// A text encoder and a picture encoder learnt against each other.
struct ContrastiveTraining {
  ClipConfig clip;
  std::string tokenizer;  // as ModelConfig's
  std::filesystem::path ckpt_path;
  std::vector<std::string> ignore_keys;
};

enum class Precision { Float32, BFloat16, Float16 };

struct DataConfig {
  int64_t batch_size = 1;  // of one process, before accumulation
  int64_t num_workers = 0;
  PictureFolderOptions train;
  std::optional<PictureFolderOptions> validation;
  std::filesystem::path cache_latents;  // empty: pictures are encoded in every step
};

// lightning.trainer, lightning.modelcheckpoint and lightning.callbacks.image_logger.
struct TrainerConfig {
  int64_t max_steps = -1;   // optimizer steps; -1: no limit but max_epochs
  int64_t max_epochs = -1;  // passes over the training data; -1: no limit but max_steps
  int64_t accumulate_grad_batches = 1;
  double gradient_clip_val = 0;  // of the norm; 0: off
  Precision precision = Precision::Float32;
  int64_t log_every_n_steps = 50;
  int64_t val_check_interval = 0;        // steps; 0: after every epoch
  int64_t limit_val_batches = 0;         // 0: all
  int64_t every_n_train_steps = 0;       // a checkpoint each; 0: after every validation
  int64_t save_top_k = 1;                // -1: keep every checkpoint under its step's number
  int64_t image_frequency = 0;           // steps between grids of pictures; 0: none
  int64_t image_count = 4;               // pictures in one
  bool image_increase_log_steps = true;  // also after 1, 2, 4 ... steps, as CompVis does
};

// What a resumed run must not change by itself, so it is kept in the run's own copy of the config.
struct RunConfig {
  int64_t seed = 23;     // of fresh weights, noise and the order of the pictures
  bool scale_lr = true;  // learning rate = processes * batch_size * accumulation * base, as CompVis
  std::string format = "safetensors";  // of the saved models, or "ckpt"
};

struct TrainConfig {
  std::string text;  // the whole YAML, as it is kept beside the run
  std::string name;  // for messages
  double base_learning_rate = 1e-4;
  std::optional<LrScheduleOptions> lr_schedule;
  AdamWOptions optimizer;
  bool use_ema = false;
  std::string monitor;  // the metric that "best" goes by, smaller is better; may be empty
  std::variant<AutoencoderTraining, DiffusionTraining, ContrastiveTraining> model;
  DataConfig data;
  TrainerConfig trainer;
  RunConfig run;
};

// Reads and merges the files and the overrides ("key.path=value"). Throws Error (Usage) naming
// file, line and key of what is missing, malformed, unknown (with the nearest known keys) or cannot
// be honoured.
TrainConfig read_train_config(const std::vector<std::filesystem::path>& bases,
                              const std::vector<std::string>& overrides = {});

}  // namespace easel
