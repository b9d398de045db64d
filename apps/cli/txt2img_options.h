// txt2img's options, each named once: CompVis's with their spellings and defaults, and what Easel
// adds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <easel/base/fields.h>

#include "cli/arguments.h"

namespace easel::cli {

struct Txt2ImgOptions {
  std::string prompt = "a painting of a virus monster playing guitar";
  std::string negative_prompt;
  std::string from_file;
  int64_t clip_skip = 1;

  int64_t height = 512;
  int64_t width = 512;
  int64_t latent_channels = 4;
  int64_t downsampling = 8;
  int64_t n_samples = 3;
  int64_t n_iter = 2;
  std::string pixel_rounding = "truncate";

  std::string sampler = "ddim";
  bool plms = false;
  bool dpm_solver = false;
  std::string schedule;
  int64_t steps = 50;
  std::optional<double> eta;
  double scale = 7.5;

  int64_t seed = 42;
  std::string rng = "cuda";
  std::string seeding = "image";
  bool fixed_code = false;
  std::filesystem::path init_latents;

  std::filesystem::path ckpt;
  std::filesystem::path model;
  std::filesystem::path config;
  std::filesystem::path vae;
  bool use_ema = false;
  bool laion400m = false;

  std::string device = "auto";
  std::string precision = "autocast";
  std::string dtype = "auto";
  int64_t threads = 0;

  std::filesystem::path outdir = "outputs/txt2img-samples";
  std::string output;
  bool skip_save = false;
  bool skip_grid = false;
  int64_t n_rows = 0;
  std::filesystem::path save_latents;
  bool no_metadata = false;
  bool overwrite = false;

  std::string progress = "auto";
  bool quiet = false;
  bool verbose = false;
  bool list_samplers = false;
  bool version = false;
  bool help = false;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    prompt_fields(self, visit);
    picture_fields(self, visit);
    sampling_fields(self, visit);
    noise_fields(self, visit);
    model_fields(self, visit);
    device_fields(self, visit);
    output_fields(self, visit);
    message_fields(self, visit);
  }

 private:
  template <class Self, class Visit>
  static void prompt_fields(Self& self, Visit& visit) {
    constexpr std::string_view group = "What to draw";
    visit(self.prompt,
          FieldInfo{.name = "prompt", .group = group, .help = "what to draw", .value = "TEXT"});
    visit(self.negative_prompt,
          FieldInfo{.name = "negative-prompt",
                    .aliases = "n",
                    .group = group,
                    .help = "what to stay away from (needs a scale other than 1)",
                    .value = "TEXT"});
    visit(self.from_file,
          FieldInfo{.name = "from-file",
                    .group = group,
                    .help =
                        "prompts instead of --prompt, one a line, in batches of n_samples; '-' is "
                        "the standard input",
                    .value = "FILE",
                    .setting = false});
    visit(
        self.clip_skip,
        FieldInfo{.name = "clip-skip",
                  .group = group,
                  .help = "which layer of the text encoder is used, counted from its end; 1 is the "
                          "model's own",
                  .value = "N"});
  }

  template <class Self, class Visit>
  static void picture_fields(Self& self, Visit& visit) {
    constexpr std::string_view group = "Pictures";
    visit(self.height, FieldInfo{.name = "H",
                                 .aliases = "height",
                                 .group = group,
                                 .help = "height in pixels; multiples of 64 are best",
                                 .value = "N"});
    visit(self.width, FieldInfo{.name = "W",
                                .aliases = "width",
                                .group = group,
                                .help = "width in pixels; multiples of 64 are best",
                                .value = "N"});
    visit(self.latent_channels, FieldInfo{.name = "C",
                                          .group = group,
                                          .help = "latent channels; must be the model's",
                                          .value = "N",
                                          .setting = false});
    visit(self.downsampling,
          FieldInfo{.name = "f",
                    .group = group,
                    .help = "pixels per latent along a side; must be the model's",
                    .value = "N",
                    .setting = false});
    visit(self.n_samples, FieldInfo{.name = "n_samples",
                                    .group = group,
                                    .help = "pictures drawn at once, the batch (1 with -o)",
                                    .value = "N"});
    visit(self.n_iter, FieldInfo{.name = "n_iter",
                                 .group = group,
                                 .help = "how often it is all drawn (1 with -o)",
                                 .value = "N"});
    visit(self.pixel_rounding,
          FieldInfo{.name = "pixel-rounding",
                    .group = group,
                    .help = "how values become bytes, as CompVis and as diffusers does it",
                    .value = "HOW",
                    .choices = "truncate,nearest"});
  }

