#include "sampling.h"

#include <algorithm>
#include <cmath>

#include <easel/base/error.h>

namespace easel {
namespace {

std::vector<double> read_numbers(std::string_view option, const std::string& text) {
  std::vector<double> numbers;
  for (const std::string_view part : split_list(text)) {
    double number = 0;
    if (!parse_field(part, number)) {
      fail_usage("{} is '{}'; '{}' is no number", option, printable(text), printable(part));
    }
    numbers.push_back(number);
  }
  return numbers;
}

struct Interval {
  double start = 0;
  double end = 1;
};

Interval read_interval(const std::string& text) {
  if (text.empty()) return {};
  const std::vector<double> ends = read_numbers("guidance-interval", text);
  if (ends.size() != 2 || !(0 <= ends[0] && ends[0] < ends[1] && ends[1] <= 1)) {
    fail_usage(
        "guidance-interval is '{}'; it is two parts of the run from 0 to 1, the first below the "
        "second: 0.1,0.8",
        printable(text));
  }
  return {ends[0], ends[1]};
}

std::vector<double> read_scales(const std::string& text) {
  std::vector<double> scales = read_numbers("guidance-schedule", text);
  for (const double scale : scales) {
    if (scale < 0) fail_usage("guidance-schedule has the scale {}; scales are 0 or more", scale);
  }
  return scales;
}

// `scales` at `count` even places, linear in between.
std::vector<double> spread(const std::vector<double>& scales, size_t count) {
  std::vector<double> made;
  for (size_t i = 0; i < count; ++i) {
    const double share = count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0;
    const double place = share * static_cast<double>(scales.size() - 1);
    const auto low = static_cast<size_t>(place);
    const size_t high = std::min(low + 1, scales.size() - 1);
    const double part = place - static_cast<double>(low);
    made.push_back(part == 0 ? scales[low] : (1 - part) * scales[low] + part * scales[high]);
  }
  return made;
}

}  // namespace

SamplerOptions sampler_options(const PictureSettings& settings) {
  const SamplerTuning& tuning = settings.tuning;
  SamplerOptions options{.eta = resolved_sampler(settings).eta,
                         .clip_denoised = tuning.clip_denoised,
                         .s_churn = tuning.s_churn,
                         .s_tmin = tuning.s_tmin,
                         .s_noise = tuning.s_noise,
                         .order = tuning.order.value_or(0),
                         .solver = tuning.solver,
                         .rtol = tuning.rtol,
                         .atol = tuning.atol};
  if (tuning.s_tmax) options.s_tmax = *tuning.s_tmax;
  return options;
}

NoiseSchedule noise_schedule(const StableDiffusion& model, const PictureSettings& settings) {
  ScheduleConfig config = model.config.schedule;
  if (!settings.tuning.zero_terminal_snr || config.zero_terminal_snr) return model.schedule;
  if (model.config.parameterization == Parameterization::Eps) {
    fail_usage(
        "zero-terminal-snr starts from noise alone, and this model predicts the noise (eps), which "
        "there says nothing about the picture: it takes a model that predicts v or x0");
  }
  config.zero_terminal_snr = true;
  return make_noise_schedule(config);
}

Guidance unconditioned_guidance(const PictureSettings& settings, const NoiseSchedule& schedule,
                                std::span<const double> sigmas) {
  const Interval interval = read_interval(settings.tuning.guidance_interval);
  Guidance guidance{.scale = settings.scale,
                    .conditional = {},
                    .unconditional = {},
                    .rescale = settings.tuning.guidance_rescale,
                    .interval_low = sigma_at_fraction(schedule, interval.end),
                    .interval_high = sigma_at_fraction(schedule, interval.start)};
  const std::vector<double> scales = read_scales(settings.tuning.guidance_schedule);
  if (!scales.empty() && sigmas.size() > 1) {
    guidance.scales = per_step_scales(spread(scales, sigmas.size() - 1), sigmas);
  }
  return guidance;
}

Guidance no_guidance(const PictureSettings& settings) {
  const SamplerTuning& tuning = settings.tuning;
  if (tuning.guidance_rescale > 0 || !tuning.guidance_interval.empty() ||
      !tuning.guidance_schedule.empty()) {
    fail_usage(
        "this model was distilled to take the guidance scale as an input: guidance-rescale, "
        "guidance-interval and guidance-schedule cannot be applied");
  }
  return {.scale = 1, .conditional = {}, .unconditional = {}};
}

bool needs_unconditional(const SamplerInfo& sampler, const Guidance& guidance) {
  if (sampler.uses_unconditional) return true;
  if (guidance.scales.empty()) return guidance.scale != 1;
  return std::any_of(guidance.scales.begin(), guidance.scales.end(),
                     [](const ScaleFrom& from) { return from.scale != 1; });
}

void check_guidance(const PictureSettings& settings) {
  if (!std::isfinite(settings.scale) || settings.scale < 0) {
    fail_usage(
        "the guidance scale is {}; it is a number from 0 up, where 1 is no guidance and 7.5 is "
        "usual",
        settings.scale);
  }
  const double rescale = settings.tuning.guidance_rescale;
  if (!(rescale >= 0 && rescale <= 1)) {
    fail_usage("guidance-rescale is {}; it must be 0 to 1, 0.7 is usual", rescale);
  }
  read_interval(settings.tuning.guidance_interval);
  read_scales(settings.tuning.guidance_schedule);
}

}  // namespace easel
