#include "easel/checkpoint/model_files.h"

#include <array>
#include <set>

#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/file.h>
#include <easel/io/tensor_file.h>

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIndexBytes = 16 << 20;

bool has_prefix(const Tensors& tensors, std::string_view prefix) {
  const auto found = tensors.lower_bound(std::string(prefix));
  return found != tensors.end() && found->first.starts_with(prefix);
}

bool has_any_with(const Tensors& tensors, std::initializer_list<std::string_view> pieces) {
  for (const auto& [name, tensor] : tensors) {
    for (const std::string_view piece : pieces) {
      if (name.find(piece) != std::string::npos) return true;
    }
  }
  return false;
}

// What else than a Stable Diffusion model or a part of one: marks that those never carry.
std::optional<ModelKind> identify_other(const Tensors& tensors) {
  if (has_any_with(tensors, {"lora_up.", "lora_down.", "lora_A.", "lora_B.", ".lora.up.",
                             ".lora.down.", "_lora.up.", "_lora.down.", "lora_linear_layer.",
                             "lora_unet_", "lora_te_", ".hada_w1", ".lokr_w"})) {
    return ModelKind::Lora;
  }
  if (has_prefix(tensors, "conditioner.embedders.") ||
      has_any_with(tensors, {"add_embedding.linear_1."})) {
    return ModelKind::StableDiffusionXL;
  }
  if (has_any_with(tensors, {"joint_blocks."})) return ModelKind::StableDiffusion3;
  if (has_any_with(tensors, {"double_blocks.", "single_transformer_blocks."})) {
    return ModelKind::Flux;
  }
  if (has_prefix(tensors, "string_to_param.") || tensors.contains("emb_params")) {
    return ModelKind::TextualInversion;
  }
  const bool whole = has_prefix(tensors, "model.diffusion_model.");
  if (!whole && has_any_with(tensors, {"input_hint_block.", "zero_convs.",
                                       "controlnet_cond_embedding.", "controlnet_down_blocks."})) {
    return ModelKind::ControlNet;
  }
  if (has_prefix(tensors, "ip_adapter.") && has_prefix(tensors, "image_proj.")) {
    return ModelKind::IpAdapter;
  }
  if (tensors.contains("adapter.body.0.resnets.0.block1.weight") ||
      tensors.contains("body.0.block1.weight") || tensors.contains("body.0.body.0.block1.weight")) {
    return ModelKind::T2IAdapter;
  }
  if (!whole && has_any_with(tensors, {"quantize.embedding.weight", "quantize.embed"})) {
    return ModelKind::VqAutoencoder;
  }
  if (tensors.contains("encoder.layers.1.conv.0.weight") ||
      tensors.contains("decoder.layers.2.conv.0.weight") || tensors.contains("3.conv.4.weight")) {
    return ModelKind::TinyAutoencoder;
  }
  if (tensors.size() <= 64 && has_any_with(tensors, {"768.0.linear", "320.0.linear"})) {
    return ModelKind::Hypernetwork;
  }
  return std::nullopt;
}

// A file name of a shard index: untrusted, and to stay within its folder.
fs::path shard_path(const fs::path& index, const std::string& name) {
  const fs::path plain = fs::path(name);
  if (name.empty() || plain.filename() != plain || name == "." || name == ".." ||
      name.find('\0') != std::string::npos || name.find('\\') != std::string::npos) {
    fail("{}: a shard is named '{}'; expected a plain file name beside the index", index.string(),
         printable(name));
  }
  return index.parent_path() / plain;
}

void append(ModelFiles& all, TensorFile&& file, const fs::path& path) {
  all.tensors.merge(file.tensors);
  all.metadata.merge(file.metadata);
  all.unknown_globals.insert(all.unknown_globals.end(), file.unknown_globals.begin(),
                             file.unknown_globals.end());
  all.format = file.format;
  all.files.push_back(path);
}

ModelFiles read_shards(const fs::path& index) {
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(read_text_file(index, kMaxIndexBytes));
  } catch (const nlohmann::json::exception& error) {
    fail("{}: no valid JSON: {}", index.string(), printable(error.what(), 200));
  }
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    fail("{}: expected an object with a 'weight_map' from tensor names to files", index.string());
  }
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    if (!file.is_string()) {
      fail("{}: weight_map: '{}' has no file name", index.string(), printable(tensor));
    }
    shards[file.get<std::string>()].insert(tensor);
  }
  ModelFiles all;
  for (const auto& [name, tensors] : shards) {
    const fs::path path = shard_path(index, name);
    TensorFile file = read_tensor_file(path);
    for (const std::string& tensor : tensors) {
      if (!file.tensors.contains(tensor)) {
        fail("{}: the tensor '{}' is not in {}, where the index says it is", index.string(),
             printable(tensor), name);
      }
    }
    append(all, std::move(file), path);
  }
  return all;
}

}  // namespace

