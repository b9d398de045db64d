#include "easel/pipeline/image_prompt.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>

#include "clip_picture.h"
#include "torch_errors.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

fs::path find_encoder(const fs::path& given, const fs::path& adapter) {
  if (!given.empty()) return given;
  const fs::path beside = adapter.parent_path() / "image_encoder";
  if (fs::exists(beside)) return beside;
  fail_usage(
      "{} needs the image encoder that it was trained with: there is no {}; give another "
      "place with --image-encoder PATH",
      adapter.string(), beside.string());
}

Tensor joined(const Tensor& first_1TD, const Tensor& second_1TD) {
  return first_1TD.defined() ? at::cat({first_1TD, second_1TD}, 1) : second_1TD;
}

}  // namespace

void add_image_prompt(ImagePrompted& prompted, const IpAdapter& adapter,
                      const ImageEncoder& encoder, const Image& picture, double scale) {
  const c10::InferenceMode inference;
  const StableDiffusion& model = prompted.model;
  const Tensor x_1CHW =
      clip_picture(picture, encoder.vision.config().image_size).to(model.device, model.dtype);
  const auto see = [&](const Tensor& picture_1CHW) {
    return adapter.is_plus() ? encoder.vision.penultimate(picture_1CHW)
                             : encoder.embed(picture_1CHW);
  };
  const Tensor seen = see(x_1CHW);
  if (seen.size(-1) != adapter.config().embedding_dim) {
    fail(
        "the image encoder gives {} features, and the IP-Adapter takes {}: it needs the encoder "
        "that it was trained with (ip-adapter_sd15: OpenCLIP's ViT-H/14)",
        seen.size(-1), adapter.config().embedding_dim);
  }
  // What the authors take for no picture: an embedding of zeros, or what is seen in grey.
  const Tensor nothing = adapter.is_plus() ? see(at::zeros_like(x_1CHW)) : at::zeros_like(seen);
  adapter.attach_to(prompted.model.unet, scale);
  ImageTokens& tokens = prompted.tokens;
  tokens.picture_1TD = joined(tokens.picture_1TD, adapter.tokens(seen).to(at::kFloat));
  tokens.nothing_1TD = joined(tokens.nothing_1TD, adapter.tokens(nothing).to(at::kFloat));
}

ImagePrompted with_image_prompts(const StableDiffusion& model,
                                 const std::vector<ImagePromptChoice>& choices,
                                 const fs::path& encoder) {
  return with_plain_errors(
      "the pictures to go by need more than there is; use --dtype float16", [&] {
        ImagePrompted prompted{.model = model, .tokens = {}};
        const ImageEncoder looks =
            load_image_encoder(find_encoder(encoder, choices.front().adapter),
                               at::device(model.device).dtype(model.dtype));
        for (const ImagePromptChoice& choice : choices) {
          add_image_prompt(prompted, load_ip_adapter(choice.adapter, model), looks,
                           read_upright_image(choice.picture), choice.scale);
        }
        return prompted;
      });
}

void add_image_tokens(Guidance& guidance, const ImageTokens& tokens) {
  if (tokens.num() == 0) return;
  const auto add = [](Conditioning& half, const Tensor& tokens_1TD) {
    Tensor& context_BTD = half.context_BTD;
    if (!context_BTD.defined()) return;
    context_BTD = at::cat({context_BTD, tokens_1TD.expand({context_BTD.size(0), -1, -1})}, 1);
  };
  add(guidance.conditional, tokens.picture_1TD);
  add(guidance.unconditional, tokens.nothing_1TD);
  for (ConditionsFrom& change : guidance.changes) {
    add(change.conditional, tokens.picture_1TD);
    add(change.unconditional, tokens.nothing_1TD);
  }
}

}  // namespace easel
