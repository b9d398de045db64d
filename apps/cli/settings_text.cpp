#include "cli/settings_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/manifest.h"
#include "cli/program.h"

namespace easel::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A1111 quotes values that would break its comma-separated list.
std::string quoted(const std::string& value) {
  return value.find_first_of(",:\n") == std::string::npos ? value : dump(value);
}

// What is not at its default. A1111 has names of its own for some.
std::string tuning_text(const SamplerTuning& tuning) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kNames = {
      {{"s-churn", "Sigma churn"},
       {"s-tmin", "Sigma tmin"},
       {"s-tmax", "Sigma tmax"},
       {"s-noise", "Sigma noise"}}};
  std::vector<std::string> usual;
  const SamplerTuning defaults;
  visit_fields(defaults,
               [&](const auto& field, const FieldInfo&) { usual.push_back(field_text(field)); });
  std::string text;
  size_t i = 0;
  visit_fields(tuning, [&](const auto& field, const FieldInfo& info) {
    const std::string value = field_text(field);
    if (value == usual[i++]) return;
    const auto* known = std::find_if(kNames.begin(), kNames.end(),
                                     [&](const auto& name) { return name.first == info.name; });
    std::string label(known != kNames.end() ? known->second : info.name);
    std::replace(label.begin(), label.end(), '-', ' ');
    label[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(label[0])));
    text += fmt::format(", {}: {}", label, quoted(value));
  });
  return text;
}

}  // namespace

std::string parameters_text(const MadeWith& made) {
  const PictureSettings& settings = made.settings;
  const SamplerNames names = resolved_sampler(settings);
  std::string text = made.prompt;
  if (!settings.negative_prompt.empty()) text += "\nNegative prompt: " + settings.negative_prompt;
  text += fmt::format(
      "\nSteps: {}, Sampler: {}, Schedule type: {}, CFG scale: {}, Seed: {}, Size: {}x{}",
      settings.steps, names.sampler, quoted(names.schedule), settings.scale, made.seed,
      settings.width, settings.height);
  text += ", Model: " + quoted(made.model.name);
  if (names.uses_eta && names.eta != 0) text += fmt::format(", Eta: {}", names.eta);
  text += tuning_text(settings.tuning);
  if (settings.clip_skip > 1) text += fmt::format(", Clip skip: {}", settings.clip_skip);
  if (settings.weighting != Weighting::None) {
    text += fmt::format(", Weighting: {}", weighting_name(settings.weighting));
  }
  if (made.drawing.batch.tiling) {
    text += ", Tiling: True";
    const std::string& axes = made.drawing.batch.tiling_axes;
    if (axes != "xy") text += ", Tiling axes: " + axes;
  }
  if (!made.loras.empty()) text += ", Lora: " + quoted(loras_text(made.loras));
  for (const auto& [name, value] : made.parameters) {
    text += fmt::format(", {}: {}", name, quoted(value));
  }
  if (made.drawing.upscale.model) {
    text += ", Postprocess upscaler: " + quoted(made.drawing.upscale.model->stem().string());
  }
  text += made.drawing.noise.rng == "cuda" ? ", RNG: NV" : ", RNG: CPU";
  if (made.drawing.noise.seeding == "batch") {
    text += fmt::format(", Seeding: batch, Picture: {}", made.number);
  }
  return text + fmt::format(", Version: Easel {}", version());
}

namespace {

Json all_settings(const MadeWith& made) {
  const SamplerNames names = resolved_sampler(made.settings);
  Json json = {{"version", version()}, {"program", made.program}};
  json.update(made.options);
  json["prompt"] = made.prompt;
  json["sampler"] = names.sampler;
  json["schedule"] = names.schedule;
  json["eta"] = names.uses_eta ? Json(names.eta) : Json();
  json["init-latents"] = !made.drawing.noise.init_latents.empty();
  json["dtype"] = made.model.dtype;
  // Without the number of a GPU, which shapes nothing.
  json["device"] = made.model.device.substr(0, made.model.device.find(':'));
  json["model"] = made.model.name;
  json["loras"] = Json::array();
  for (const LoraChoice& lora : made.loras) {
    json["loras"].push_back(
        {{"name", lora.name()}, {"text_encoder", lora.text_encoder}, {"unet", lora.unet}});
    if (!lora.blocks.empty()) json["loras"].back()["blocks"] = lora.blocks;
  }
  json["picture"] = made.number;
  json["picture_seed"] = made.seed;
  return json;
}

}  // namespace

std::string settings_json(const MadeWith& made) { return dump(all_settings(made)); }

std::string picture_id(const MadeWith& made) {
  Json json = all_settings(made);
  for (const char* name : {"version", "device", "n_iter"}) json.erase(name);
  json["init-latents"] = made.drawing.noise.init_latents.string();
  json["vae"] = made.drawing.model.vae.string();
  const bool alone = made.drawing.noise.seeding == "image" && !made.drawing.noise.fixed_code &&
                     made.drawing.noise.init_latents.empty();
  if (alone) {
    for (const char* name : {"seed", "n_samples", "picture"}) json.erase(name);
  }
  return text_id(dump(json));
}

PngText settings_text(const MadeWith& made) {
  return {{"parameters", parameters_text(made)}, {"easel", settings_json(made)}};
}

}  // namespace easel::cli
