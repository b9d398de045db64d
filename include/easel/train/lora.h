// Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685): W + alpha / rank * up down in the place
// of a layer's weight W.
//
// The layers are those of the UNet's blocks and of the text encoder: linear ones and convolutions,
// whose down has the kernel's size and whose up is 1 x 1. Biases and norms stay.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <easel/checkpoint/stable_diffusion.h>
#include <easel/train/adapter.h>

namespace easel {

struct LoraOptions {
  int64_t rank = 4;  // 1 or more
  double alpha = 4;  // above 0
  // Ends of the names of modules ("to_q", "attn2.to_q", "ff.net.0.proj", "conv1", "mlp.fc1").
  // Empty: to_q, to_k, to_v, to_out.0, and with text_encoder also q_proj, k_proj, v_proj, out_proj.
  std::vector<std::string> target_modules;
  bool text_encoder = false;  // its modules too, not the UNet's alone
  // "kohya": lora_unet_down_blocks_0_..._to_q.{lora_down.weight,lora_up.weight,alpha}, the text
  // encoder's lora_te_...; "diffusers": unet.down_blocks.0....to_q.{lora_A,lora_B}.weight as PEFT
  // has it, with rank and alpha in the metadata that diffusers reads.
  std::string layout = "kohya";
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const LoraOptions& options);

// down is uniform in +-1 / sqrt(fan_in) (kaiming_uniform with a = sqrt(5)), as the seed decides, up
// zero: at first the model is unchanged. The model's parameters must have memory already, of which
// the adapter keeps hold. Throws Error (Usage) where a target is no module's name.
Adapter make_lora(const LoraOptions& options, std::shared_ptr<StableDiffusion> model,
                  uint64_t seed);

}  // namespace easel
