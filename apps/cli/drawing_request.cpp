#include "cli/drawing_request.h"

#include <utility>

#include <easel/base/error.h>

namespace easel::cli {

PictureSettings picture_settings(const DrawingOptions& options) {
  const auto tiles = [&](std::string_view axis) {
    return options.batch.tiling && options.batch.tiling_axes.find(axis) != std::string::npos;
  };
  return {.negative_prompt = options.prompt.negative_prompt,
          .sampler = options.sampling.sampler,
          .schedule = options.sampling.schedule,
          .steps = options.sampling.steps,
          .eta = options.sampling.eta,
          .scale = options.sampling.scale,
          .clip_skip = options.prompt.clip_skip,
          .weighting = weighting_from_name(options.prompt.weighting),
          .tuning = options.sampling.tuning,
          .pixel_rounding = pixel_rounding_from_name(options.batch.pixel_rounding),
          .seamless = {.x = tiles("x"), .y = tiles("y")},
          .vae_tiling = vae_tiling_from_name(options.device.vae_tiling)};
}

RunRequest make_request(const DrawingOptions& options, PictureSettings settings,
                        std::vector<std::vector<std::string>> batches) {
  RunRequest request{.batches = std::move(batches),
                     .settings = std::move(settings),
                     .init = {},
                     .upscale = options.upscale.model.value_or(std::filesystem::path()),
                     .upscale_tile = options.upscale.tile,
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
  for (const std::string& text : options.prompt.control) {
    request.controls.push_back(control_from_text(text));
  }
  for (const std::string& text : options.prompt.ip_adapter) {
    request.image_prompts.push_back(image_prompt_from_text(text));
  }
  request.image_encoder = options.prompt.image_encoder;
  return request;
}

std::optional<Sweep> read_sweep(const DrawingOptions& options, std::span<const Option> list,
                                const Given& given) {
  const PromptOptions& prompt = options.prompt;
  const int asked = (prompt.prompt_matrix.empty() ? 0 : 1) + (prompt.xy.empty() ? 0 : 1);
  if (asked == 0) return std::nullopt;
  if (asked > 1 || !prompt.from_file.empty()) {
    fail_usage("--prompt-matrix, --xy and --from-file each say what is drawn: choose one");
  }
  if (given.has("n_iter") && options.batch.n_iter != 1) {
    fail_usage(
        "a sheet has one picture a cell, so --n_iter {} has no meaning; make another with "
        "another --seed",
        options.batch.n_iter);
  }
  Sweep sweep = prompt.xy.empty() ? prompt_matrix(prompt.prompt_matrix)
                                  : xy_sweep(prompt.xy, prompt.prompt, list);
  set_seed(sweep, options.noise.seed);
  return sweep;
}

std::vector<PromptLine> read_lines(const DrawingOptions& options, std::span<const Option> list) {
  if (!options.prompt.from_file.empty()) return read_prompt_file(options.prompt.from_file, list);
  return std::vector<PromptLine>(static_cast<size_t>(options.batch.n_samples));
}

}  // namespace easel::cli
