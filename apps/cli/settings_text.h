// The settings that a PNG file carries: the `parameters` text of A1111's webui, which its users'
// tools read, and one JSON field "easel" with everything.
#pragma once

#include <cstdint>
#include <string>

#include <easel/io/image.h>
#include <easel/pipeline/open_model.h>
#include <easel/pipeline/settings.h>

#include "cli/txt2img_options.h"

namespace easel::cli {

// What a picture was made with, defaults filled in.
struct MadeWith {
  Txt2ImgOptions options;
  PictureSettings settings;
  ModelSummary model;
  std::string prompt;
  uint64_t seed = 0;
  int64_t number = 0;  // of the picture in its run
};

// "PROMPT\nNegative prompt: ...\nSteps: 20, Sampler: ddim, CFG scale: 7.5, Seed: 42, Size: 512x512,
// ..."
std::string parameters_text(const MadeWith& made);

std::string settings_json(const MadeWith& made);

// Both, as the text of a PNG file.
PngText settings_text(const MadeWith& made);

}  // namespace easel::cli
