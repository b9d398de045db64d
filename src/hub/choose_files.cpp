#include "choose_files.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr std::array<std::string_view, 2> kUnused = {"safety_checker", "feature_extractor"};

// A file of weights, or the index of a sharded set.
struct WeightFile {
  std::string variant;    // "" or "fp16", "non_ema" ...
  std::string extension;  // ".safetensors", ".bin"
  size_t shards = 1;      // of how many files the set is made; 0: this is the index
};

// Removes `prefix` from the front of `text`, if it is there.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// ".fp16" at the front of `text`, without the dot; "" where there is none.
std::string take_variant(std::string_view& text) {
  if (text.empty() || text[0] != '.') return {};
  const size_t end = std::min(text.find_first_of(".-", 1), text.size());
  const std::string variant(text.substr(1, end - 1));
  text.remove_prefix(end);
  return variant;
}

// "-00001-of-00002" at the front of `text`: 2; 1 where there is none.
size_t take_shards(std::string_view& text) {
  constexpr size_t kLength = 15;
  const std::string_view shard = text.substr(0, kLength);
  if (shard.size() < kLength || shard[0] != '-' || shard.substr(6, 4) != "-of-") return 1;
  size_t count = 0;
  for (const char digit : shard.substr(10)) {
    if (digit < '0' || digit > '9') return 1;
    count = count * 10 + static_cast<size_t>(digit - '0');
  }
  text.remove_prefix(kLength);
  return count;
}

// NAME[.VARIANT][-00001-of-00002][.VARIANT].EXT, or the .json that lists such a set, whose name
// has ".index" after the extension, before or behind the variant.
std::optional<WeightFile> parse_weight_file(std::string_view name) {
  std::string_view rest = name;
  if (!take(rest, "diffusion_pytorch_model") && !take(rest, "pytorch_model") &&
      !take(rest, "model")) {
    return std::nullopt;
  }
  WeightFile file;
  constexpr std::array<std::string_view, 2> kExtensions = {".safetensors", ".bin"};
  for (const std::string_view extension : kExtensions) {
    const size_t at = rest.find(extension);
    if (at == std::string_view::npos) continue;
    file.extension = extension;
    std::string_view tail = rest.substr(at + extension.size());
    rest = rest.substr(0, at);
    if (!tail.empty()) {
      if (!take(tail, ".index")) return std::nullopt;
      if (tail != ".json") file.variant = take_variant(tail);
      if (tail != ".json") return std::nullopt;
      file.shards = 0;
    }
    break;
  }
  if (file.extension.empty()) return std::nullopt;
  if (file.variant.empty()) file.variant = take_variant(rest);
  if (file.shards != 0) file.shards = take_shards(rest);
  if (file.variant.empty()) file.variant = take_variant(rest);
  if (!rest.empty()) return std::nullopt;
  return file;
}

// One set of weights: a whole file, or shards with their index.
struct WeightSet {
  std::vector<std::string> whole, shards, index;
  size_t num_shards = 0;
  bool complete() const {
    return !whole.empty() || (!index.empty() && num_shards > 0 && shards.size() == num_shards);
  }
};

struct Part {
  std::vector<std::string> settings;  // .json, .txt, .model
  bool has_config = false;
  std::map<std::pair<std::string, std::string>, WeightSet> weights;  // by variant and extension
};

void add(Part& part, const std::string& path, std::string_view name) {
  if (const auto file = parse_weight_file(name)) {
    WeightSet& set = part.weights[{file->variant, file->extension}];
    if (file->shards == 0) {
      set.index.push_back(path);
    } else if (file->shards == 1) {
      set.whole.push_back(path);
    } else {
      set.num_shards = file->shards;
      set.shards.push_back(path);
    }
  } else if (name.ends_with(".json") || name.ends_with(".txt") || name.ends_with(".model")) {
    part.settings.push_back(path);
    part.has_config = part.has_config || name == "config.json";
  }
}

// The files of the best set of weights; empty where there is none.
std::vector<std::string> chosen_weights(const Part& part, std::string_view variant) {
  std::vector<std::string_view> variants = {variant};
  if (!variant.empty()) variants.push_back("");
  for (const std::string_view each : variants) {
    for (const char* extension : {".safetensors", ".bin"}) {
      const auto found = part.weights.find({std::string(each), extension});
      if (found == part.weights.end() || !found->second.complete()) continue;
      const WeightSet& set = found->second;
      if (!set.whole.empty()) return set.whole;
      std::vector<std::string> files = set.index;
      files.insert(files.end(), set.shards.begin(), set.shards.end());
      return files;
    }
  }
  return {};
}

