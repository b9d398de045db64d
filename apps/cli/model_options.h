// Options: which model, and where it runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <easel/base/fields.h>

namespace easel::cli {

// The model and its parts.
struct ModelOptions {
  std::filesystem::path ckpt;
  std::filesystem::path model;
  std::filesystem::path config;
  std::filesystem::path vae;
  bool use_ema = false;
  std::string prediction = "auto";
  bool laion400m = false;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
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
                            "model's own, else by what the file holds)",
                    .value = "FILE",
                    .setting = false});
    visit(self.vae, FieldInfo{.name = "vae",
                              .group = group,
                              .help = "weights that replace the model's autoencoder, or TAESD, "
                                      "a small and quick one",
                              .value = "FILE",
                              .setting = false});
    visit(self.use_ema, FieldInfo{.name = "use-ema",
                                  .group = group,
                                  .help = "take the averaged (EMA) weights that training kept"});
    visit(self.prediction,
          FieldInfo{.name = "prediction",
                    .group = group,
                    .help = "what the network predicts, where the model's config has it wrong or a "
                            "file of Stable Diffusion 2 is mistaken (pictures are noise)",
                    .value = "WHAT",
                    .choices = "auto,eps,v,x0"});
    visit(self.laion400m, FieldInfo{.name = "laion400m",
                                    .group = group,
                                    .help = "CompVis's older model; not supported",
                                    .setting = false});
  }
};

// Where it runs and in what numbers.
struct DeviceOptions {
  std::string device = "auto";
  std::string precision = "autocast";
  std::string dtype = "auto";
  int64_t threads = 0;
  std::string vae_tiling = "auto";
  bool low_memory = false;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
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
    visit(self.vae_tiling,
          FieldInfo{.name = "vae-tiling",
                    .group = group,
                    .help = "decode and encode in strips, without a seam, in a third of the memory "
                            "and twice the time; auto: where memory is short",
                    .value = "HOW",
                    .choices = "auto,on,off",
                    .setting = false});
    visit(self.low_memory,
          FieldInfo{.name = "low-memory",
                    .group = group,
                    .help = "leave the weights in their file and bring each layer's as it works; "
                            "the picture is the same",
                    .setting = false});
  }
};

}  // namespace easel::cli
