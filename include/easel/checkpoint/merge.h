// One checkpoint from two or three.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include <easel/checkpoint/convert.h>

namespace easel {

struct MergeOptions {
  // The models: A and B for a weighted sum, (1 - w) A + w B; A, B and C to add a difference,
  // A + w (B - C).
  std::vector<std::filesystem::path> models;
  double weight = 0.5;  // w
  // w for each block of the UNet, as extensions of A1111's webui have it: input blocks, middle
  // block, output blocks (12, 1 and 12 of Stable Diffusion 1 and 2), the first for the time
  // embedding and the last for the output layers too. One more number in front is w for the text
  // encoder and the autoencoder, in the place of `weight`. Empty: `weight` for all.
  std::vector<double> block_weights{};
  ConvertOptions write{};  // use_ema: of every model; config and default_config: likewise
};

// Writes `out` as convert() does, in A's layout unless another is asked for; a folder's is
// CompVis's in a file. The result is computed in float32 and has A's types unless one is asked for.
// A model with more input channels (for inpainting or InstructPix2Pix) keeps those that the others
// lack. Throws Error where the models are not of one architecture, naming the first weights that
// differ.
void merge(const std::filesystem::path& out, const MergeOptions& options);

}  // namespace easel
