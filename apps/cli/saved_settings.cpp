#include "cli/saved_settings.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/base/utf8.h>
#include <easel/io/image.h>
#include <easel/io/jpeg_text.h>
#include <easel/pipeline/settings.h>

#include "cli/upscale_options.h"

namespace easel::cli {
namespace {

using Json = nlohmann::json;
using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr size_t kMaxBytes = 1 << 20;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
// As \w: letters of other scripts are bytes above 0x7F.
bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name(char c) { return is_word(c) || c == ' ' || c == '-' || c == '/'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// The end of the quoted value at `at`, if it is one: not empty, and a comma or the end behind it.
std::optional<size_t> quoted_end(std::string_view line, size_t at) {
  if (at >= line.size() || line[at] != '"') return std::nullopt;
  size_t end = at + 1;
  while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
  if (end >= line.size() || end == at + 1) return std::nullopt;
  ++end;
  if (end < line.size() && line[end] != ',') return std::nullopt;
  return end;
}

// "NAME: VALUE, NAME: "VALUE", ...": what is no such pair is passed over.
Pairs find_pairs(std::string_view line) {
  Pairs pairs;
  size_t at = 0;
  while (at < line.size()) {
    if (!is_word(line[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < line.size() && is_name(line[end])) ++end;
    if (end >= line.size() || line[end] != ':' || end - at < 2) {
      at = std::max(end, at + 1);
      continue;
    }
    const std::string_view name = line.substr(at, end - at);
    size_t start = end + 1;
    while (start < line.size() && is_space(line[start])) ++start;
    const size_t stop =
        quoted_end(line, start).value_or(std::min(line.find(',', start), line.size()));
    pairs.emplace_back(name, line.substr(start, stop - start));
    at = stop + 1;
  }
  return pairs;
}

std::string unquoted(const std::string& value) {
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return value;
  const Json json = Json::parse(value, nullptr, false);
  return json.is_string() ? json.get<std::string>() : value;
}

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void add_value(Pairs& pairs, const std::string& name, const std::string& written) {
  if (written.empty()) return;
  const std::string value = unquoted(written);
  const size_t x = value.find('x');
  if (x != std::string::npos && is_digits(value.substr(0, x)) && is_digits(value.substr(x + 1))) {
    pairs.emplace_back(name + "-1", value.substr(0, x));
    pairs.emplace_back(name + "-2", value.substr(x + 1));
  } else {
    pairs.emplace_back(name, value);
  }
}

struct Schedule {
  std::string_view name, option;
};
// A1111's and stable-diffusion.cpp's names; an empty option is the sampler's own.
constexpr std::array<Schedule, 16> kSchedules = {{{"Automatic", ""},
                                                  {"Uniform", ""},
                                                  {"discrete", ""},
                                                  {"Karras", "karras"},
                                                  {"karras", "karras"},
                                                  {"Exponential", "exponential"},
                                                  {"exponential", "exponential"},
                                                  {"SGM Uniform", "sgm_uniform"},
                                                  {"sgm_uniform", "sgm_uniform"},
                                                  {"Simple", "simple"},
                                                  {"simple", "simple"},
                                                  {"DDIM", "ddim_uniform"},
                                                  {"Beta", "beta_a1111"},
                                                  {"KL Optimal", "kl_optimal_a1111"},
                                                  {"Align Your Steps", "align_your_steps_a1111"},
                                                  {"ays", "align_your_steps"}}};

struct Automatic {
  std::string_view sampler, schedule;
};
// What A1111 takes where its schedule is automatic.
constexpr std::array<Automatic, 8> kAutomatic = {{{"DPM++ 2M", "karras"},
                                                  {"DPM++ SDE", "karras"},
                                                  {"DPM++ 2S a", "karras"},
                                                  {"DPM++ 2M SDE", "exponential"},
                                                  {"DPM++ 2M SDE Heun", "exponential"},
                                                  {"DPM++ 3M SDE", "exponential"},
                                                  {"DPM2", "karras"},
                                                  {"DPM2 a", "karras"}}};

std::string schedule_of(const std::string& name, const std::string& sampler) {
  if (name == "Automatic") {
    for (const Automatic& each : kAutomatic) {
      if (each.sampler == sampler) return std::string(each.schedule);
    }
  }
  for (const Schedule& each : kSchedules) {
    if (each.name == name) return std::string(each.option);
  }
  return name;
}

SavedSettings of_parameters(std::string_view text) {
  std::map<std::string, std::string> values;
  for (auto& [name, value] : parse_parameters(text)) values[name] = value;
  if (!values.contains("Steps")) fail("its 'parameters' text names no steps");
  SavedSettings saved;
  const auto take = [&](const std::string& name, const std::string& option) {
    const auto found = values.find(name);
    if (found == values.end()) return;
    if (!option.empty()) saved.changes.emplace_back(option, found->second);
    values.erase(found);
  };
  // stable-diffusion.cpp: "Sampler: euler_a karras".
  if (values["Version"].starts_with("stable-diffusion.cpp")) {
    std::string& sampler = values["Sampler"];
    const size_t space = sampler.rfind(' ');
    if (space != std::string::npos) {
      values["Schedule type"] = sampler.substr(space + 1);
      sampler.resize(space);
    }
    const bool no_eta = values["Eta"].find_first_not_of("0.") == std::string::npos;
    if (no_eta) values.erase("Eta");
  }
  if (values.contains("Schedule type")) {
    saved.changes.emplace_back("schedule", schedule_of(values["Schedule type"], values["Sampler"]));
    values.erase("Schedule type");
  }
  const bool on_cpu = values["RNG"].find("CPU") != std::string::npos || values["RNG"] == "cpu";
  saved.changes.emplace_back("rng", on_cpu ? "cpu" : "cuda");
  saved.model = values["Model"];
  take("Prompt", "prompt");
  take("Negative prompt", "negative-prompt");
  take("Steps", "steps");
  take("Sampler", "sampler");
  take("CFG scale", "scale");
  take("Seed", "seed");
  take("Size-1", "W");
  take("Size-2", "H");
  take("Clip skip", "clip-skip");
  take("Eta", "eta");
  if (values.contains("Hires upscale")) {
    if (values.contains("Hires upscaler")) {
      values["Hires upscaler"] = hires_upscaler_of_a1111(values["Hires upscaler"]);
    }
    take("Hires upscale", "hires-scale");
    take("Hires steps", "hires-steps");
    take("Hires upscaler", "hires-upscaler");
    take("Denoising strength", "hires-strength");
  }
  take("Denoising strength", "strength");
  if (const auto tiling = values.find("Tiling"); tiling != values.end()) {
    if (tiling->second == "True") tiling->second = "true";
  }
  take("Tiling", "tiling");
  take("Tiling axes", "tiling-axes");
  take("Image CFG scale", "image-cfg");
  for (const char* name : {"RNG", "Model", "Model hash", "Version", "Guidance", "SDCPP"}) {
    values.erase(name);
  }
  for (const auto& [name, value] : values) {
    if (!value.empty()) saved.left_out.push_back(name);
  }
  return saved;
}

SavedSettings of_json(std::string_view text) {
  bool deep = false;
  const auto shallow = [&](int depth, Json::parse_event_t, Json&) {
    deep = deep || depth > 4;  // a LoRA's numbers, in a list, in an object, in a list
    return !deep;
  };
  const Json json = Json::parse(text, shallow, false);
  if (deep || !json.is_object()) fail("its settings are no JSON object of plain values");
  const auto value = [&](const char* name) { return json.value(name, Json()); };
  const bool first = value("picture") == 0;
  if ((value("seeding") == "batch" && !(first && value("n_samples") == 1)) ||
      (value("fixed_code") == true && !first)) {
    fail(
        "it was drawn from one stream of numbers with the pictures before it (--seeding batch or "
        "--fixed_code): it can be made again with its whole run only");
  }
  if (value("init-latents") == true) fail("its noise came from a file (--init-latents)");
  SavedSettings saved;
  constexpr std::array<std::string_view, 10> facts = {
      "version", "program", "device",    "picture", "picture_seed",
      "seed",    "n_iter",  "n_samples", "model",   "init-latents"};
  for (const auto& [name, each] : json.items()) {
    const bool fact = std::find(facts.begin(), facts.end(), name) != facts.end();
    if (each.is_array() && !fact) {  // of an option that may be given again
      for (const auto& item : each) {
        if (item.is_string()) saved.changes.emplace_back(name, item.get<std::string>());
      }
    }
    if (fact || each.is_null() || each.is_structured()) continue;
    saved.changes.emplace_back(name, each.is_string() ? each.get<std::string>() : each.dump());
  }
  if (value("picture_seed").is_number()) {
    saved.changes.emplace_back("seed", value("picture_seed").dump());
  }
  if (value("model").is_string()) saved.model = value("model").get<std::string>();
  return saved;
}

std::string find_text(const PngText& texts, std::string_view name) {
  for (const auto& [keyword, text] : texts) {
    if (keyword == name) return text;
  }
  return {};
}

bool is_jpeg(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".jpg" || extension == ".jpeg";
}

}  // namespace

Pairs parse_parameters(std::string_view text) {
  text = trimmed(text);
  if (text.size() > kMaxBytes) fail("the 'parameters' text has more than {} bytes", kMaxBytes);
  std::vector<std::string_view> lines;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  Pairs found = find_pairs(lines.back());
  if (found.size() < 3)
    found.clear();
  else
    lines.pop_back();
  std::array<std::string, 2> prompts;
  size_t which = 0;
  for (std::string_view line : lines) {
    line = trimmed(line);
    constexpr std::string_view negative = "Negative prompt:";
    if (line.starts_with(negative)) {
      which = 1;
      line = trimmed(line.substr(negative.size()));
    }
    if (!prompts[which].empty()) prompts[which] += '\n';
    prompts[which] += line;
  }
  Pairs pairs = {{"Prompt", prompts[0]}, {"Negative prompt", prompts[1]}};
  for (const auto& [name, value] : found) add_value(pairs, name, value);
  return pairs;
}

SavedSettings read_saved_settings(const std::filesystem::path& path) {
  PngText texts;
  if (is_jpeg(path))
    texts.emplace_back("parameters", read_jpeg_text(path));
  else
    texts = read_png_text(path);
  try {
    const std::string own = find_text(texts, "easel");
    if (!own.empty()) return of_json(own);
    const std::string parameters = find_text(texts, "parameters");
    if (parameters.empty()) fail("it carries no settings");
    return of_parameters(parameters);
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
}

SavedSettings apply_saved_settings(const std::filesystem::path& path, std::span<const Option> list,
                                   Given& given) {
  SavedSettings saved = read_saved_settings(path);
  std::erase_if(saved.changes, [&](const auto& change) {  // a path that was not given
    const Option* option = find_option(list, change.first);
    return option != nullptr && option->kind == "a path" && change.second.empty();
  });
  const bool other_sampler = given.has("sampler") || given.has("plms") || given.has("dpm_solver");
  constexpr std::array<std::string_view, 3> samplers = {"sampler", "schedule", "eta"};
  for (const char* name : {"n_iter", "n_samples"}) {
    if (!given.has(name)) find_option(list, name)->assign("1");
    given.add(name);
  }
  for (const auto& [name, value] : saved.changes) {
    const Option* option = find_option(list, name);
    const bool of_sampler = std::find(samplers.begin(), samplers.end(), name) != samplers.end();
    if (option == nullptr || !option->info.setting || given.has(option->info.name) ||
        (of_sampler && other_sampler)) {
      continue;
    }
    if (!is_valid_utf8(value)) fail("{}: its {} is not UTF-8", path.string(), name);
    try {
      assign_option(*option, "--" + name, value);
    } catch (const Error& error) {
      fail("{}: {}", path.string(), error.what());
    }
  }
  for (const auto& [name, value] : saved.changes) {
    const Option* option = find_option(list, name);
    if (option != nullptr && !(other_sampler && name == "sampler")) given.add(option->info.name);
  }
  return saved;
}

}  // namespace easel::cli
