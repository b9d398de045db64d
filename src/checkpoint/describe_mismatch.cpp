// What the files seem to be, where their tensors do not fit the config.
#include <easel/checkpoint/model_files.h>

#include "weight_report.h"

namespace easel {
namespace {

// The shape of the parameter `native` in the source, if it is there.
std::vector<int64_t> shape_of(const std::vector<KeyRule>& rules, const WeightSource& source,
                              std::string_view native) {
  for (const KeyRule& rule : rules) {
    if (rule.native != native) continue;
    const auto found = source.tensors.find(rule.foreign);
    return found == source.tensors.end() ? std::vector<int64_t>{} : found->second.sizes().vec();
  }
  return {};
}

}  // namespace

std::string describe_mismatch(const ModelConfig& config, const std::vector<WeightSource>& sources) {
  for (const WeightSource& source : sources) {
    const FileInfo info = identify(source.tensors);
    if (source.parts.size() > 1 && info.kind != ModelKind::StableDiffusion) {
      return fmt::format("{} seems to be {}", source.name, kind_text(info.kind));
    }
    if (!source.parts.contains(Part::UNet)) continue;
    const auto rules = key_rules(config, source.layout);
    const auto conv_in = shape_of(rules, source, "unet.conv_in.weight");
    if (conv_in.size() == 4 && conv_in[1] != config.unet.in_channels) {
      const std::string_view what = conv_in[1] == 9   ? "an inpainting model"
                                    : conv_in[1] == 8 ? "an InstructPix2Pix model"
                                    : conv_in[1] == 5 ? "a depth-to-image model"
                                                      : "a model with another conditioning";
      return fmt::format(
          "{} seems to be {}: its UNet takes {} channels, the config says {}{}", source.name, what,
          conv_in[1], config.unet.in_channels,
          conv_in[1] == 9 ? "; give v1-inpainting-inference.yaml as the config" : "");
    }
    const auto key = shape_of(
        rules, source, "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight");
    if (key.size() == 2 && config.unet.context_dim && key[1] != *config.unet.context_dim) {
      return fmt::format("Its UNet takes a context of {} features{}, the config says {}", key[1],
                         key[1] == 1024 ? " as Stable Diffusion 2's does" : "",
                         *config.unet.context_dim);
    }
    if (conv_in.size() == 4 && conv_in[0] != config.unet.model_channels) {
      return fmt::format(
          "Its UNet has {} channels at the first level, the config says {}; give the "
          "config that it was made with",
          conv_in[0], config.unet.model_channels);
    }
  }
  return "";
}

}  // namespace easel
