#include "easel/pipeline/decode.h"

#include <optional>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <easel/base/error.h>
#include <easel/nn/module.h>
#include <easel/nn/stored_weights.h>

#include "autoencoder_memory.h"

namespace easel {
namespace {

constexpr double kLeastLogvar = -30;

bool all_finite(const Tensor& x) { return at::isfinite(x).all().item<bool>(); }

// Where the autoencoder overflows it works in another type than the model's.
nn::StoredWeights weights_for(const StableDiffusion& model, at::ScalarType dtype) {
  std::optional<nn::WeightPlace> place = model.weight_place();
  if (place) place->dtype = dtype;
  return nn::StoredWeights(place);
}

VaeTiling tiling_for(const StableDiffusion& model, VaeTiling asked) {
  return asked == VaeTiling::Auto && model.low_memory ? VaeTiling::On : asked;
}

Autoencoder in_float32(const Autoencoder& autoencoder) {
  Autoencoder copy = autoencoder;
  for (const auto& parameter : nn::named_parameters(copy)) {
    *parameter.tensor = parameter.tensor->to(at::kFloat);
  }
  return copy;
}

}  // namespace

Image to_image(const Tensor& x_CHW, PixelRounding rounding) {
  Tensor x_HWC = x_CHW.to(at::kFloat).add(1).div_(2).clamp_(0, 1).mul_(255).permute({1, 2, 0});
  if (rounding == PixelRounding::Nearest) x_HWC = x_HWC.round();
  const Tensor bytes_HWC = x_HWC.to(at::kByte).cpu().contiguous();
  const auto* first = bytes_HWC.const_data_ptr<uint8_t>();
  return {.width = static_cast<int>(bytes_HWC.size(1)),
          .height = static_cast<int>(bytes_HWC.size(0)),
          .channels = static_cast<int>(bytes_HWC.size(2)),
          .pixels = {first, first + bytes_HWC.numel()}};
}

Tensor from_image(const Image& image) {
  if (image.channels != 3) fail("a picture to encode is RGB; got {} channels", image.channels);
  const Tensor bytes_HWC = at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                         {image.height, image.width, 3}, at::kByte);
  return bytes_HWC.permute({2, 0, 1}).unsqueeze(0).to(at::kFloat).div(255).mul_(2).sub_(1);
}

Posterior encode_pictures(const StableDiffusion& model, const Tensor& x_BCHW, const Log& log,
                          VaeTiling tiling) {
  const c10::InferenceMode inference;
  const Tensor x = x_BCHW.to(model.device);
  if (model.tiny_autoencoder.encoder) {
    // Its latents are scaled and exact: the variance is as small as the large one's can be.
    const Tensor z_BCHW = model.tiny_autoencoder.encoder->forward(x.to(model.dtype)).to(at::kFloat);
    return {.mean_BCHW = z_BCHW / model.config.scale_factor,
            .logvar_BCHW = at::full_like(z_BCHW, kLeastLogvar)};
  }
  const auto encode = [&](const Autoencoder& autoencoder, at::ScalarType dtype) {
    const nn::StoredWeights weights = weights_for(model, dtype);
    const AutoencoderMemory memory(autoencoder.config(), x.sizes(), dtype, model.device);
    return memory.run(tiling_for(model, tiling), log,
                      [&](int64_t strip) { return autoencoder.encode(x.to(dtype), strip); });
  };
  Posterior posterior = encode(model.autoencoder, model.dtype);
  if (model.dtype != at::kFloat && !all_finite(posterior.mean_BCHW)) {
    say(log, LogLevel::Warning,
        fmt::format("the autoencoder overflowed in {}: encoding in float32",
                    dtype_name(model.dtype)));
    posterior = encode(in_float32(model.autoencoder), at::kFloat);
  }
  if (!all_finite(posterior.mean_BCHW)) {
    fail("the autoencoder gave NaN or infinity for the picture; its weights may be damaged");
  }
  return {.mean_BCHW = posterior.mean_BCHW.to(at::kFloat),
          .logvar_BCHW = posterior.logvar_BCHW.to(at::kFloat)};
}

std::vector<Image> decode_tiny(const TinyDecoder& decoder, const Tensor& latents_BCHW,
                               PixelRounding rounding) {
  const c10::InferenceMode inference;
  const auto parameters = nn::named_parameters(decoder);
  const Tensor x_BCHW = decoder.forward(latents_BCHW.to(parameters.front().tensor->options()));
  std::vector<Image> images;
  for (int64_t k = 0; k < x_BCHW.size(0); ++k) images.push_back(to_image(x_BCHW[k], rounding));
  return images;
}

std::vector<Image> decode_latents(const StableDiffusion& model, const Tensor& latents_BCHW,
                                  PixelRounding rounding, const Log& log, VaeTiling tiling) {
  const c10::InferenceMode inference;
  const Tensor z_BCHW = latents_BCHW.to(model.device, at::kFloat).div(model.config.scale_factor);
  if (!all_finite(z_BCHW)) {
    fail("the network gave NaN or infinity in {}: {}", dtype_name(model.dtype),
         model.dtype == at::kFloat
             ? "the model's weights may be damaged (see easel-checkpoint verify)"
             : "use float32 (--precision full)");
  }
  if (model.tiny_autoencoder.decoder) {
    return decode_tiny(*model.tiny_autoencoder.decoder, latents_BCHW, rounding);
  }
  const int64_t factor = model.config.autoencoder.downsampling();
  const auto decode = [&](const Autoencoder& autoencoder, const Tensor& z_1CHW) {
    const nn::StoredWeights weights = weights_for(model, z_1CHW.scalar_type());
    const AutoencoderMemory memory(autoencoder.config(),
                                   {1, 3, z_1CHW.size(2) * factor, z_1CHW.size(3) * factor},
                                   z_1CHW.scalar_type(), model.device);
    return memory.run(tiling_for(model, tiling), log,
                      [&](int64_t strip) { return autoencoder.decode(z_1CHW, strip); });
  };
  std::optional<Autoencoder> exact;  // made when the first picture needs it
  std::vector<Image> images;
  for (int64_t k = 0; k < z_BCHW.size(0); ++k) {
    const Tensor z_1CHW = z_BCHW.narrow(0, k, 1);
    Tensor x_1CHW;
    if (!exact) x_1CHW = decode(model.autoencoder, z_1CHW.to(model.dtype));
    if (!exact && model.dtype != at::kFloat && !all_finite(x_1CHW)) {
      say(log, LogLevel::Warning,
          fmt::format("the autoencoder overflowed in {}: decoding in float32",
                      dtype_name(model.dtype)));
      exact.emplace(in_float32(model.autoencoder));
    }
    if (exact) x_1CHW = decode(*exact, z_1CHW);
    if (!all_finite(x_1CHW))
      fail("the autoencoder gave NaN or infinity; its weights may be damaged");
    images.push_back(to_image(x_1CHW[0], rounding));
  }
  return images;
}

}  // namespace easel
