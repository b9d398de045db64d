// Low-rank adapters of a model (Hu et al. 2021, arXiv 2106.09685) and their kin, as files from
// kohya's scripts, LyCORIS, diffusers and PEFT hold them: merged into the weights, in float32.
//
//   LoRA   W + w s up down, s = alpha / rank; convolutions too (LoCon), with lora_mid between
//   LoHa   W + w s (a1 b1) o (a2 b2)                 (Hyeon-Woo et al. 2021, arXiv 2108.06098)
//   LoKr   W + w s kron(w1, w2), either a product    (Yeh et al. 2023, arXiv 2309.14859)
//   DoRA   W + w (m V / |V| - W), V the sum above at w = 1   (Liu et al. 2024, arXiv 2402.09353)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <easel/base/progress.h>
#include <easel/checkpoint/lora_choice.h>
#include <easel/checkpoint/stable_diffusion.h>

namespace easel {

// The module "unet.down_blocks.0...to_q" or "text_encoder.text_model..." as kohya's layout calls
// it: lora_unet_down_blocks_0_..._to_q, lora_te_text_model_...
std::string kohya_name(std::string_view native);

// Where diffusers keeps a LoraConfig in a file's metadata.
inline constexpr std::string_view kDiffusersLoraMetadata = "lora_adapter_metadata";

// The model with the adapters merged into it, one after the other; it shares with `model`, which
// stays as it is, every tensor that none of them changes. Throws Error where a file is no adapter,
// is damaged, or does not fit the model, saying what it seems to be made for. What else a file
// holds that could not be used is listed through `log`.
StableDiffusion with_loras(const StableDiffusion& model, const std::vector<LoraChoice>& loras,
                           const Log& log = {});

}  // namespace easel
