#include "easel/checkpoint/ip_adapter.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/checkpoint/model_files.h>
#include <easel/io/file.h>
#include <easel/nn/module.h>

#include "config_map.h"
#include "key_rules.h"
#include "model_config_checks.h"
#include "weight_report.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

// The authors number all attentions of the UNet, of which every second one is to the context.
std::string authors_name(const std::string& native) {
  constexpr std::string_view kAttentions = "ip_adapter.";
  if (!native.starts_with(kAttentions)) return native;
  const size_t dot = native.find('.', kAttentions.size());
  const size_t index = std::stoul(native.substr(kAttentions.size(), dot - kAttentions.size()));
  return fmt::format("{}{}{}", kAttentions, 2 * index + 1, native.substr(dot));
}

// Read off the tensors.
IpAdapterConfig ip_adapter_config(const Tensors& tensors, const std::string& name) {
  const auto size = [&](const std::string& key, int64_t dimension) -> int64_t {
    const auto found = tensors.find("image_proj." + key);
    return found == tensors.end() || found->second.dim() <= dimension
               ? 0
               : found->second.size(dimension);
  };
  IpAdapterConfig config;
  const bool plus = size("latents", 2) > 0 && size("proj_in.weight", 1) > 0;
  if (!plus && size("proj.weight", 1) == 0) {
    fail(
        "{}: it is an IP-Adapter of another kind (Full Face, FaceID), which is not supported; the "
        "plain ones and Plus are (ip-adapter_sd15, ip-adapter-plus_sd15)",
        name);
  }
  if (!plus) {
    config.context_dim = std::max<int64_t>(size("norm.weight", 0), 1);
    config.num_tokens = size("proj.weight", 0) / config.context_dim;
    config.embedding_dim = size("proj.weight", 1);
    return config;
  }
  config.context_dim = size("proj_out.weight", 0);
  config.num_tokens = size("latents", 1);
  config.width = size("latents", 2);
  config.embedding_dim = size("proj_in.weight", 1);
  config.heads = size("layers.0.0.to_q.weight", 0) / config.head_channels;
  config.inner = size("layers.0.1.1.weight", 0);
  config.depth = 0;
  while (size(fmt::format("layers.{}.0.to_q.weight", config.depth), 0) > 0) ++config.depth;
  return config;
}

// Binds the network's parameters to the file's tensors; `foreign` gives a parameter's name there.
template <class Network, class Foreign>
void bind_parameters(Network& network, const Tensors& tensors, const at::TensorOptions& wanted,
                     const Foreign& foreign, WeightReport& report, std::set<std::string>& used) {
  for (const auto& parameter : nn::named_parameters(network)) {
    const KeyRule rule{.native = parameter.name,
                       .foreign = foreign(parameter.name),
                       .shape = parameter.tensor->sizes().vec()};
    const auto found = tensors.find(rule.foreign);
    if (found == tensors.end()) {
      report.missing(rule.foreign, Part::UNet);
      continue;
    }
    used.insert(rule.foreign);
    if (const auto tensor = parameter_of(rule, found->second, report)) {
      *parameter.tensor = tensor->to(wanted).contiguous();
    }
  }
}

