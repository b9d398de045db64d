// txt2img's options: CompVis's with their spellings and defaults, and what Easel adds.
#pragma once

#include <cstdint>
#include <string_view>

#include <easel/base/fields.h>

#include "cli/drawing_options.h"

namespace easel::cli {

struct Txt2ImgOptions {
  int64_t height = 512;
  int64_t width = 512;
  HiresOptions hires{};
  DrawingOptions drawing{.batch = {.n_samples = 3, .n_iter = 2},
                         .output = {.outdir = "outputs/txt2img-samples"}};

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view group = BatchOptions::kGroup;
    PromptOptions::fields(self.drawing.prompt, visit);
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
    HiresOptions::fields(self.hires, visit);
    DrawingOptions::fields_after_prompt(self.drawing, visit);
  }
};

}  // namespace easel::cli
