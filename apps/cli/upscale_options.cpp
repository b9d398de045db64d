#include "cli/upscale_options.h"

#include <fmt/format.h>

#include <easel/base/error.h>

namespace easel::cli {

std::optional<HiresSettings> hires_settings(const HiresOptions& options) {
  if (!options.scale) {
    const HiresSettings usual;
    const std::string_view useless = options.steps != usual.steps         ? "hires-steps"
                                     : options.strength != usual.strength ? "hires-strength"
                                     : options.upscaler != usual.upscaler ? "hires-upscaler"
                                                                          : "";
    if (!useless.empty()) fail_usage("--{} needs --hires-scale", useless);
    return std::nullopt;
  }
  HiresSettings settings{.scale = *options.scale,
                         .steps = options.steps,
                         .strength = options.strength,
                         .upscaler = options.upscaler};
  check(settings);
  return settings;
}

std::vector<std::pair<std::string, std::string>> hires_parameters(const HiresSettings& settings) {
  std::string upscaler = std::filesystem::path(settings.upscaler).stem().string();
  for (const HiresUpscaler& each : hires_upscalers()) {
    if (each.name == settings.upscaler) upscaler = each.a1111;
  }
  std::vector<std::pair<std::string, std::string>> list = {
      {"Denoising strength", fmt::format("{}", settings.strength)},
      {"Hires upscale", fmt::format("{}", settings.scale)}};
  if (settings.steps > 0) list.emplace_back("Hires steps", fmt::format("{}", settings.steps));
  list.emplace_back("Hires upscaler", upscaler);
  return list;
}

std::string hires_upscaler_of_a1111(const std::string& name) {
  for (const HiresUpscaler& each : hires_upscalers()) {
    if (each.a1111 == name) return std::string(each.name);
  }
  return name;
}

}  // namespace easel::cli
