// What the programs that draw have in common: one struct a group of options, each option named
// once. A program's own struct holds a DrawingOptions and lists its fields among its own.
#pragma once

#include "cli/arguments.h"
#include "cli/model_options.h"
#include "cli/output_options.h"
#include "cli/prompt_options.h"
#include "cli/sampling_options.h"
#include "cli/share_options.h"
#include "cli/upscale_options.h"

namespace easel::cli {

struct DrawingOptions {
  PromptOptions prompt{};
  BatchOptions batch{};
  SamplingOptions sampling{};
  NoiseOptions noise{};
  UpscaleOptions upscale{};
  ModelOptions model{};
  DeviceOptions device{};
  OutputOptions output{};
  ShareOptions share{};
  MessageOptions messages{};

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    PromptOptions::fields(self.prompt, visit);
    fields_after_prompt(self, visit);
  }
  // The prompt comes first in a program's help, then what is its own.
  template <class Self, class Visit>
  static void fields_after_prompt(Self& self, Visit&& visit) {
    BatchOptions::fields(self.batch, visit);
    SamplingOptions::fields(self.sampling, visit);
    NoiseOptions::fields(self.noise, visit);
    UpscaleOptions::fields(self.upscale, visit);
    ModelOptions::fields(self.model, visit);
    DeviceOptions::fields(self.device, visit);
    OutputOptions::fields(self.output, visit);
    ShareOptions::fields(self.share, visit);
    MessageOptions::fields(self.messages, visit);
  }
};

// Checks what can be checked before anything is loaded and settles what depends on what was given:
// --plms and its like, the counts under -o, --precision, a drawn seed. May be called again after
// the model's own defaults are in. Throws Error (Usage).
void resolve(DrawingOptions& options, const Given& given);

}  // namespace easel::cli
