#include "config_targets.h"

#include <algorithm>
#include <array>
#include <optional>

#include <easel/base/error.h>

namespace easel {
namespace {

struct TargetInfo {
  std::string_view name;
  std::optional<Target> target;  // nullopt: known, not supported
  std::string_view what;
};

constexpr std::array<TargetInfo, 41> kTargets{{
    {"ldm.models.diffusion.ddpm.LatentDiffusion", Target::LatentDiffusion, "latent diffusion"},
    {"ldm.models.diffusion.ddpm.LatentInpaintDiffusion", Target::LatentDiffusion, "inpainting"},
    {"ldm.models.diffusion.ddpm.LatentFinetuneDiffusion", Target::LatentDiffusion, "fine-tuning"},
    {"ldm.models.diffusion.ddpm_edit.LatentDiffusion", Target::LatentDiffusion, "InstructPix2Pix"},
    {"ldm.models.diffusion.ddpm.LatentDepth2ImageDiffusion", Target::LatentDiffusion,
     "depth-to-image"},
    {"ldm.models.diffusion.ddpm.LatentUpscaleDiffusion", Target::LatentDiffusion, "upscaling"},
    {"ldm.models.diffusion.ddpm.LatentUpscaleFinetuneDiffusion", Target::LatentDiffusion,
     "upscaling"},
    {"ldm.modules.diffusionmodules.openaimodel.UNetModel", Target::UNet, "the UNet"},
    {"ldm.models.autoencoder.AutoencoderKL", Target::AutoencoderKL, "the KL autoencoder"},
    {"ldm.modules.encoders.modules.FrozenCLIPEmbedder", Target::ClipText, "CLIP's text encoder"},
    {"ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder", Target::OpenClipText,
     "OpenCLIP ViT-H/14, the text encoder of Stable Diffusion 2"},
    {"ldm.modules.diffusionmodules.upscaling.ImageConcatWithNoiseAugmentation",
     Target::NoiseAugmentation, "noise on a small picture"},

    {"ldm.models.diffusion.ddpm.DDPM", {}, "diffusion in pixel space"},
    {"ldm.models.diffusion.ddpm.ImageEmbeddingConditionedLatentDiffusion", {}, "Stable unCLIP"},
    {"ldm.models.diffusion.ddpm.Layout2ImgDiffusion", {}, "layout-to-image diffusion"},
    {"ldm.models.diffusion.classifier.NoisyLatentImageClassifier", {}, "a classifier"},
    {"sgm.models.diffusion.DiffusionEngine", {}, "Stable Diffusion XL or a later model"},
    {"cldm.cldm.ControlLDM", {}, "a ControlNet"},
    {"cldm.cldm.ControlledUnetModel", {}, "the UNet of a ControlNet"},
    {"ldm.models.autoencoder.VQModel", {}, "a vector-quantised (VQ) autoencoder"},
    {"ldm.models.autoencoder.VQModelInterface", {}, "a vector-quantised (VQ) autoencoder"},
    {"ldm.models.autoencoder.IdentityFirstStage", {}, "no autoencoder, diffusion in pixel space"},
    {"ldm.modules.diffusionmodules.openaimodel.EncoderUNetModel", {}, "a classifier's network"},
    {"ldm.modules.diffusionmodules.openaimodel.SuperResModel", {}, "an upscaler's network"},
    {"ldm.modules.diffusionmodules.openaimodel.UNetModelDualcondV2", {}, "StableSR's UNet"},
    {"ldm.modules.diffusionmodules.model.Model", {}, "the UNet of DDPM"},
    {"ldm.modules.encoders.modules.FrozenOpenCLIPEmbedder2",
     {},
     "OpenCLIP bigG/14, a text encoder of Stable Diffusion XL"},
    {"ldm.modules.encoders.modules.FrozenOpenCLIPImageEmbedder", {}, "OpenCLIP's image encoder"},
    {"ldm.modules.encoders.modules.FrozenClipImageEmbedder", {}, "CLIP's image encoder"},
    {"ldm.modules.encoders.modules.FrozenCLIPImageEmbedder", {}, "CLIP's image encoder"},
    {"ldm.modules.encoders.modules.FrozenCLIPTextEmbedder",
     {},
     "CLIP's pooled text embedding, of the retrieval-augmented models"},
    {"ldm.modules.encoders.modules.FrozenT5Embedder", {}, "T5, a text encoder"},
    {"ldm.modules.encoders.modules.FrozenCLIPT5Encoder", {}, "CLIP and T5, a text encoder"},
    {"ldm.modules.encoders.modules.BERTEmbedder",
     {},
     "a BERT-like text encoder trained with the model"},
    {"ldm.modules.encoders.modules.TransformerEmbedder",
     {},
     "a transformer trained with the model"},
    {"ldm.modules.encoders.modules.ClassEmbedder", {}, "class labels in place of a text encoder"},
    {"ldm.modules.encoders.modules.SpatialRescaler", {}, "a picture in place of a text encoder"},
    {"ldm.modules.encoders.xlmr.BertSeriesModelWithTransformation",
     {},
     "XLM-R, the text encoder of AltDiffusion"},
    {"ldm.modules.midas.api.MiDaSInference", {}, "a depth estimator"},
    {"modules.xlmr.BertSeriesModelWithTransformation",
     {},
     "XLM-R, the text encoder of AltDiffusion"},
    {"torch.nn.Identity", {}, "nothing"},
}};

std::string_view role(Target target) {
  switch (target) {
    case Target::LatentDiffusion:
      return "a latent diffusion model";
    case Target::UNet:
      return "the UNet";
    case Target::AutoencoderKL:
      return "a KL autoencoder";
    case Target::ClipText:
      return "CLIP's text encoder";
    case Target::OpenClipText:
      return "OpenCLIP's text encoder";
    case Target::NoiseAugmentation:
      return "noise on a small picture";
  }
  return "";
}

}  // namespace

void require_target(ConfigMap& config, Target wanted) {
  require_target(config, std::initializer_list<Target>{wanted});
}

Target require_target(ConfigMap& config, std::initializer_list<Target> wanted) {
  const auto is_wanted = [&](const std::optional<Target>& target) {
    return target && std::find(wanted.begin(), wanted.end(), *target) != wanted.end();
  };
  const std::string name = config.text("target", std::nullopt);
  std::vector<std::string_view> valid;
  for (const TargetInfo& info : kTargets) {
    if (is_wanted(info.target)) valid.push_back(info.name);
    if (info.name != name) continue;
    if (is_wanted(info.target)) return *info.target;
    config.reject("target",
                  fmt::format("{} is {}, which {}", name, info.what,
                              info.target ? fmt::format("is not {}", role(*wanted.begin()))
                                          : "is not supported"));
  }
  config.reject("target", unknown_name("target", name, valid));
}

}  // namespace easel
