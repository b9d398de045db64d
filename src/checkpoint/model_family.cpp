#include "model_family.h"

#include <array>

#include <ATen/ATen.h>

namespace easel {
namespace {

constexpr double kLeastDeviationOfV = 0.09;
constexpr int64_t kContextOfV2 = 1024;

struct Row {
  int64_t context, in_channels;
  ModelFamily family;
};
constexpr std::array<Row, 7> kFamilies{{
    {768, 4, {"v1-inference.yaml", "Stable Diffusion 1"}},
    {768, 9, {"v1-inpainting-inference.yaml", "Stable Diffusion 1 for inpainting"}},
    {768, 8, {"instruct-pix2pix.yaml", "InstructPix2Pix"}},
    {kContextOfV2, 4, {"v2-inference.yaml", "Stable Diffusion 2"}},
    {kContextOfV2, 9, {"v2-inpainting-inference.yaml", "Stable Diffusion 2 for inpainting"}},
    {kContextOfV2, 5, {"v2-depth-inference.yaml", "Stable Diffusion 2 with depth"}},
    {kContextOfV2, 7, {"x4-upscaling.yaml", "Stable Diffusion 2's upscaler"}},
}};
constexpr ModelFamily kV2V{"v2-inference-v.yaml", "Stable Diffusion 2 that predicts v"};

// A tensor of the UNet by its name in either layout; undefined where it is not there.
Tensor of_unet(const Tensors& tensors, std::string_view compvis, std::string_view diffusers) {
  for (const auto& [prefix, name] : {std::pair(compvis_prefix(Part::UNet), compvis),
                                     std::pair(native_prefix(Part::UNet), diffusers)}) {
    const auto found = tensors.find(std::string(prefix) + std::string(name));
    if (found != tensors.end()) return found->second;
  }
  return {};
}

std::optional<Parameterization> stated_parameterization(const ModelFiles& files) {
  const auto stated = files.metadata.find("modelspec.prediction_type");
  if (stated != files.metadata.end()) {
    if (stated->second == "v") return Parameterization::V;
    if (stated->second == "epsilon") return Parameterization::Eps;
  }
  if (files.tensors.contains("v_pred")) return Parameterization::V;
  return std::nullopt;
}

bool looks_like_v(const Tensors& tensors) {
  const Tensor bias = of_unet(tensors, "output_blocks.11.1.transformer_blocks.0.norm1.bias",
                              "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias");
  return bias.defined() && bias.is_floating_point() && bias.numel() > 0 &&
         bias.to(at::kFloat).std(/*unbiased=*/false).item<double>() > kLeastDeviationOfV;
}

}  // namespace

std::optional<ModelFamily> identify_family(const ModelFiles& files) {
  if (identify(files.tensors).kind != ModelKind::StableDiffusion) return std::nullopt;
  const Tensor conv_in = of_unet(files.tensors, "input_blocks.0.0.weight", "conv_in.weight");
  Tensor key = of_unet(files.tensors, "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
                       "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight");
  if (!key.defined()) {  // the upscaler has none at its largest maps
    key = of_unet(files.tensors, "middle_block.1.transformer_blocks.0.attn2.to_k.weight",
                  "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight");
  }
  if (!conv_in.defined() || conv_in.dim() != 4 || !key.defined() || key.dim() != 2) {
    return std::nullopt;
  }
  for (const Row& row : kFamilies) {
    if (row.context != key.size(1) || row.in_channels != conv_in.size(1)) continue;
    ModelFamily family = row.family;
    const auto stated = stated_parameterization(files);
    const bool may_predict_v = row.context == kContextOfV2 && row.in_channels == 4;
    if (may_predict_v && (stated ? *stated == Parameterization::V : looks_like_v(files.tensors))) {
      family = kV2V;
    } else {
      family.parameterization = stated;
    }
    family.zero_terminal_snr = files.tensors.contains("ztsnr");
    const Tensor guidance =
        of_unet(files.tensors, "time_embed.cond_proj.weight", "time_embedding.cond_proj.weight");
    if (guidance.defined() && guidance.dim() == 2) family.time_cond_proj_dim = guidance.size(1);
    return family;
  }
  return std::nullopt;
}

}  // namespace easel