// What is read off the tensors of a vision transformer.
ClipVisionConfig vision_config(const Tensors& tensors, const std::string& name) {
  const auto get = [&](const std::string& key, int64_t dims) -> const Tensor& {
    const auto found = tensors.find(key);
    if (found == tensors.end() || found->second.dim() != dims) {
      fail(
          "{}: has no {} as CLIP's image encoders have it; expected transformers' "
          "CLIPVisionModelWithProjection (h94/IP-Adapter's models/image_encoder is one)",
          name, key);
    }
    return found->second;
  };
  const Tensor& patches = get("vision_model.embeddings.patch_embedding.weight", 4);
  const Tensor& positions = get("vision_model.embeddings.position_embedding.weight", 2);
  const auto layer = [](int64_t i) {
    return fmt::format("vision_model.encoder.layers.{}.mlp.fc1.weight", i);
  };
  ClipVisionConfig config;
  config.hidden_size = patches.size(0);
  config.num_channels = patches.size(1);
  config.patch_size = patches.size(2);
  const auto side = static_cast<int64_t>(
      std::llround(std::sqrt(static_cast<double>(std::max<int64_t>(positions.size(0) - 1, 0)))));
  config.image_size = side * config.patch_size;
  config.intermediate_size = get(layer(0), 2).size(0);
  config.num_hidden_layers = 0;
  while (tensors.contains(layer(config.num_hidden_layers))) ++config.num_hidden_layers;
  // OpenCLIP's ViT-H/14 and bigG/14 have 16 heads and the exact GELU, OpenAI's heads of 64.
  const bool open_clip = config.hidden_size == 1280 || config.hidden_size == 1664;
  config.num_attention_heads = open_clip ? 16 : config.hidden_size / 64;
  config.hidden_act = open_clip ? "gelu" : "quick_gelu";
  return config;
}

void read_what_tensors_do_not_tell(const fs::path& json, ClipVisionConfig& config) {
  ConfigMap read = ConfigMap::parse(read_text_file(json, kMaxConfigBytes), json.string());
  config.num_attention_heads =
      read.integer("num_attention_heads", config.num_attention_heads, {.min = 1});
  config.hidden_act = read.text("hidden_act", config.hidden_act);
  config.layer_norm_eps = read.number("layer_norm_eps", config.layer_norm_eps);
}

}  // namespace

IpAdapter load_ip_adapter(const fs::path& path, const StableDiffusion& model) {
  const ModelFiles files = read_model_files(path);
  const Tensors& tensors = files.tensors;
  const FileInfo info = identify(tensors);
  if (info.kind != ModelKind::IpAdapter) {
    fail("{} is {}; expected an IP-Adapter", path.string(), kind_text(info.kind));
  }
  UNet unet = model.unet;  // its parameters are shared
  std::vector<int64_t> widths;
  for (const nn::Attention* attention : cross_attentions(unet)) {
    widths.push_back(attention->to_k.weight.size(0));
  }
  const IpAdapterConfig config = ip_adapter_config(tensors, path.string());
  const int64_t context = model.config.unet.context_dim.value_or(0);
  if (config.context_dim != context) {
    fail("{}: it is made for a UNet whose context has {} features, and this model's has {}",
         path.string(), config.context_dim, context);
  }
  IpAdapter adapter(config, widths);
  WeightReport report;
  std::set<std::string> used;
  bind_parameters(adapter, tensors, at::device(model.device).dtype(model.dtype), authors_name,
                  report, used);
  for (const auto& [name, tensor] : tensors) {
    if (!used.contains(name)) report.unexpected(name);
  }
  report.throw_if_any(path.string(), "");
  return adapter;
}

ImageEncoder load_image_encoder(const fs::path& path, const at::TensorOptions& wanted) {
  if (!fs::exists(path)) fail("{}: no such file or folder", path.string());
  const bool folder = fs::is_directory(path);
  const ModelFiles files = folder ? read_component(path, "model") : read_model_files(path);
  ClipVisionConfig config = vision_config(files.tensors, path.string());
  const fs::path json = path / "config.json";
  if (folder && fs::exists(json)) read_what_tensors_do_not_tell(json, config);
  const auto projection = files.tensors.find("visual_projection.weight");
  if (projection == files.tensors.end() || projection->second.dim() != 2) {
    fail(
        "{}: has no visual_projection.weight; expected transformers' "
        "CLIPVisionModelWithProjection",
        path.string());
  }
  ImageEncoder encoder{.vision = ClipVision(config),
                       .visual_projection = nn::Linear(
                           config.hidden_size, projection->second.size(0), /*with_bias=*/false)};
  WeightReport report;
  std::set<std::string> used;
  bind_parameters(
      encoder, files.tensors, wanted, [](const std::string& name) { return name; }, report, used);
  report.throw_if_any(path.string(), "");
  return encoder;
}

}  // namespace easel