// The parts that the index names, but for those that are null and those that nothing here reads.
std::vector<std::string> parts_of(std::string_view index) {
  const auto json = nlohmann::json::parse(index, nullptr, false);
  if (!json.is_object()) fail("model_index.json is no JSON object; the file is damaged");
  std::vector<std::string> parts;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_array() || value.size() != 2 || !value[1].is_string()) continue;
    if (std::find(kUnused.begin(), kUnused.end(), name) == kUnused.end()) parts.push_back(name);
  }
  return parts;
}

ChosenFiles choose_folder(const std::vector<std::string>& names, std::string_view index,
                          std::string_view variant) {
  std::map<std::string, Part> parts;
  for (const std::string& name : parts_of(index)) parts[name];
  ChosenFiles chosen{.files = {"model_index.json"}, .checkpoint = {}};
  bool has_variant = false;
  for (const std::string& path : names) {
    if (path == "txt2img.json") chosen.files.push_back(path);
    const size_t slash = path.find('/');
    if (slash == std::string::npos || path.find('/', slash + 1) != std::string::npos) continue;
    const auto part = parts.find(path.substr(0, slash));
    if (part != parts.end()) add(part->second, path, path.substr(slash + 1));
  }
  for (const auto& [name, part] : parts) {
    if (part.settings.empty()) {
      fail("model_index.json names {0}, but there is no {0}/*.json", printable(name));
    }
    chosen.files.insert(chosen.files.end(), part.settings.begin(), part.settings.end());
    for (const auto& [key, set] : part.weights) {
      has_variant = has_variant || (key.first == variant && set.complete());
    }
    const std::vector<std::string> weights = chosen_weights(part, variant);
    if (weights.empty() && part.has_config) {
      std::vector<std::string> others;
      for (const auto& [key, set] : part.weights) {
        if (set.complete()) others.push_back(key.first + key.second);
      }
      fail(
          "{} has no whole set of weights (.safetensors or .bin){}", printable(name),
          others.empty() ? std::string() : fmt::format("; there are: {}", fmt::join(others, ", ")));
    }
    chosen.files.insert(chosen.files.end(), weights.begin(), weights.end());
  }
  if (!variant.empty() && !has_variant) fail("no part has weights of the variant {}", variant);
  return chosen;
}

bool is_checkpoint(std::string_view name) {
  return name.ends_with(".safetensors") || name.ends_with(".ckpt");
}

}  // namespace

ChosenFiles choose_files(const std::vector<std::string>& names, std::string_view index,
                         std::string_view file, std::string_view variant) {
  if (file.empty() && !index.empty()) return choose_folder(names, index, variant);
  if (!variant.empty()) fail("only a diffusers folder has variants; name the file instead");
  const auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::vector<std::string_view> checkpoints;
  for (const std::string& name : names) {
    if (is_checkpoint(name) && (!file.empty() || name.find('/') == std::string::npos)) {
      checkpoints.push_back(name);
    }
  }
  ChosenFiles chosen;
  if (!file.empty()) {
    if (!has(file)) throw Error(unknown_name("file", file, checkpoints));
    chosen.checkpoint = file;
  } else if (checkpoints.size() == 1) {
    chosen.checkpoint = checkpoints.front();
  } else if (checkpoints.empty()) {
    fail("there is no model_index.json and no checkpoint (.safetensors, .ckpt) at the top");
  } else {
    fail("there is no model_index.json, and there are {} checkpoints; name one: {}",
         checkpoints.size(), printable(fmt::format("{}", fmt::join(checkpoints, ", ")), 1000));
  }
  chosen.files = {chosen.checkpoint};
  const std::string stem = chosen.checkpoint.substr(0, chosen.checkpoint.rfind('.'));
  for (const char* beside : {".yaml", ".txt2img.json"}) {
    if (stem + beside != chosen.checkpoint && has(stem + beside)) {
      chosen.files.push_back(stem + beside);
    }
  }
  return chosen;
}

}  // namespace easel
