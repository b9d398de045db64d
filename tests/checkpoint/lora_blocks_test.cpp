// Numbers for the blocks of the UNet that a LoRA's updates are multiplied with.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/checkpoint/lora.h>
#include <easel/io/tensor_file.h>

#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

// A narrow model of Stable Diffusion 1's blocks: 12, 1 and 12.
StableDiffusion model_of_25_blocks() {
  ModelConfig config = test::tiny_config();
  config.unet.num_res_blocks = {2, 2, 2, 2};
  config.unet.channel_mult = {1, 1, 1, 1};
  config.unet.attention_resolutions = {4, 2, 1};
  return test::tiny_model(
      Tokenizer(SentencePieceTokenizer::from_file(EASEL_TEST_DATA "/sentencepiece/unigram.model")),
      at::kFloat, config);
}

struct Place {
  const char* module;  // with a [32, 32] weight
  size_t of_17, of_26;
};
const std::vector<Place> kPlaces{
    {"text_encoder.text_model.encoder.layers.0.self_attn.q_proj", 0, 0},
    {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", 1, 2},  // IN01
    {"unet.down_blocks.2.attentions.1.transformer_blocks.0.attn1.to_q", 6, 9},  // IN08
    {"unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q", 7, 13},     // MID
    {"unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", 8, 17},   // OUT03
    {"unet.up_blocks.3.attentions.2.transformer_blocks.0.attn1.to_q", 16, 25},  // OUT11
};

class LoraBlocks : public testing::Test {
 protected:
  static const StableDiffusion& model() {
    static const StableDiffusion made = model_of_25_blocks();
    return made;
  }
  static Tensor weight(const StableDiffusion& of, const std::string& module) {
    Tensor found;
    const auto look = [&](const std::string& part, const auto& network) {
      for (const auto& [name, tensor] : nn::named_parameters(network)) {
        if (part + name == module + ".weight") found = *tensor;
      }
    };
    look("unet.", of.unet);
    look("text_encoder.", of.text_encoder);
    return found;
  }
  std::filesystem::path file() {
    Tensors tensors;
    for (const Place& place : kPlaces) {
      const std::string name = kohya_name(place.module);
      tensors[name + ".lora_down.weight"] = test::hashed_tensor("down" + name, {2, 32});
      tensors[name + ".lora_up.weight"] = test::hashed_tensor("up" + name, {32, 2});
    }
    write_safetensors(folder / "a.safetensors", tensors, {}, IfExists::Replace);
    return folder / "a.safetensors";
  }
  void expect_parts(const std::vector<double>& blocks, size_t Place::*index) {
    const at::NoGradGuard no_grad;
    LoraChoice choice{.file = file()};
    const StableDiffusion whole = with_loras(model(), {choice});
    choice.blocks = blocks;
    const StableDiffusion parts = with_loras(model(), {choice});
    for (const Place& place : kPlaces) {
      const Tensor before = weight(model(), place.module);
      const Tensor want = before + (weight(whole, place.module) - before) * blocks[place.*index];
      EXPECT_TRUE(at::allclose(weight(parts, place.module), want, 1e-4, 1e-6)) << place.module;
    }
  }
  test::TempDir folder;
};

TEST_F(LoraBlocks, SeventeenAndTwentySixNumbersAreForTheirBlocks) {
  std::vector<double> numbers;
  for (int i = 0; i < 17; ++i) numbers.push_back(0.05 * (i + 1));
  expect_parts(numbers, &Place::of_17);
  for (int i = 17; i < 26; ++i) numbers.push_back(0.05 * (i + 1));
  expect_parts(numbers, &Place::of_26);
}

TEST_F(LoraBlocks, AnotherCountIsAnErrorThatSaysWhich) {
  LoraChoice choice{.file = file()};
  choice.blocks = {1, 0};
  const std::string error = test::message_of<Error>([&] { with_loras(model(), {choice}); });
  EXPECT_NE(error.find("there are 2 numbers for blocks"), std::string::npos) << error;
  EXPECT_NE(error.find("give 26 numbers, the first for the text encoder, or the 17"),
            std::string::npos)
      << error;
}

TEST_F(LoraBlocks, AreReadFromOptionsAndPrompts) {
  file();
  LoraFinder finder({folder.path()});
  EXPECT_EQ(finder.from_text("a:0.5:lbw=1,0,0.5").blocks, (std::vector<double>{1, 0, 0.5}));
  EXPECT_EQ(finder.from_text("a:0.5:lbw=1,0,0.5").unet, 0.5);
  EXPECT_EQ(finder.from_text("a").blocks, std::vector<double>{});
  const LoraChoice tagged = finder.from_tag({.kind = "lora", .arguments = {"a", "0.7", "lbw=0,1"}});
  EXPECT_EQ(tagged.blocks, (std::vector<double>{0, 1}));
  EXPECT_EQ(tagged.unet, 0.7);
  EXPECT_EQ(loras_text({tagged}), "a: 0.7 (blocks 0 1)");
  EXPECT_THROW(finder.from_text("a:lbw=x"), Error);
}

}  // namespace
}  // namespace easel
