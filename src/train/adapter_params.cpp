#include "adapter_params.h"

#include <array>

#include <easel/base/error.h>

namespace easel {

std::optional<LoraOptions> read_lora(ConfigMap& params) {
  std::optional<ConfigMap> map = params.optional_map("lora_config");
  if (!map) return std::nullopt;
  LoraOptions options;
  options.rank = map->integer("rank", options.rank, {.min = 1, .max = 1 << 16});
  options.alpha = map->number("alpha", static_cast<double>(options.rank));
  if (!(options.alpha > 0)) map->reject("alpha", "expected a number above 0");
  if (map->has("target_modules")) {
    options.target_modules = map->texts("target_modules");
  } else {
    map->ignore({"target_modules"});
  }
  options.text_encoder = map->boolean("text_encoder", options.text_encoder);
  options.layout = map->text("layout", options.layout);
  map->finish();
  check(options);
  return options;
}

std::optional<TextualInversionOptions> read_textual_inversion(ConfigMap& params) {
  std::optional<ConfigMap> map = params.optional_map("personalization_config");
  if (!map) return std::nullopt;
  if (map->has("target")) {
    const std::string target = map->text("target", std::nullopt);
    constexpr std::array<std::string_view, 1> known{
        "ldm.modules.embedding_manager.EmbeddingManager"};
    if (target != known[0]) map->reject("target", unknown_name("class", target, known));
    ConfigMap given = map->map("params");
    map->finish();
    map = std::move(given);
  }
  TextualInversionOptions options;
  options.placeholder_strings = map->texts("placeholder_strings");
  options.initializer_words = map->texts("initializer_words");
  options.num_vectors_per_token = map->integer("num_vectors_per_token", 1, {.min = 1, .max = 1024});
  options.layout = map->text("layout", options.layout);
  map->require("per_image_tokens", "false", "a word of each picture's own");
  map->require("progressive_words", "false", "vectors that are added one after the other");
  map->finish();
  check(options);
  return options;
}

}  // namespace easel