  template <class Self, class Visit>
  static void sampling_fields(Self& self, Visit& visit) {
    constexpr std::string_view group = "Sampling";
    visit(self.sampler, FieldInfo{.name = "sampler",
                                  .group = group,
                                  .help = "how the noise is taken away; --list-samplers lists them",
                                  .value = "NAME"});
    visit(self.plms,
          FieldInfo{.name = "plms", .group = group, .help = "--sampler plms", .setting = false});
    visit(self.dpm_solver, FieldInfo{.name = "dpm_solver",
                                     .group = group,
                                     .help = "--sampler dpm_solver",
                                     .setting = false});
    visit(self.schedule,
          FieldInfo{.name = "schedule",
                    .group = group,
                    .help = "how the noise levels are spaced, by default as the sampler "
                            "has it; --list-samplers lists them",
                    .value = "NAME"});
    visit(self.steps, FieldInfo{.name = "steps",
                                .aliases = "ddim_steps",
                                .group = group,
                                .help = "sampling steps",
                                .value = "N"});
    visit(self.eta, FieldInfo{.name = "eta",
                              .aliases = "ddim_eta",
                              .group = group,
                              .help = "share of fresh noise at each step, 0 to 1, by default the "
                                      "sampler's own (ddim: 0)",
                              .value = "X"});
    visit(self.scale,
          FieldInfo{.name = "scale",
                    .aliases = "cfg-scale",
                    .group = group,
                    .help = "classifier-free guidance: how closely the prompt is followed; "
                            "1 turns it off",
                    .value = "X"});
  }

  template <class Self, class Visit>
  static void noise_fields(Self& self, Visit& visit) {
    constexpr std::string_view group = "Noise";
    visit(self.seed, FieldInfo{.name = "seed",
                               .group = group,
                               .help = "seed of the first picture; -1 draws one and says which",
                               .value = "N"});
    visit(self.rng,
          FieldInfo{.name = "rng",
                    .group = group,
                    .help = "whose random numbers: those of PyTorch on a CPU or on a CUDA GPU; "
                            "either is the same on every device",
                    .value = "NAME",
                    .choices = "cuda,cpu"});
    visit(self.seeding, FieldInfo{.name = "seeding",
                                  .group = group,
                                  .help = "image: picture k has the seed + k; batch: one stream of "
                                          "numbers for the whole run, as in CompVis's",
                                  .value = "HOW",
                                  .choices = "image,batch"});
    visit(self.fixed_code, FieldInfo{.name = "fixed_code",
                                     .group = group,
                                     .help = "every batch starts from the same noise"});
    visit(self.init_latents,
          FieldInfo{.name = "init-latents",
                    .group = group,
                    .help =
                        "start from the noise in FILE (.npy, .safetensors or torch): [C, h, w], or "
                        "[n, C, h, w] with n 1, n_samples or the number of pictures",
                    .value = "FILE"});
  }

  template <class Self, class Visit>
  static void model_fields(Self& self, Visit& visit) {
    constexpr std::string_view group = "Model";
    visit(self.ckpt,
          FieldInfo{.name = "ckpt",
                    .group = group,
                    .help = "checkpoint, .ckpt or .safetensors (by default "
                            "models/ldm/stable-diffusion-v1/model.ckpt, else the model that "
                            "comes with Easel)",
                    .value = "FILE",
                    .setting = false});
    visit(self.model,
          FieldInfo{.name = "model",
                    .group = group,
                    .help = "the same, or a diffusers folder, the name of a folder in models/, or "
                            "OWNER/NAME, as easel-checkpoint fetches it from the hub",
                    .value = "PATH",
                    .setting = false});
    visit(self.config,
          FieldInfo{.name = "config",
                    .group = group,
                    .help = "the model's description in CompVis's YAML (by default the "
                            "model's own, else v1-inference.yaml)",
                    .value = "FILE",
                    .setting = false});
    visit(self.vae, FieldInfo{.name = "vae",
                              .group = group,
                              .help = "weights that replace the model's autoencoder",
                              .value = "FILE",
                              .setting = false});
    visit(self.use_ema, FieldInfo{.name = "use-ema",
                                  .group = group,
                                  .help = "take the averaged (EMA) weights that training kept"});
    visit(self.laion400m, FieldInfo{.name = "laion400m",
                                    .group = group,
                                    .help = "CompVis's older model; not supported",
                                    .setting = false});
  }

