// Options: larger pictures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <easel/base/fields.h>
#include <easel/pipeline/hires.h>
#include <easel/pipeline/upscale.h>

namespace easel::cli {

inline constexpr std::string_view kLargerGroup = "Larger pictures";

// The second pass of txt2img; A1111's webui has the names of most.
struct HiresOptions {
  std::optional<double> scale{};
  int64_t steps = 0;
  double strength = HiresSettings{}.strength;
  std::string upscaler = HiresSettings{}.upscaler;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view group = kLargerGroup;
    visit(self.scale,
          FieldInfo{.name = "hires-scale",
                    .group = group,
                    .help = "draw at W x H first, then enlarge that X times and draw over it (2 is "
                            "usual)",
                    .value = "X"});
    visit(self.steps, FieldInfo{.name = "hires-steps",
                                .group = group,
                                .help = "steps of the second pass; 0 is as many as in the first",
                                .value = "N"});
    visit(self.strength, FieldInfo{.name = "hires-strength",
                                   .group = group,
                                   .help = "how far the second pass may change what it is given, "
                                           "above 0, to 1; latents need 0.5 or more",
                                   .value = "X"});
    visit(self.upscaler,
          FieldInfo{.name = "hires-upscaler",
                    .group = group,
                    .help = "what enlarges in between: latent, latent-antialiased, latent-bicubic, "
                            "latent-bicubic-antialiased, latent-nearest, latent-nearest-exact, "
                            "lanczos, or the file of an upscaler model",
                    .value = "NAME|FILE"});
  }
};

// An upscaler model for what was drawn.
struct UpscaleOptions {
  std::optional<std::filesystem::path> model{};
  int64_t tile = kUpscaleTile;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view group = kLargerGroup;
    visit(self.model,
          FieldInfo{.name = "upscale",
                    .group = group,
                    .help = "enlarge every picture with this upscaler model: ESRGAN, Real-ESRGAN "
                            "or one of its compact ones, .pth or .safetensors",
                    .value = "FILE"});
    visit(self.tile, FieldInfo{.name = "upscale-tile",
                               .group = group,
                               .help = "upscaler models work in squares of N pixels, which bounds "
                                       "the memory; 0 is the whole picture",
                               .value = "N"});
  }
};

// Nothing where no second pass is asked for. Throws Error (Usage).
std::optional<HiresSettings> hires_settings(const HiresOptions& options);

// What A1111's list says of it.
std::vector<std::pair<std::string, std::string>> hires_parameters(const HiresSettings& settings);

// The option's name for A1111's name of an upscaler; what it does not know stays as it is.
std::string hires_upscaler_of_a1111(const std::string& name);

}  // namespace easel::cli
