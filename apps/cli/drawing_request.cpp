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
          .weighting = weighting_from_name(options.prompt.weighting),
          .tuning = options.sampling.tuning,
          .pixel_rounding = pixel_rounding_from_name(options.batch.pixel_rounding)};
}

RunRequest make_request(const DrawingOptions& options, PictureSettings settings,
                        const std::vector<std::string>& prompts) {
  RunRequest request{.batches = {},
                     .settings = std::move(settings),
                     .init = {},
                     .loras = {},
                     .lora_folders = {options.prompt.lora_dir},
                     .seed = static_cast<uint64_t>(options.noise.seed),
                     .rng = options.noise.rng,
                     .seeding = options.noise.seeding == "batch" ? Seeding::Batch : Seeding::Image,
                     .fixed_code = options.noise.fixed_code,
                     .init_latents = options.noise.init_latents,
                     .save_latents = options.output.save_latents,
                     .overwrite = options.output.overwrite};
  LoraFinder finder(request.lora_folders);
  for (const std::string& text : options.prompt.lora) {
    request.loras.push_back(finder.from_text(text));
  }
  const auto batches = in_batches(prompts, static_cast<size_t>(options.batch.n_samples));
  constexpr double most = 1e6;
  if (static_cast<double>(options.batch.n_iter) * static_cast<double>(prompts.size()) > most) {
    fail_usage("n_iter {} times {} pictures are more than {:.0f}: make fewer in one run",
               options.batch.n_iter, prompts.size(), most);
  }
  for (int64_t i = 0; i < options.batch.n_iter; ++i) {
    request.batches.insert(request.batches.end(), batches.begin(), batches.end());
  }
  if (!options.output.file.empty() &&
      (request.batches.size() != 1 || request.batches[0].size() != 1)) {
    fail_usage(
        "-o names one file, and this would be several pictures (n_samples {}, n_iter {}, {} "
        "prompts): use --outdir",
        options.batch.n_samples, options.batch.n_iter, prompts.size());
  }
  return request;
}

PromptFile read_prompts(const DrawingOptions& options) {
  if (!options.prompt.from_file.empty()) return read_prompt_file(options.prompt.from_file);
  return {.prompts = std::vector<std::string>(static_cast<size_t>(options.batch.n_samples),
                                              options.prompt.prompt),
          .errors = {}};
}

}  // namespace easel::cli