std::string_view kind_text(ModelKind kind) {
  switch (kind) {
    case ModelKind::StableDiffusion:
      return "a Stable Diffusion model";
    case ModelKind::UNet:
      return "a UNet alone";
    case ModelKind::Autoencoder:
      return "an autoencoder (VAE) alone";
    case ModelKind::TextEncoder:
      return "a text encoder alone";
    case ModelKind::StableDiffusionXL:
      return "a Stable Diffusion XL model";
    case ModelKind::StableDiffusion3:
      return "a Stable Diffusion 3 model";
    case ModelKind::Flux:
      return "a FLUX model";
    case ModelKind::Lora:
      return "a LoRA";
    case ModelKind::ControlNet:
      return "a ControlNet";
    case ModelKind::T2IAdapter:
      return "a T2I-Adapter";
    case ModelKind::IpAdapter:
      return "an IP-Adapter";
    case ModelKind::TextualInversion:
      return "a textual inversion embedding";
    case ModelKind::Hypernetwork:
      return "a hypernetwork";
    case ModelKind::VqAutoencoder:
      return "a vector-quantised (VQ) autoencoder";
    case ModelKind::TinyAutoencoder:
      return "a tiny autoencoder (TAESD)";
    case ModelKind::Unknown:
      return "no model that is known here";
  }
  return "";
}

FileInfo identify(const Tensors& tensors) {
  if (const auto other = identify_other(tensors)) return {*other, std::nullopt};
  const auto parts_in = [&](WeightLayout layout) {
    std::set<Part> parts;
    for (const auto& [name, tensor] : tensors) {
      if (const auto part = part_of(name, layout)) parts.insert(*part);
    }
    return parts;
  };
  const auto kind_of = [](const std::set<Part>& parts) {
    if (parts.size() > 1) return ModelKind::StableDiffusion;
    if (parts.contains(Part::UNet)) return ModelKind::UNet;
    return parts.contains(Part::Autoencoder) ? ModelKind::Autoencoder : ModelKind::TextEncoder;
  };
  for (const WeightLayout layout : {WeightLayout::CompVis, WeightLayout::Diffusers}) {
    if (const auto parts = parts_in(layout); !parts.empty()) return {kind_of(parts), layout};
  }
  // A part without a prefix.
  if (has_prefix(tensors, "encoder.down.") || has_prefix(tensors, "decoder.up.")) {
    return {ModelKind::Autoencoder, WeightLayout::CompVis};
  }
  if (has_prefix(tensors, "encoder.down_blocks.") || has_prefix(tensors, "decoder.up_blocks.")) {
    return {ModelKind::Autoencoder, WeightLayout::Diffusers};
  }
  if (has_prefix(tensors, "input_blocks.")) return {ModelKind::UNet, WeightLayout::CompVis};
  if (has_prefix(tensors, "down_blocks.")) return {ModelKind::UNet, WeightLayout::Diffusers};
  if (has_prefix(tensors, "text_model.")) return {ModelKind::TextEncoder, WeightLayout::Diffusers};
  return {};
}

ModelFiles read_component(const fs::path& folder, std::string_view base) {
  // transformers' pickled weights have another base name.
  const std::string pickled = base == "model" ? "pytorch_model" : std::string(base);
  std::vector<std::string> candidates;
  for (const std::string_view variant : {"", ".fp16"}) {
    for (const auto& [name, extension] :
         {std::pair<std::string, std::string>(base, ".safetensors"), {pickled, ".bin"}}) {
      candidates.push_back(fmt::format("{}{}{}", name, variant, extension));
      // Both orders are in use.
      candidates.push_back(fmt::format("{}{}.index{}.json", name, extension, variant));
      if (!variant.empty()) {
        candidates.push_back(fmt::format("{}{}{}.index.json", name, variant, extension));
      }
    }
  }
  for (const std::string& candidate : candidates) {
    const fs::path path = folder / candidate;
    if (!fs::exists(path)) continue;
    if (path.extension() == ".json") return read_shards(path);
    ModelFiles files;
    append(files, read_tensor_file(path), path);
    return files;
  }
  fail("{}: no weights here; expected {}.safetensors or {}.bin, whole or sharded", folder.string(),
       base, pickled);
}

ModelFiles read_model_files(const fs::path& path) {
  if (!fs::is_directory(path)) {
    ModelFiles files;
    append(files, read_tensor_file(path), path);
    return files;
  }
  if (!fs::exists(path / "model_index.json")) {
    fail("{}: a folder without model_index.json is no diffusers model", path.string());
  }
  ModelFiles all;
  constexpr std::array<std::pair<Part, std::string_view>, 3> kComponents{{
      {Part::UNet, "diffusion_pytorch_model"},
      {Part::Autoencoder, "diffusion_pytorch_model"},
      {Part::TextEncoder, "model"},
  }};
  for (const auto& [part, base] : kComponents) {
    const std::string_view prefix = native_prefix(part);
    ModelFiles component = read_component(path / prefix.substr(0, prefix.size() - 1), base);
    for (auto& [name, tensor] : component.tensors) {
      all.tensors.emplace(std::string(prefix) + name, std::move(tensor));
    }
    all.unknown_globals.insert(all.unknown_globals.end(), component.unknown_globals.begin(),
                               component.unknown_globals.end());
    all.files.insert(all.files.end(), component.files.begin(), component.files.end());
  }
  all.format = "diffusers folder";
  return all;
}

}  // namespace easel