  template <class Self, class Visit>
  static void device_fields(Self& self, Visit& visit) {
    constexpr std::string_view group = "Device";
    visit(self.device, FieldInfo{.name = "device",
                                 .group = group,
                                 .help = "auto, cpu, cuda or cuda:N; auto is a GPU if there is one",
                                 .value = "NAME",
                                 .setting = false});
    visit(self.precision, FieldInfo{.name = "precision",
                                    .group = group,
                                    .help = "full is float32; autocast is float16 on a GPU",
                                    .value = "HOW",
                                    .choices = "autocast,full",
                                    .setting = false});
    visit(self.dtype, FieldInfo{.name = "dtype",
                                .group = group,
                                .help = "the network's numbers; auto follows --precision",
                                .value = "NAME",
                                .choices = "auto,float32,float16,bfloat16"});
    visit(self.threads, FieldInfo{.name = "threads",
                                  .group = group,
                                  .help = "CPU threads; 0 is one a core",
                                  .value = "N",
                                  .setting = false});
  }

  template <class Self, class Visit>
  static void output_fields(Self& self, Visit& visit) {
    constexpr std::string_view group = "Output";
    visit(self.outdir, FieldInfo{.name = "outdir",
                                 .group = group,
                                 .help = "pictures go to DIR/samples, grids to DIR",
                                 .value = "DIR",
                                 .setting = false});
    visit(self.output, FieldInfo{.name = "output",
                                 .aliases = "o",
                                 .group = group,
                                 .help = "the one picture goes to FILE, .png or .jpg; '-' is the "
                                         "standard output",
                                 .value = "FILE",
                                 .setting = false});
    visit(self.skip_save, FieldInfo{.name = "skip_save",
                                    .group = group,
                                    .help = "do not save the single pictures",
                                    .setting = false});
    visit(self.skip_grid,
          FieldInfo{
              .name = "skip_grid", .group = group, .help = "do not save a grid", .setting = false});
    visit(self.n_rows, FieldInfo{.name = "n_rows",
                                 .group = group,
                                 .help = "pictures in a row of the grid; 0 is n_samples",
                                 .value = "N",
                                 .setting = false});
    visit(self.save_latents, FieldInfo{.name = "save-latents",
                                       .group = group,
                                       .help = "write the final latents too, .safetensors or .npy",
                                       .value = "FILE",
                                       .setting = false});
    visit(self.no_metadata, FieldInfo{.name = "no-metadata",
                                      .group = group,
                                      .help = "leave the settings out of the PNG files",
                                      .setting = false});
    visit(self.overwrite, FieldInfo{.name = "overwrite",
                                    .group = group,
                                    .help = "let -o and --save-latents replace a file",
                                    .setting = false});
  }

  template <class Self, class Visit>
  static void message_fields(Self& self, Visit& visit) {
    constexpr std::string_view group = "Messages (on the standard error)";
    visit(self.progress, FieldInfo{.name = "progress",
                                   .group = group,
                                   .help = "auto is a bar on a terminal, else lines",
                                   .value = "HOW",
                                   .choices = "auto,bar,lines,json,none",
                                   .setting = false});
    visit(self.quiet, FieldInfo{.name = "quiet",
                                .aliases = "q",
                                .group = group,
                                .help = "warnings and errors only",
                                .setting = false});
    visit(self.verbose, FieldInfo{.name = "verbose",
                                  .aliases = "v",
                                  .group = group,
                                  .help = "times and memory as well",
                                  .setting = false});
    visit(self.list_samplers, FieldInfo{.name = "list-samplers",
                                        .group = group,
                                        .help = "list the samplers and schedules, and end",
                                        .setting = false});
    visit(self.version, FieldInfo{.name = "version",
                                  .group = group,
                                  .help = "say which version this is, and end",
                                  .setting = false});
    visit(self.help, FieldInfo{.name = "help",
                               .aliases = "h",
                               .group = group,
                               .help = "show this, and end",
                               .setting = false});
  }
};

// Checks what can be checked before anything is loaded and settles what depends on what was given:
// --plms and its like, the counts under -o, --precision, a drawn seed. May be called again after
// the model's own defaults are in. Throws Error (Usage).
void resolve(Txt2ImgOptions& options, const Given& given);

}  // namespace easel::cli
