// A whole run as a program asks for it: many batches and their seeds. No LibTorch in this header.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <easel/base/error.h>
#include <easel/base/progress.h>
#include <easel/checkpoint/lora_choice.h>
#include <easel/io/image.h>
#include <easel/pipeline/canvas.h>
#include <easel/pipeline/control_choice.h>
#include <easel/pipeline/hires.h>
#include <easel/pipeline/image_prompt_choice.h>
#include <easel/pipeline/init_settings.h>
#include <easel/pipeline/open_model.h>
#include <easel/pipeline/safety_checker.h>
#include <easel/pipeline/settings.h>
#include <easel/pipeline/upscale.h>

namespace easel {

// How pictures get their noise: see NoiseSource.
enum class Seeding { Image, Batch };

// What a run of img2img starts from; the settings' size is the canvas's, or what an upscaler makes
// of it.
struct RunInit {
  Canvas canvas;
  double strength = 0.75;
  double image_scale = 1.5;  // of InstructPix2Pix
  int64_t noise_level = 20;  // of an upscaler
  Encode encode = Encode::Mean;
};

struct RunRequest {
  std::vector<std::vector<std::string>> batches;  // the prompts of each batch, one per picture
  PictureSettings settings;
  std::optional<RunInit> init;           // nothing: txt2img
  std::optional<HiresSettings> hires{};  // for txt2img: a second, larger pass
  std::filesystem::path upscale{};       // an upscaler model for the drawn pictures; may be empty
  int64_t upscale_tile = kUpscaleTile;   // of all upscaler models; see upscale()
  std::vector<LoraChoice> loras{};       // for every picture, before those that its prompt names
  std::vector<std::filesystem::path> lora_folders{};  // where <lora:NAME:WEIGHT> is looked for
  std::vector<ControlChoice> controls{};  // ControlNets and T2I-Adapters, for every picture
  std::vector<ImagePromptChoice> image_prompts{};  // IP-Adapters, for every picture
  std::filesystem::path image_encoder{};  // theirs; empty: as with_image_prompts() finds it
  uint64_t seed = 42;        // picture k of the run has seed + k; Seeding::Batch: of the one stream
  std::string rng = "cuda";  // a name of Rng
  Seeding seeding = Seeding::Image;
  bool fixed_code = false;             // one x_T, of the first batch's size, for every batch
  std::filesystem::path init_latents;  // x_T from a file; may be empty
  std::filesystem::path
      save_latents;        // final latents of all pictures, .safetensors or .npy; may be empty
  bool overwrite = false;  // save_latents may replace a file
  std::shared_ptr<const SafetyChecker> safety_checker{};  // may be null: nothing is withheld
};

struct RunPicture {
  Image image;
  int64_t number;  // 0-based in the run
  std::string prompt;
  uint64_t seed;          // seed + number, or the run's seed with Seeding::Batch
  bool withheld = false;  // the safety checker has: the image is black
};

struct RunStep {
  int64_t batch, batches;  // 1-based
  int64_t step, steps;     // 1-based, after the step is done
};

struct RunCallbacks {
  Log log{};
  std::function<void(const RunStep&)> on_step{};   // may throw to cancel
  std::function<void(RunPicture&&)> on_picture{};  // in order, after each batch
  // Quick looks at the batch (see LatentPreview), every `preview_every` steps.
  std::function<void(std::vector<Image>&&)> on_preview{};
  int64_t preview_every = 0;  // 0: none
  // Asked before each batch, whose first picture has the number `first`: false passes it over. With
  // Seeding::Batch it is drawn all the same, since later ones depend on it.
  std::function<bool(size_t batch, int64_t first)> wants{};
  // A batch has failed, and the next one is drawn unless this throws, as it may with `throw;`.
  // Where it is empty, and with Seeding::Batch, the run ends with the error.
  std::function<void(int64_t first, int64_t num, const Error& error)> on_error{};
};

// Throws Error (Usage) on what cannot be meant, before a model is loaded: settings, names, the
// paths of the latents, adapters that are not there, prompts of one batch that name different ones.
void check(const RunRequest& request);

// Draws the batches in order. The adapters that their prompts name are merged into a copy of the
// weights that they change, once for all batches in a row that name the same.
void run_pictures(const StableDiffusion& model, const RunRequest& request,
                  const RunCallbacks& callbacks = {});

}  // namespace easel
