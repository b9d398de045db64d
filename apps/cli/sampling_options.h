// Options: how the noise is taken away, and the noise itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <easel/base/fields.h>
#include <easel/pipeline/sampler_tuning.h>

namespace easel::cli {

// The sampler, its levels and the guidance.
struct SamplingOptions {
  std::string sampler = "ddim";
  bool plms = false;
  bool dpm_solver = false;
  std::string schedule{};
  int64_t steps = 50;
  std::optional<double> eta{};
  double scale = 7.5;
  SamplerTuning tuning{};

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
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
    SamplerTuning::fields(self.tuning, visit);
  }
};

// Seeds, and whose random numbers.
struct NoiseOptions {
  int64_t seed = 42;
  std::string rng = "cuda";
  std::string seeding = "image";
  bool fixed_code = false;
  std::filesystem::path init_latents;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
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
};

}  // namespace easel::cli
