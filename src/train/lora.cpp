#include "easel/train/lora.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/checkpoint/lora.h>
#include <easel/checkpoint/weights.h>
#include <easel/nn/autocast.h>
#include <easel/nn/initialize.h>
#include <easel/nn/transformer.h>

namespace easel {
namespace {

constexpr std::array<std::string_view, 4> kUNetTargets{"to_q", "to_k", "to_v", "to_out.0"};
constexpr std::array<std::string_view, 4> kTextTargets{"q_proj", "k_proj", "v_proj", "out_proj"};

struct Module {
  Part part;
  std::string name;  // within its part
  Tensor* weight;    // [O, I] or [O, I, H, W]
};

struct Layer {
  Module module;
  Tensor base;  // the model's own weight
  Tensor down;  // [rank, I] or [rank, I, H, W]
  Tensor up;    // [O, rank] or [O, rank, 1, 1]
};

struct Lora {
  LoraOptions options;
  std::shared_ptr<StableDiffusion> model;
  std::vector<Layer> layers;
};

// Those that programs for LoRA adapt: not the UNet's first and last convolution nor its time
// embedding, for which kohya's layout has no names that others read.
bool is_in_block(std::string_view name) {
  return name.starts_with("down_blocks.") || name.starts_with("mid_block.") ||
         name.starts_with("up_blocks.");
}

template <class Network>
void append_modules(Network& network, Part part, std::vector<Module>& modules) {
  nn::visit_modules(network, [&](auto& layer, const std::string& name) {
    using Type = std::remove_cvref_t<decltype(layer)>;
    if constexpr (std::is_same_v<Type, nn::Linear> || std::is_same_v<Type, nn::Conv2d> ||
                  std::is_same_v<Type, nn::SpatialTransformer::Projection>) {
      if (part == Part::UNet && !is_in_block(name)) return;
      modules.push_back({part, name, &layer.weight});
    }
  });
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](unsigned char c) { return c >= '0' && c <= '9'; });
}

// What a module is called within the block that it is in, such as to_out.0 or ff.net.0.proj.
std::string short_name(std::string_view name) {
  const std::set<std::string_view> parents{"attn1", "attn2", "self_attn", "mlp"};
  const std::set<std::string_view> lists{"transformer_blocks", "resnets",    "attentions",
                                         "downsamplers",       "upsamplers", "layers"};
  size_t begin = 0;
  bool in_list = false;
  for (size_t at = 0; at < name.size();) {
    const size_t end = std::min(name.find('.', at), name.size());
    const std::string_view word = name.substr(at, end - at);
    at = end + 1;
    if (parents.contains(word) || (in_list && is_number(word))) begin = at;
    in_list = lists.contains(word);
  }
  return std::string(name.substr(std::min(begin, name.size())));
}

bool ends_with_name(std::string_view name, std::string_view target) {
  if (!name.ends_with(target)) return false;
  return name.size() == target.size() || name[name.size() - target.size() - 1] == '.';
}

[[noreturn]] void fail_unknown(const std::string& target, const std::vector<Module>& modules,
                               const LoraOptions& options) {
  std::set<std::string> names;
  for (const Module& module : modules) names.insert(short_name(module.name));
  const std::vector<std::string_view> known(names.begin(), names.end());
  fail_usage("lora_config.target_modules: {}{}", unknown_name("module", target, known),
             options.text_encoder ? "" : " (with text_encoder: true also the text encoder's)");
}

std::vector<std::string> targets_of(const LoraOptions& options) {
  std::vector<std::string> targets = options.target_modules;
  if (!targets.empty()) return targets;
  targets.assign(kUNetTargets.begin(), kUNetTargets.end());
  if (options.text_encoder) {
    targets.insert(targets.end(), kTextTargets.begin(), kTextTargets.end());
  }
  return targets;
}

std::vector<Module> targeted(const LoraOptions& options, StableDiffusion& model) {
  std::vector<Module> modules;
  append_modules(model.unet, Part::UNet, modules);
  if (options.text_encoder) append_modules(model.text_encoder, Part::TextEncoder, modules);
  const std::vector<std::string> targets = targets_of(options);
  for (const std::string& target : targets) {
    const bool found = std::any_of(modules.begin(), modules.end(), [&](const Module& module) {
      return ends_with_name(module.name, target);
    });
    if (!found) fail_unknown(target, modules, options);
  }
  std::vector<Module> chosen;
  for (const Module& module : modules) {
    const bool wanted = std::any_of(targets.begin(), targets.end(), [&](const auto& target) {
      return ends_with_name(module.name, target);
    });
    if (wanted) chosen.push_back(module);
  }
  const bool any_text = std::any_of(chosen.begin(), chosen.end(), [](const Module& module) {
    return module.part == Part::TextEncoder;
  });
  if (options.text_encoder && !any_text) {
    fail_usage(
        "lora_config: text_encoder is true, but none of target_modules is in the text encoder; "
        "add such as q_proj, k_proj, v_proj, out_proj, or leave target_modules out");
  }
  return chosen;
}

