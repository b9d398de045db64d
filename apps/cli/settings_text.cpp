#include "cli/settings_text.h"

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
  if (settings.clip_skip > 1) text += fmt::format(", Clip skip: {}", settings.clip_skip);
  for (const auto& [name, value] : made.parameters) {
    text += fmt::format(", {}: {}", name, quoted(value));
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
  json["device"] = made.model.device;
  json["model"] = made.model.name;
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
