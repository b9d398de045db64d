#include "src/hub/choose_files.h"

#include <algorithm>

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using Names = std::vector<std::string>;

constexpr std::string_view kIndex = R"({
  "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.2.2",
  "feature_extractor": ["transformers", "CLIPFeatureExtractor"],
  "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
  "image_encoder": [null, null],
  "scheduler": ["diffusers", "PNDMScheduler"],
  "text_encoder": ["transformers", "CLIPTextModel"],
  "tokenizer": ["transformers", "CLIPTokenizer"],
  "unet": ["diffusers", "UNet2DConditionModel"],
  "vae": ["diffusers", "AutoencoderKL"]})";

// As CompVis/stable-diffusion-v1-4 has them, with some more.
const Names kNames = {".gitattributes",
                      "README.md",
                      "feature_extractor/preprocessor_config.json",
                      "image_encoder/config.json",
                      "model_index.json",
                      "safety_checker/config.json",
                      "safety_checker/model.safetensors",
                      "scheduler/scheduler_config.json",
                      "sd-v1-4.ckpt",
                      "text_encoder/config.json",
                      "text_encoder/flax_model.msgpack",
                      "text_encoder/model.fp16.safetensors",
                      "text_encoder/model.safetensors",
                      "text_encoder/pytorch_model.bin",
                      "text_encoder/pytorch_model.fp16.bin",
                      "tokenizer/merges.txt",
                      "tokenizer/special_tokens_map.json",
                      "tokenizer/tokenizer_config.json",
                      "tokenizer/vocab.json",
                      "unet/config.json",
                      "unet/deep/config.json",
                      "unet/diffusion_pytorch_model.bin",
                      "unet/diffusion_pytorch_model.fp16.safetensors",
                      "unet/diffusion_pytorch_model.non_ema.safetensors",
                      "vae/config.json",
                      "vae/diffusion_pytorch_model.bin",
                      "vae/diffusion_pytorch_model.safetensors"};

Names sorted(Names names) {
  std::sort(names.begin(), names.end());
  return names;
}

// What `kNames` gives beside the three sets of weights.
Names with_settings(Names weights) {
  for (const char* name : {"model_index.json", "scheduler/scheduler_config.json",
                           "text_encoder/config.json", "tokenizer/merges.txt",
                           "tokenizer/special_tokens_map.json", "tokenizer/tokenizer_config.json",
                           "tokenizer/vocab.json", "unet/config.json", "vae/config.json"}) {
    weights.emplace_back(name);
  }
  return sorted(weights);
}

TEST(ChooseFiles, TakesSafetensorsBeforeBinAndOneSetAPart) {
  const ChosenFiles chosen = choose_files(kNames, kIndex, "", "");
  EXPECT_EQ(chosen.checkpoint, "");
  EXPECT_EQ(sorted(chosen.files),
            with_settings({"text_encoder/model.safetensors", "unet/diffusion_pytorch_model.bin",
                           "vae/diffusion_pytorch_model.safetensors"}));
}

TEST(ChooseFiles, TakesTheVariantWhereItIsThere) {
  EXPECT_EQ(sorted(choose_files(kNames, kIndex, "", "fp16").files),
            with_settings({"text_encoder/model.fp16.safetensors",
                           "unet/diffusion_pytorch_model.fp16.safetensors",
                           "vae/diffusion_pytorch_model.safetensors"}));
  EXPECT_NE(test::message_of<Error>([] { choose_files(kNames, kIndex, "", "bf16"); }).find("bf16"),
            std::string::npos);
}

TEST(ChooseFiles, TakesShardsWholeWithTheirIndex) {
  constexpr std::string_view index = R"({"unet": ["diffusers", "UNet2DConditionModel"]})";
  const std::string base = "unet/diffusion_pytorch_model";
  Names names = {"model_index.json",
                 "unet/config.json",
                 base + "-00001-of-00002.safetensors",
                 base + "-00002-of-00002.safetensors",
                 base + ".safetensors.index.json",
                 base + ".fp16-00001-of-00001.bin",
                 base + ".bin.index.fp16.json"};
  EXPECT_EQ(choose_files(names, index, "", "").files.size(), 5u);
  names.erase(names.begin() + 3);
  EXPECT_NE(test::message_of<Error>([&] {
              choose_files(names, index, "", "");
            }).find("unet has no whole set of weights"),
            std::string::npos);
}

TEST(ChooseFiles, NamesThePartThatIsMissing) {
  Names names = kNames;
  std::erase_if(names, [](const std::string& name) { return name.starts_with("tokenizer/"); });
  EXPECT_NE(test::message_of<Error>([&] { choose_files(names, kIndex, "", ""); }).find("tokenizer"),
            std::string::npos);
  EXPECT_THROW(choose_files(kNames, "[", "", ""), Error);
}

TEST(ChooseFiles, TakesOneCheckpoint) {
  const Names names = {"README.md", "sd-v1-4.ckpt", "sd-v1-4.yaml", "sub/x.ckpt",
                       "sd-v1-4.txt2img.json"};
  const ChosenFiles only = choose_files(names, "", "", "");
  EXPECT_EQ(only.checkpoint, "sd-v1-4.ckpt");
  EXPECT_EQ(only.files, (Names{"sd-v1-4.ckpt", "sd-v1-4.yaml", "sd-v1-4.txt2img.json"}));
  EXPECT_EQ(choose_files(names, "", "sub/x.ckpt", "").files, Names{"sub/x.ckpt"});
  EXPECT_EQ(choose_files(kNames, kIndex, "sd-v1-4.ckpt", "").checkpoint, "sd-v1-4.ckpt");
  EXPECT_NE(test::message_of<Error>([&] {
              choose_files(names, "", "sd-v1-5.ckpt", "");
            }).find("did you mean 'sd-v1-4.ckpt'"),
            std::string::npos);
  EXPECT_THROW(choose_files({"README.md"}, "", "", ""), Error);
  EXPECT_THROW(choose_files({"a.ckpt", "b.ckpt"}, "", "", ""), Error);
  EXPECT_THROW(choose_files(names, "", "", "fp16"), Error);
}

}  // namespace
}  // namespace easel
