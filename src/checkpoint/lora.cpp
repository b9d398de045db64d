#include "easel/checkpoint/lora.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <easel/base/error.h>
#include <easel/nn/module.h>

#include "block_weights.h"
#include "lora_delta.h"
#include "lora_file.h"

namespace easel {
namespace {

constexpr size_t kMaxNames = 10;

// Models by the features of their contexts, which the keys of cross-attention read.
constexpr std::array<std::pair<int64_t, std::string_view>, 4> kContexts{{
    {768, "Stable Diffusion 1"},
    {1024, "Stable Diffusion 2"},
    {2048, "Stable Diffusion XL"},
    {4096, "a model with the T5 text encoder"},
}};

struct Target {
  std::string native;
  Part part;
  Tensor* weight;
};

// Every weight that an adapter may change, by every name that a layout has for its module.
class Targets {
 public:
  explicit Targets(StableDiffusion& model) {
    add(model.unet, Part::UNet);
    add(model.text_encoder, Part::TextEncoder);
    const std::string unet(native_prefix(Part::UNet));
    for (const KeyRule& rule : key_rules(model.config, WeightLayout::CompVis, Part::UNet)) {
      if (rule.part >= 0 || !rule.native.ends_with(kWeight)) continue;
      const auto found = names_.find(module_name(rule.native));
      if (found == names_.end()) continue;
      const std::string foreign = module_name(rule.foreign);
      const std::string bare = foreign.substr(compvis_prefix(Part::UNet).size());
      names_.emplace(foreign, found->second);
      names_.emplace("diffusion_model." + bare, found->second);
      names_.emplace(kohya_name(unet + bare), found->second);
    }
  }

  const Target* find(const std::string& name) const {
    const auto found = names_.find(name);
    return found == names_.end() ? nullptr : &targets_[found->second];
  }

 private:
  static constexpr std::string_view kWeight = ".weight";

  static std::string module_name(const std::string& parameter) {
    return parameter.substr(0, parameter.size() - kWeight.size());
  }

  template <class Module>
  void add(Module& network, Part part) {
    for (const auto& [name, tensor] : nn::named_parameters(network)) {
      if (!name.ends_with(kWeight) || tensor->dim() < 2) continue;
      const std::string bare = module_name(name);
      const std::string native = std::string(native_prefix(part)) + bare;
      // PEFT's own files and those of attention processors have no prefix for the network.
      for (const std::string& known :
           {native, kohya_name(native), bare, "base_model.model." + bare}) {
        names_.emplace(known, targets_.size());
      }
      targets_.push_back({native, part, tensor});
    }
  }

  std::vector<Target> targets_;
  std::map<std::string, size_t> names_;
};

std::string listed(std::vector<std::string> names) {
  const size_t count = names.size();
  if (count > kMaxNames) names.resize(kMaxNames);
  for (std::string& name : names) name = printable(name, 200);
  return fmt::format("{}{}", fmt::join(names, ", "),
                     count > kMaxNames ? fmt::format(" and {} more", count - kMaxNames) : "");
}

std::string context_name(int64_t features) {
  for (const auto& [known, name] : kContexts) {
    if (features == known) return fmt::format(" ({})", name);
  }
  return {};
}

// A sentence on what the file is made for, where that is not this model; may be empty.
std::string describe_mismatch(const LoraFile& file, const ModelConfig& config) {
  const int64_t own = config.unet.context_dim.value_or(0);
  bool xl = false;
  for (const auto& [name, module] : file.modules) {
    xl = xl || name.starts_with("lora_te1_") || name.starts_with("lora_te2_") ||
         name.starts_with("text_encoder_2.");
    const bool key = name.ends_with("attn2_to_k") || name.ends_with("attn2.to_k");
    const auto down = module.parts.find(LoraRole::Down);
    if (!key || down == module.parts.end() || down->second.dim() < 2) continue;
    const int64_t features = down->second.size(1);
    if (features == own) continue;
    return fmt::format(
        "; it is made for a UNet whose context has {} features{}, and this model's has {}{}",
        features, context_name(features), own, context_name(own));
  }
  if (xl)
    return "; it is made for Stable Diffusion XL, which has two text encoders, and this model has "
           "one";
  if (!file.made_for.empty()) {
    return fmt::format("; its base model is '{}'", printable(file.made_for, 60));
  }
  return {};
}

void merge(StableDiffusion& model, const Targets& targets, const LoraChoice& choice,
           const Log& log) {
  const LoraFile file = read_lora(choice.file);
  std::vector<double> blocks;
  std::optional<UNetBlockPlaces> places;
  if (!choice.blocks.empty()) {
    places.emplace(model.config);
    blocks = numbers_of_blocks(choice.blocks, *places, file.name);
  }
  const auto strength_at = [&](const Target& target) {
    const bool unet = target.part == Part::UNet;
    const double strength = unet ? choice.unet : choice.text_encoder;
    if (!places) return strength;
    return strength * (unet ? blocks[places->at(target.native + ".weight") + 1] : blocks[0]);
  };
  std::vector<std::string> unused = file.unknown;
  std::map<std::string, std::string> used;  // native name: what the file calls it
  for (const auto& [name, module] : file.modules) {
    const Target* target = targets.find(name);
    if (target == nullptr) {
      unused.push_back(name);
      continue;
    }
    const std::string what = fmt::format("{}: {}", file.name, printable(name, 200));
    if (const auto [other, fresh] = used.emplace(target->native, name); !fresh) {
      fail("{} and {} are both updates of {}", what, printable(other->second, 200), target->native);
    }
    const double strength = strength_at(*target);
    Tensor merged;
    try {
      merged = adapted(*target->weight, module, strength, what);
    } catch (const Error& error) {
      fail("{}{}", error.what(), describe_mismatch(file, model.config));
    }
    if (strength == 0) continue;
    merged = merged.to(model.dtype).contiguous();
    if (!at::isfinite(merged).all().item<bool>()) {
      fail("{}: the weight that it makes is not all finite in {}; give the LoRA a smaller weight",
           what, dtype_name(model.dtype));
    }
    *target->weight = merged;
  }
  if (used.empty()) {
    fail("{}: none of its {} modules is in this model: {}{}", file.name, file.modules.size(),
         listed(unused), describe_mismatch(file, model.config));
  }
  if (!unused.empty()) {
    say(log, LogLevel::Warning,
        fmt::format("{}: {} of its entries are for nothing in this model and left aside: {}{}",
                    file.name, unused.size(), listed(unused),
                    describe_mismatch(file, model.config)));
  }
  say(log, LogLevel::Debug, fmt::format("{}: merged into {} weights", file.name, used.size()));
}

}  // namespace

std::string kohya_name(std::string_view native) {
  const std::string_view unet = native_prefix(Part::UNet);
  const bool is_unet = native.starts_with(unet);
  const size_t prefix = is_unet ? unet.size() : native_prefix(Part::TextEncoder).size();
  std::string name(native.substr(prefix));
  std::replace(name.begin(), name.end(), '.', '_');
  return (is_unet ? "lora_unet_" : "lora_te_") + name;
}

StableDiffusion with_loras(const StableDiffusion& model, const std::vector<LoraChoice>& loras,
                           const Log& log) {
  StableDiffusion changed = model;
  const Targets targets(changed);
  for (const LoraChoice& choice : loras) merge(changed, targets, choice, log);
  return changed;
}

}  // namespace easel
