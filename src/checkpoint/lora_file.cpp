#include "lora_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/base/fields.h>
#include <easel/checkpoint/lora.h>
#include <easel/checkpoint/model_files.h>
#include <easel/io/tensor_file.h>

namespace easel {
namespace {

using nlohmann::json;

// The ends of keys in use. Before 0.22 diffusers had "_lora.down", then "lora_linear_layer"; PEFT
// puts the adapter's name, by default "default", in between.
constexpr std::array<std::pair<std::string_view, LoraRole>, 31> kEnds{{
    {".lora_down.weight", LoraRole::Down},
    {".lora_up.weight", LoraRole::Up},
    {".lora_mid.weight", LoraRole::Mid},
    {".lora_A.weight", LoraRole::Down},
    {".lora_B.weight", LoraRole::Up},
    {".lora_A.default.weight", LoraRole::Down},
    {".lora_B.default.weight", LoraRole::Up},
    {".lora.down.weight", LoraRole::Down},
    {".lora.up.weight", LoraRole::Up},
    {".lora_linear_layer.down.weight", LoraRole::Down},
    {".lora_linear_layer.up.weight", LoraRole::Up},
    {"_lora.down.weight", LoraRole::Down},
    {"_lora.up.weight", LoraRole::Up},
    {".alpha", LoraRole::Alpha},
    {".dora_scale", LoraRole::DoraScale},
    {".lora_magnitude_vector", LoraRole::Magnitude},
    {".lora_magnitude_vector.weight", LoraRole::Magnitude},
    {".lora_magnitude_vector.default.weight", LoraRole::Magnitude},
    {".hada_w1_a", LoraRole::HadaW1A},
    {".hada_w1_b", LoraRole::HadaW1B},
    {".hada_t1", LoraRole::HadaT1},
    {".hada_w2_a", LoraRole::HadaW2A},
    {".hada_w2_b", LoraRole::HadaW2B},
    {".hada_t2", LoraRole::HadaT2},
    {".lokr_w1", LoraRole::LokrW1},
    {".lokr_w1_a", LoraRole::LokrW1A},
    {".lokr_w1_b", LoraRole::LokrW1B},
    {".lokr_w2", LoraRole::LokrW2},
    {".lokr_w2_a", LoraRole::LokrW2A},
    {".lokr_w2_b", LoraRole::LokrW2B},
    {".lokr_t2", LoraRole::LokrT2},
}};

// The names that diffusers gave the projections when its adapters were attention processors.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kOldTextNames{{
    {".to_q", ".q_proj"},
    {".to_k", ".k_proj"},
    {".to_v", ".v_proj"},
    {".to_out", ".out_proj"},
}};

void replace_end(std::string& name, std::string_view end, std::string_view by) {
  if (name.ends_with(end)) name.replace(name.size() - end.size(), end.size(), by);
}

std::string modern_name(std::string name) {
  constexpr std::string_view processor = ".processor.";
  if (const size_t at = name.find(processor); at != name.npos) {
    name.replace(at, processor.size(), ".");
  }
  if (name.find(".self_attn.") != name.npos) {
    for (const auto& [old_end, end] : kOldTextNames) replace_end(name, old_end, end);
  }
  replace_end(name, ".to_out", ".to_out.0");
  return name;
}

struct Key {
  std::string module;
  LoraRole role;
};

std::optional<Key> read_key(const std::string& key) {
  for (const auto& [end, role] : kEnds) {
    if (key.size() == end.size() || !key.ends_with(end)) continue;
    return Key{modern_name(key.substr(0, key.size() - end.size())), role};
  }
  return std::nullopt;
}

double read_alpha(const std::string& file, const std::string& key, const Tensor& tensor) {
  if (tensor.numel() != 1 || at::isComplexType(tensor.scalar_type())) {
    fail("{}: '{}' is {} {}, where alpha is one number", file, printable(key),
         dtype_name(tensor.scalar_type()), shape_text(tensor.sizes()));
  }
  const double alpha = tensor.to(at::kDouble).item<double>();
  if (!std::isfinite(alpha)) fail("{}: '{}' is {}, no finite number", file, printable(key), alpha);
  return alpha;
}

// Whether PEFT's pattern, the end of a name, is that of the module.
bool matches(const std::string& module, const std::string& pattern) {
  return module == pattern || module.ends_with("." + pattern);
}

// PEFT's LoraConfig, which diffusers keeps for each network under its prefix.
void take_config(LoraFile& file, const std::string& text) {
  const json config = json::parse(text, nullptr, false);
  if (!config.is_object()) {
    fail("{}: its metadata {} is no JSON object", file.name, kDiffusersLoraMetadata);
  }
  for (auto& [name, module] : file.modules) {
    for (const Part part : {Part::UNet, Part::TextEncoder}) {
      const std::string prefix(native_prefix(part));
      if (!name.starts_with(prefix)) continue;
      const auto alpha = config.find(prefix + "lora_alpha");
      if (!module.alpha && alpha != config.end() && alpha->is_number()) {
        module.alpha = alpha->get<double>();
        const auto patterns = config.find(prefix + "alpha_pattern");
        if (patterns != config.end() && patterns->is_object()) {
          for (const auto& [pattern, value] : patterns->items()) {
            if (value.is_number() && matches(name, pattern)) module.alpha = value.get<double>();
          }
        }
      }
      const auto root = config.find(prefix + "use_rslora");
      module.divides_by_root = root != config.end() && root->is_boolean() && root->get<bool>();
    }
  }
}

}  // namespace

LoraFile read_lora(const std::filesystem::path& path) {
  const TensorFile read = read_tensor_file(path);
  LoraFile file{.name = path.string(), .modules = {}, .unknown = {}, .made_for = {}};
  Tensors used;
  for (const auto& [key, tensor] : read.tensors) {
    const std::optional<Key> found = read_key(key);
    if (!found) {
      file.unknown.push_back(key);
      continue;
    }
    LoraModule& module = file.modules[found->module];
    if (found->role == LoraRole::Alpha) {
      module.alpha = read_alpha(file.name, key, tensor);
      continue;
    }
    if (!tensor.is_floating_point() || tensor.numel() == 0 || tensor.dim() == 0) {
      fail("{}: '{}' is {} {}, where an adapter has floating-point numbers", file.name,
           printable(key), dtype_name(tensor.scalar_type()), shape_text(tensor.sizes()));
    }
    if (!module.parts.emplace(found->role, tensor).second) {
      fail("{}: '{}' is there in two spellings", file.name, printable(key));
    }
    used.emplace(key, tensor);
  }
  if (used.empty()) {
    fail("{} is {}; expected a LoRA (or LoHa, LoKr, DoRA)", file.name,
         kind_text(identify(read.tensors).kind));
  }
  check_finite(used, file.name);
  for (const auto& [key, value] : read.metadata) {
    // Numbers of a pickle that are no tensors.
    const std::optional<Key> found = read_key(key);
    double alpha = 0;
    if (!found || found->role != LoraRole::Alpha || !parse_field(value, alpha)) continue;
    const auto module = file.modules.find(found->module);
    if (module != file.modules.end()) module->second.alpha = alpha;
  }
  if (const auto config = read.metadata.find(std::string(kDiffusersLoraMetadata));
      config != read.metadata.end()) {
    take_config(file, config->second);
  }
  if (const auto base = read.metadata.find("ss_base_model_version"); base != read.metadata.end()) {
    file.made_for = base->second;
  }
  return file;
}

}  // namespace easel
