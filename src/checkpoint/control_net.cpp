#include "easel/checkpoint/control_net.h"

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/checkpoint/model_files.h>
#include <easel/nn/module.h>

#include "key_rules.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "control_model.";
constexpr std::string_view kHint = "controlnet_cond_embedding.";

Tensors read_tensors(const fs::path& path) {
  if (!fs::exists(path)) fail("{}: no such file or folder", path.string());
  ModelFiles files = fs::is_directory(path) ? read_component(path, "diffusion_pytorch_model")
                                            : read_model_files(path);
  const FileInfo info = identify(files.tensors);
  const auto first = files.tensors.lower_bound(std::string(kPrefix));
  const bool prefixed = first != files.tensors.end() && first->first.starts_with(kPrefix);
  if (info.kind != ModelKind::ControlNet && !prefixed) {
    fail("{} is {}; expected a ControlNet or a T2I-Adapter", path.string(), kind_text(info.kind));
  }
  if (!prefixed) return std::move(files.tensors);
  Tensors own;
  for (auto& [name, tensor] : files.tensors) {
    if (name.starts_with(kPrefix)) own.emplace(name.substr(kPrefix.size()), std::move(tensor));
  }
  return own;
}

// How the authors' program calls what a ControlNet has beside the UNet's half.
std::string compvis_name(const std::string& native, size_t num_hint_blocks) {
  const auto rest_of = [&](std::string_view start) { return native.substr(start.size()); };
  constexpr std::string_view kBlocks = "controlnet_cond_embedding.blocks.";
  constexpr std::string_view kSkips = "controlnet_down_blocks.";
  constexpr std::string_view kMid = "controlnet_mid_block.";
  const std::string leaf = native.substr(native.rfind('.') + 1);
  if (native.starts_with(kBlocks)) {
    return fmt::format("input_hint_block.{}.{}", 2 * (std::stoul(rest_of(kBlocks)) + 1), leaf);
  }
  if (native.starts_with(kHint)) {
    const bool last = native.find("conv_out") != native.npos;
    return fmt::format("input_hint_block.{}.{}", last ? 2 * (num_hint_blocks + 1) : 0, leaf);
  }
  if (native.starts_with(kSkips)) {
    return fmt::format("zero_convs.{}.0.{}", std::stoul(rest_of(kSkips)), leaf);
  }
  return native.starts_with(kMid) ? fmt::format("middle_block_out.0.{}", leaf) : "";
}

std::vector<KeyRule> rules_of(const ControlNet& network, WeightLayout layout) {
  const ControlNetConfig& config = network.config();
  const UNetPlan unet_plan = plan(config.unet);
  std::vector<KeyRule> rules;
  for (const auto& parameter : nn::named_parameters(network)) {
    KeyRule rule{.native = parameter.name,
                 .foreign = parameter.name,
                 .shape = parameter.tensor->sizes().vec()};
    if (layout == WeightLayout::CompVis) {
      rule.foreign = compvis_name(rule.native, 2 * (config.hint_channels.size() - 1));
      if (rule.foreign.empty()) {
        rule.native.insert(0, native_prefix(Part::UNet));
        rename_unet(rule, config.unet, unet_plan);
        rule.native = parameter.name;
      }
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

// The channels of the picture's convolutions, from their weights.
std::vector<int64_t> hint_channels(const Tensors& tensors, WeightLayout layout) {
  const bool compvis = layout == WeightLayout::CompVis;
  std::vector<int64_t> channels;
  for (size_t i = 0;; ++i) {
    const std::string name = compvis  ? fmt::format("input_hint_block.{}.weight", 4 * i)
                             : i == 0 ? fmt::format("{}conv_in.weight", kHint)
                                      : fmt::format("{}blocks.{}.weight", kHint, 2 * i - 1);
    const auto found = tensors.find(name);
    if (found == tensors.end() || found->second.dim() != 4 || channels.size() > 16) return channels;
    channels.push_back(found->second.size(0));
  }
}

std::string context_hint(const Tensors& tensors, WeightLayout layout, const UNetConfig& unet) {
  const auto key =
      tensors.find(layout == WeightLayout::CompVis
                       ? "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
                       : "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight");
  const int64_t own = unet.context_dim.value_or(0);
  if (key == tensors.end() || key->second.dim() != 2 || key->second.size(1) == own) return "";
  return fmt::format("It is made for a UNet whose context has {} features, and this model's has {}",
                     key->second.size(1), own);
}

}  // namespace

ControlNet load_control_net(const fs::path& path, const ModelConfig& model,
                            const at::TensorOptions& wanted) {
  const Tensors tensors = read_tensors(path);
  const bool compvis = tensors.contains("input_hint_block.0.weight");
  const WeightLayout layout = compvis ? WeightLayout::CompVis : WeightLayout::Diffusers;
  ControlNetConfig config{.unet = model.unet, .hint_channels = hint_channels(tensors, layout)};
  config.unet.in_channels = model.autoencoder.embed_dim;
  config.unet.time_cond_proj_dim.reset();
  if (config.hint_channels.empty()) {
    fail("{}: it has no first convolution for its picture; it is no ControlNet that takes one",
         path.string());
  }
  ControlNet network(config);
  const int64_t factor = model.autoencoder.downsampling();
  if (network.downsampling() != factor) {
    fail("{}: it makes pictures smaller by {}, and this model's latents by {}", path.string(),
         network.downsampling(), factor);
  }
  WeightReport report;
  std::map<std::string, Tensor> native;
  std::set<std::string_view> used;
  const std::vector<KeyRule> rules = rules_of(network, layout);
  for (const KeyRule& rule : rules) {
    const auto found = tensors.find(rule.foreign);
    if (found == tensors.end()) {
      report.missing(rule.foreign, Part::UNet);
      continue;
    }
    used.insert(found->first);
    if (auto tensor = parameter_of(rule, found->second, report)) {
      native.emplace(rule.native, *std::move(tensor));
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!used.contains(name)) report.unexpected(name);
  }
  report.throw_if_any(path.string(), context_hint(tensors, layout, model.unet));
  for (const auto& parameter : nn::named_parameters(network)) {
    *parameter.tensor = native.at(parameter.name).to(wanted).contiguous();
  }
  return network;
}

}  // namespace easel
