// The three things that can be trained, as tasks for the trainer.
#pragma once

#include <cstdint>
#include <memory>

#include <easel/base/progress.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/train/config.h>
#include <easel/train/task.h>

namespace easel {

struct TaskOptions {
  at::Device device = at::kCPU;
  uint64_t seed = 23;  // of fresh weights; equal in all processes
  // Memory layout of convolutions' weights, which their results take on. On a CPU PyTorch's group
  // norm has a backward pass for it that is ten times slower than the usual layout's.
  bool channels_last = false;
  std::filesystem::path vocabulary;  // CLIP's BPE file, for models with CLIP's tokenizer
  Log log;
};

// The autoencoder, and its discriminator where the loss has one (CompVis's AutoencoderKL). Saved
// under CompVis's names: encoder..., decoder..., quant_conv..., post_quant_conv..., loss...
TrainingTask make_autoencoder_task(const AutoencoderTraining& training,
                                   const AdamWOptions& optimizer, const TaskOptions& options);

// The UNet, with cond_stage_trainable also the text encoder (CompVis's LatentDiffusion). Saved as a
// whole model in CompVis's layout. Where the config asks for it, the training pictures' latents
// come from a cache that make_latent_cache made (latent_cache.h).
class LatentCache;
TrainingTask make_diffusion_task(const DiffusionTraining& training, const AdamWOptions& optimizer,
                                 const TaskOptions& options, std::shared_ptr<StableDiffusion> model,
                                 std::shared_ptr<const LatentCache> cache = {});

// The networks of a diffusion run before its first step: loaded where the config says from what,
// fresh otherwise, on the device, in float32. Throws Error where there is no autoencoder, or a
// fresh text encoder would never be trained.
std::shared_ptr<StableDiffusion> make_training_model(const DiffusionTraining& training,
                                                     const TaskOptions& options);

// scale_by_std: sets the model's scale_factor to 1 / std of the batch's latents.
void find_scale(StableDiffusion& model, const Batch& batch, const LatentCache* cache,
                const Log& log);

// CLIP's two encoders (Radford et al. 2021). Each process tells its own batch's pictures and
// captions apart, so with several processes the batches, not the number of their examples, grow.
// Saved under transformers' names, so the file serves as the text encoder of a diffusion run.
TrainingTask make_contrastive_task(const ContrastiveTraining& training,
                                   const AdamWOptions& optimizer, const TaskOptions& options);

}  // namespace easel
