// How a sampler and its guidance are tuned beyond steps, eta and scale. No LibTorch in this header.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <easel/base/fields.h>

namespace easel {

// Which sampler takes which is in the table; one that it does not take must be at its default.
struct SamplerTuning {
  std::optional<int64_t> order{};  // nullopt: the sampler's own
  std::string solver{};            // "": the sampler's own
  // Fresh noise within steps: see SamplerOptions.
  double s_churn = 0;
  double s_tmin = 0;
  std::optional<double> s_tmax{};  // nullopt: no upper end
  double s_noise = 1;
  double rtol = 0.05;
  double atol = 0.0078;
  bool clip_denoised = false;

  double guidance_rescale = 0;    // 0 to 1 (Lin et al. 2023, arXiv 2305.08891)
  std::string guidance_interval;  // "START,END", parts of the run from 0 to 1; "": all of it
  std::string guidance_schedule;  // scales, comma-separated, spread evenly over the steps; "": none
  bool zero_terminal_snr = false;  // for models that predict v or x0

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view group = "Sampling, in detail";
    visit(self.order,
          FieldInfo{.name = "sampler-order",
                    .group = group,
                    .help = "the order of a sampler that comes in several, by default its own",
                    .value = "N"});
    visit(self.solver,
          FieldInfo{.name = "solver",
                    .group = group,
                    .help = "the form of a sampler that comes in several, as bh1 and bh2 of unipc",
                    .value = "NAME"});
    visit(self.s_churn,
          FieldInfo{.name = "s-churn",
                    .group = group,
                    .help = "noise added before each step and taken away again (Karras et al.)",
                    .value = "X"});
    visit(self.s_tmin, FieldInfo{.name = "s-tmin",
                                 .group = group,
                                 .help = "the lowest noise level that is churned",
                                 .value = "SIGMA"});
    visit(self.s_tmax, FieldInfo{.name = "s-tmax",
                                 .group = group,
                                 .help = "the highest noise level that is churned, by default any",
                                 .value = "SIGMA"});
    visit(self.s_noise, FieldInfo{.name = "s-noise",
                                  .group = group,
                                  .help = "standard deviation of fresh noise",
                                  .value = "X"});
    visit(self.rtol, FieldInfo{.name = "rtol",
                               .group = group,
                               .help = "adaptive samplers: error allowed in a step, relative",
                               .value = "X"});
    visit(self.atol, FieldInfo{.name = "atol",
                               .group = group,
                               .help = "adaptive samplers: error allowed in a step, absolute",
                               .value = "X"});
    visit(self.clip_denoised, FieldInfo{.name = "clip-denoised",
                                        .group = group,
                                        .help = "ddpm: clamp each estimate to -1 to 1 (for models "
                                                "of pixels)"});
    visit(self.guidance_rescale,
          FieldInfo{.name = "guidance-rescale",
                    .group = group,
                    .help = "0 to 1: how far guidance is kept from raising the contrast; 0.7 is "
                            "usual",
                    .value = "X"});
    visit(self.guidance_interval,
          FieldInfo{.name = "guidance-interval",
                    .group = group,
                    .help = "the part of the run that is guided, as 0.1,0.8; 0 is its start, 1 its "
                            "end",
                    .value = "START,END"});
    visit(self.guidance_schedule,
          FieldInfo{.name = "guidance-schedule",
                    .group = group,
                    .help = "scales in place of --scale, spread evenly over the steps and linear "
                            "in between, as 9,3",
                    .value = "X,X,..."});
    visit(self.zero_terminal_snr,
          FieldInfo{.name = "zero-terminal-snr",
                    .group = group,
                    .help = "start from noise alone (for v models that were trained to)"});
  }
};

}  // namespace easel
