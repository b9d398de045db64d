#include "cli/model_defaults.h"

#include <algorithm>
#include <array>
#include <system_error>

#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/checkpoint/sampling_section.h>
#include <easel/io/file.h>

namespace easel::cli {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxBytes = 1 << 16;
constexpr std::array<std::string_view, 18> kChoosable = {"H",
                                                         "W",
                                                         "steps",
                                                         "sampler",
                                                         "schedule",
                                                         "scale",
                                                         "eta",
                                                         "n_samples",
                                                         "n_iter",
                                                         "clip-skip",
                                                         "negative-prompt",
                                                         "weighting",
                                                         "sampler-order",
                                                         "solver",
                                                         "guidance-rescale",
                                                         "guidance-interval",
                                                         "guidance-schedule",
                                                         "zero-terminal-snr"};

fs::path defaults_file(const fs::path& model) {
  std::error_code error;
  if (fs::is_directory(model, error)) return model / "txt2img.json";
  return fs::path(model).replace_extension(".txt2img.json");
}

// Empty where the model has none.
fs::path config_file(const fs::path& model, const fs::path& config) {
  std::error_code error;
  if (!config.empty()) return fs::is_directory(config, error) ? fs::path() : config;
  fs::path beside = fs::path(model).replace_extension(".yaml");
  if (fs::is_directory(model, error) || !fs::exists(beside, error)) return {};
  return beside;
}

void apply(const fs::path& file, const std::string& name, const std::string& value,
           std::span<const Option> options, const Given& given) {
  if (std::find(kChoosable.begin(), kChoosable.end(), name) == kChoosable.end()) {
    fail("{}: {}", file.string(), unknown_name("option", name, kChoosable));
  }
  const auto option = std::find_if(options.begin(), options.end(),
                                   [&](const Option& each) { return each.info.name == name; });
  if (option == options.end() || given.has(name)) return;
  if (!option->assign(value)) {
    fail("{}: \"{}\" takes {}, not {}", file.string(), name, option->kind, printable(value));
  }
}

}  // namespace

void apply_model_defaults(const fs::path& model, const fs::path& config,
                          std::span<const Option> options, const Given& given) {
  if (const fs::path yaml = config_file(model, config); !yaml.empty()) {
    for (const SamplingDefault& each : read_sampling_section(yaml)) {
      apply(yaml, each.option, each.value, options, given);
    }
  }
  const fs::path file = defaults_file(model);
  std::error_code error;
  if (!fs::exists(file, error)) return;
  const auto json = nlohmann::json::parse(read_text_file(file, kMaxBytes), nullptr, false);
  if (!json.is_object()) fail("{}: is no JSON object of options and their values", file.string());
  for (const auto& [name, value] : json.items()) {
    apply(file, name, value.is_string() ? value.get<std::string>() : value.dump(), options, given);
  }
}

void apply_model_use(const ModelUse& use, std::span<const Option> options, const Given& given) {
  const auto set = [&](std::string_view name, const std::string& value) {
    for (const Option& option : options) {
      if (option.info.name == name && !given.has(name)) option.assign(value);
    }
  };
  set("H", std::to_string(use.side));
  set("W", std::to_string(use.side));
  if (!use.few_steps || given.has("plms") || given.has("dpm_solver")) return;
  set("sampler", "lcm");
  if (!given.has("sampler")) set("steps", "4");
}

}  // namespace easel::cli
