// A model that looks at pictures beside the prompt, through IP-Adapters.
#pragma once

#include <filesystem>
#include <vector>

#include <easel/checkpoint/ip_adapter.h>
#include <easel/diffusion/denoiser.h>
#include <easel/io/image.h>
#include <easel/pipeline/image_prompt_choice.h>

namespace easel {

// What stands behind the text in every context; undefined: nothing.
struct ImageTokens {
  Tensor picture_1TD;
  Tensor nothing_1TD;  // in the unconditional contexts: what the adapters make of no picture

  int64_t num() const { return picture_1TD.defined() ? picture_1TD.size(1) : 0; }
};

struct ImagePrompted {
  StableDiffusion model;  // with the adapters in its attention; the other weights are shared
  ImageTokens tokens;
};

// `encoder`: the image encoder; empty: the folder image_encoder beside the first adapter. Throws
// Error.
ImagePrompted with_image_prompts(const StableDiffusion& model,
                                 const std::vector<ImagePromptChoice>& choices,
                                 const std::filesystem::path& encoder);

// Lays one picture, RGB of any size, with its adapter over those that are there.
void add_image_prompt(ImagePrompted& prompted, const IpAdapter& adapter,
                      const ImageEncoder& encoder, const Image& picture, double scale);

// Puts the tokens behind every context.
void add_image_tokens(Guidance& guidance, const ImageTokens& tokens);

}  // namespace easel
