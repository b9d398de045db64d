// How img2img starts from its picture. No LibTorch in this header.
#pragma once

#include <string_view>

namespace easel {

// Which latents stand for a picture: the mean of the autoencoder's posterior, or a sample of it as
// in CompVis's program.
enum class Encode { Mean, Sample };

// "mean", "sample". Throws Error (Usage).
Encode encode_from_name(std::string_view name);

// Throws Error (Usage) unless it is 0 to 1.
void check_strength(double strength);

}  // namespace easel
