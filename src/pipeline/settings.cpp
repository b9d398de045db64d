#include "easel/pipeline/settings.h"

#include <algorithm>
#include <array>

#include <easel/base/error.h>
#include <easel/diffusion/sampler.h>

#include "sampling.h"

namespace easel {
namespace {

constexpr int64_t kSizeUnit = 8;       // pixels per latent of every known autoencoder's levels
constexpr int64_t kMaxSize = 1 << 15;  // far beyond any memory; keeps products of sizes in range

void check_size(std::string_view name, int64_t size) {
  if (size > 0 && size <= kMaxSize && size % kSizeUnit == 0) return;
  if (size < kSizeUnit) {
    fail_usage("{} is {}; sizes are multiples of {} pixels, from {} to {}: 512 is usual", name,
               size, kSizeUnit, kSizeUnit, kMaxSize);
  }
  if (size > kMaxSize) fail_usage("{} is {} pixels; at most {} can be drawn", name, size, kMaxSize);
  const int64_t below = size / kSizeUnit * kSizeUnit;
  fail_usage(
      "{} is {}, which is no multiple of {}: the nearest valid sizes are {} and {} (multiples of "
      "64 are best)",
      name, size, kSizeUnit, below, below + kSizeUnit);
}

}  // namespace

PixelRounding pixel_rounding_from_name(std::string_view name) {
  constexpr std::array<std::string_view, 2> names = {"truncate", "nearest"};
  if (name == names[0]) return PixelRounding::Truncate;
  if (name == names[1]) return PixelRounding::Nearest;
  throw Error(unknown_name("pixel rounding", name, names), ErrorKind::Usage);
}

VaeTiling vae_tiling_from_name(std::string_view name) {
  constexpr std::array<std::string_view, 3> names = {"auto", "on", "off"};
  const auto* found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw Error(unknown_name("tiling", name, names), ErrorKind::Usage);
  return static_cast<VaeTiling>(found - names.begin());
}

void check(const PictureSettings& settings) {
  check_size("width (W)", settings.width);
  check_size("height (H)", settings.height);
  check_guidance(settings);
  if (settings.clip_skip < 1) {
    fail_usage("clip skip is {}; 1 is the model's own layer, 2 the one before", settings.clip_skip);
  }
  const SamplerInfo& sampler = find_sampler(settings.sampler);
  check_sampler_options(sampler, sampler_options(settings), settings.steps);
}

SamplerNames resolved_sampler(const PictureSettings& settings) {
  const auto& [sampler, spacing] = find_sampler_and_spacing(settings.sampler);
  const std::string_view schedule =
      settings.schedule.empty() ? spacing : std::string_view(settings.schedule);
  return {.sampler = sampler.name,
          .schedule = std::string(is_level_list(schedule) ? schedule : find_spacing(schedule).name),
          .eta = settings.eta.value_or(sampler.default_eta),
          .uses_eta = sampler.uses_eta()};
}

}  // namespace easel
