#include "cli/drawing_request.h"

#include <utility>

#include <easel/base/error.h>

namespace easel::cli {

PictureSettings picture_settings(const DrawingOptions& options) {
  return {.negative_prompt = options.prompt.negative_prompt,
          .sampler = options.sampling.sampler,
          .schedule = options.sampling.schedule,
          .steps = options.sampling.steps,
          .eta = options.sampling.eta,
          .scale = options.sampling.scale,
          .clip_skip = options.prompt.clip_skip,
          .pixel_rounding = pixel_rounding_from_name(options.batch.pixel_rounding)};
}

RunRequest make_request(const DrawingOptions& options, PictureSettings settings,
                        std::vector<std::vector<std::string>> batches) {
  return {.batches = std::move(batches),
          .settings = std::move(settings),
          .init = {},
          .seed = static_cast<uint64_t>(options.noise.seed),
          .rng = options.noise.rng,
          .seeding = options.noise.seeding == "batch" ? Seeding::Batch : Seeding::Image,
          .fixed_code = options.noise.fixed_code,
          .init_latents = options.noise.init_latents,
          .save_latents = options.output.save_latents,
          .overwrite = options.output.overwrite};
}

std::vector<PromptLine> read_lines(const DrawingOptions& options, std::span<const Option> list) {
  if (!options.prompt.from_file.empty()) return read_prompt_file(options.prompt.from_file, list);
  return std::vector<PromptLine>(static_cast<size_t>(options.batch.n_samples));
}

}  // namespace easel::cli
