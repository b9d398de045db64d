#include "cli/txt2img_request.h"

#include <easel/base/error.h>

namespace easel::cli {

PictureSettings picture_settings(const Txt2ImgOptions& options) {
  return {.negative_prompt = options.negative_prompt,
          .width = options.width,
          .height = options.height,
          .sampler = options.sampler,
          .schedule = options.schedule,
          .steps = options.steps,
          .eta = options.eta,
          .scale = options.scale,
          .clip_skip = options.clip_skip,
          .pixel_rounding = pixel_rounding_from_name(options.pixel_rounding)};
}

RunRequest make_request(const Txt2ImgOptions& options, const std::vector<std::string>& prompts) {
  RunRequest request{.batches = {},
                     .settings = picture_settings(options),
                     .seed = static_cast<uint64_t>(options.seed),
                     .rng = options.rng,
                     .seeding = options.seeding == "batch" ? Seeding::Batch : Seeding::Image,
                     .fixed_code = options.fixed_code,
                     .init_latents = options.init_latents,
                     .save_latents = options.save_latents,
                     .overwrite = options.overwrite};
  const auto batches = in_batches(prompts, static_cast<size_t>(options.n_samples));
  constexpr double most = 1e6;
  if (static_cast<double>(options.n_iter) * static_cast<double>(prompts.size()) > most) {
    fail_usage("n_iter {} times {} pictures are more than {:.0f}: make fewer in one run",
               options.n_iter, prompts.size(), most);
  }
  for (int64_t i = 0; i < options.n_iter; ++i) {
    request.batches.insert(request.batches.end(), batches.begin(), batches.end());
  }
  if (!options.output.empty() && (request.batches.size() != 1 || request.batches[0].size() != 1)) {
    fail_usage(
        "-o names one file, and this would be several pictures (n_samples {}, n_iter {}, {} "
        "prompts): use --outdir",
        options.n_samples, options.n_iter, prompts.size());
  }
  return request;
}

PromptFile read_prompts(const Txt2ImgOptions& options) {
  if (!options.from_file.empty()) return read_prompt_file(options.from_file);
  return {
      .prompts = std::vector<std::string>(static_cast<size_t>(options.n_samples), options.prompt),
      .errors = {}};
}

}  // namespace easel::cli
