// The second pass that draws a picture larger than the model does at once ("hires fix" in A1111's
// webui): the picture of the first pass is enlarged and drawn over. No LibTorch in this header.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace easel {

struct HiresSettings {
  double scale = 2;   // of each side, above 1; the size is rounded down to one that can be drawn
  int64_t steps = 0;  // that are run; 0: as many as in the first pass
  double strength = 0.7;            // above 0, to 1: how much of the noise comes back
  std::string upscaler = "latent";  // a name of hires_upscalers(), or the path of an upscaler model
};

// What enlarges without a model of its own: latents (PyTorch's interpolations) or the picture.
struct HiresUpscaler {
  std::string_view name;
  std::string_view a1111;  // its name in A1111's webui
};
std::span<const HiresUpscaler> hires_upscalers();

// Whether `upscaler` names one of them; otherwise it is a path.
bool is_hires_upscaler(std::string_view upscaler);

// Throws Error (Usage) where the settings cannot be meant, or there is no such upscaler.
void check(const HiresSettings& settings);

}  // namespace easel