Layer make_layer(const Module& module, int64_t rank, uint64_t seed) {
  const Tensor& weight = *module.weight;
  std::vector<int64_t> down = weight.sizes().vec();
  std::vector<int64_t> up(weight.sizes().size(), 1);
  up[0] = down[0];
  down[0] = up[1] = rank;
  const at::TensorOptions like(weight.device());
  Layer layer{.module = module,
              .base = weight.detach(),
              .down = at::empty(down, like.dtype(at::kFloat)),
              .up = at::zeros(up, like.dtype(at::kFloat))};
  const double fan_in = static_cast<double>(weight.numel() / weight.size(0));
  nn::fill_uniform(layer.down, 1 / std::sqrt(fan_in), seed,
                   std::string(native_prefix(module.part)) + module.name + ".lora_down.weight");
  layer.down.set_requires_grad(true);
  layer.up.set_requires_grad(true);
  return layer;
}

void apply(const Lora& lora) {
  const double scale = lora.options.alpha / static_cast<double>(lora.options.rank);
  for (const Layer& layer : lora.layers) {
    // Weights are kept in float32, whatever the networks compute in.
    const nn::Autocast off(layer.base.device().type(), at::kBFloat16, /*enabled=*/false);
    const Tensor product = at::matmul(layer.up.flatten(1), layer.down.flatten(1));
    *layer.module.weight = at::add(layer.base, product.view(layer.base.sizes()), scale);
  }
}

std::string native_name(const Module& module) {
  return std::string(native_prefix(module.part)) + module.name;
}

std::map<std::string, Tensor> weights(const Lora& lora, const Ema* averages) {
  std::map<std::string, Tensor> kept;
  if (averages != nullptr) kept = averages->tensors();
  std::map<std::string, Tensor> saved;
  const bool kohya = lora.options.layout == "kohya";
  for (const Layer& layer : lora.layers) {
    const std::string native = native_name(layer.module);
    const std::string name = kohya ? kohya_name(native) : native;
    const auto value = [&](const std::string& key, const Tensor& own) {
      const auto found = kept.find(native + key);
      return found == kept.end() ? own.detach() : found->second;
    };
    const Tensor down = value(".lora_down.weight", layer.down);
    const Tensor up = value(".lora_up.weight", layer.up);
    saved.emplace(name + (kohya ? ".lora_down.weight" : ".lora_A.weight"), down);
    saved.emplace(name + (kohya ? ".lora_up.weight" : ".lora_B.weight"), up);
    if (kohya) saved.emplace(name + ".alpha", at::scalar_tensor(lora.options.alpha, at::kFloat));
  }
  return saved;
}

std::map<std::string, std::string> metadata(const Lora& lora) {
  const LoraOptions& options = lora.options;
  if (options.layout == "kohya") {
    return {{"ss_network_module", "networks.lora"},
            {"ss_network_dim", fmt::format("{}", options.rank)},
            {"ss_network_alpha", fmt::format("{}", options.alpha)}};
  }
  nlohmann::json config;
  for (const Layer& layer : lora.layers) {
    const std::string prefix(native_prefix(layer.module.part));
    config[prefix + "r"] = options.rank;
    config[prefix + "lora_alpha"] = options.alpha;
    config[prefix + "rank_pattern"] = nlohmann::json::object();
    config[prefix + "alpha_pattern"] = nlohmann::json::object();
    config[prefix + "target_modules"].push_back(layer.module.name);
  }
  return {{std::string(kDiffusersLoraMetadata), config.dump()}};
}

}  // namespace

void check(const LoraOptions& options) {
  if (options.rank < 1) fail_usage("lora_config: rank is {}, expected 1 or more", options.rank);
  if (!(options.alpha > 0 && std::isfinite(options.alpha))) {
    fail_usage("lora_config: alpha is {}, expected a number above 0", options.alpha);
  }
  constexpr std::array<std::string_view, 2> layouts{"kohya", "diffusers"};
  if (std::find(layouts.begin(), layouts.end(), options.layout) == layouts.end()) {
    fail_usage("lora_config: {}", unknown_name("layout", options.layout, layouts));
  }
}

Adapter make_lora(const LoraOptions& options, std::shared_ptr<StableDiffusion> model,
                  uint64_t seed) {
  check(options);
  auto lora = std::make_shared<Lora>();
  lora->options = options;
  lora->model = std::move(model);
  for (const Module& module : targeted(options, *lora->model)) {
    lora->layers.push_back(make_layer(module, options.rank, seed));
  }
  Adapter adapter;
  for (Layer& layer : lora->layers) {
    const std::string name = native_name(layer.module);
    adapter.parameters.push_back({name + ".lora_down.weight", &layer.down});
    adapter.parameters.push_back({name + ".lora_up.weight", &layer.up});
  }
  adapter.adapts_text = options.text_encoder;
  adapter.apply = [lora] { apply(*lora); };
  adapter.weights = [lora](const Ema* averages) { return weights(*lora, averages); };
  adapter.metadata = metadata(*lora);
  return adapter;
}

}  // namespace easel
