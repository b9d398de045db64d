// Models whose weights stay as stored draw what others draw.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/checkpoint/embeddings.h>
#include <easel/checkpoint/lora.h>
#include <easel/nn/module.h>
#include <easel/pipeline/decode.h>
#include <easel/pipeline/txt2img.h>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

class LowMemory : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  // A file of the tiny model's weights in the parameter's type.
  std::filesystem::path write_model(const test::TempDir& folder) {
    return test::write_tiny_model(folder.path(),
                                  test::tiny_model(EASEL_CLIP_VOCABULARY, GetParam()));
  }

  static StableDiffusion load_model(const std::filesystem::path& file, bool low_memory,
                                    at::ScalarType dtype = at::kFloat) {
    LoadOptions options;
    options.vocabulary = EASEL_CLIP_VOCABULARY;
    options.dtype = dtype;
    options.low_memory = low_memory;
    return load(file, options);
  }

  static Txt2ImgResult draw(const StableDiffusion& model) {
    Txt2ImgRequest request;
    request.prompts = {"a picture of <new>", "another"};
    request.settings.steps = 2;
    request.settings.width = 64;
    request.settings.height = 48;
    request.settings.vae_tiling = VaeTiling::On;  // as --low-memory has it by itself
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1, 2});
    return txt2img(model, request, noise);
  }
};

TEST_P(LowMemory, DrawsTheSamePicture) {
  const test::TempDir folder;
  const auto file = write_model(folder);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const StableDiffusion usual = load_model(file, false, dtype);
    const StableDiffusion stored = load_model(file, true, dtype);
    EXPECT_EQ(nn::named_parameters(stored.unet).front().tensor->scalar_type(), GetParam());
    const Txt2ImgResult want = draw(usual);
    const Txt2ImgResult got = draw(stored);
    EXPECT_TRUE(at::equal(got.latents_BCHW, want.latents_BCHW)) << dtype;
    ASSERT_EQ(got.images.size(), 2u);
    EXPECT_EQ(got.images[1].pixels, want.images[1].pixels) << dtype;
  }
}

TEST_P(LowMemory, TakesNewWordsAndEncodesPictures) {
  const test::TempDir folder;
  const auto file = write_model(folder);
  StableDiffusion usual = load_model(file, false);
  StableDiffusion stored = load_model(file, true);
  const Embedding word{.name = "<new>",
                       .placeholder = {},
                       .vectors_ND = test::hashed_tensor("word", {2, 32}),
                       .file = {}};
  add_embeddings(usual, {word});
  add_embeddings(stored, {word});
  EXPECT_TRUE(at::equal(draw(stored).latents_BCHW, draw(usual).latents_BCHW));
  const Tensor picture = test::hashed_tensor("picture", {1, 3, 32, 40}).clamp(-1, 1);
  EXPECT_TRUE(at::equal(encode_pictures(stored, picture, {}, VaeTiling::Off).mean_BCHW,
                        encode_pictures(usual, picture, {}, VaeTiling::Off).mean_BCHW));
}

TEST_P(LowMemory, TakesLoras) {
  const test::TempDir folder;
  const auto file = write_model(folder);
  const std::string module = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
  const auto lora = folder / "lora.safetensors";
  write_safetensors(lora,
                    {{module + ".lora_down.weight", test::hashed_tensor("down", {2, 64})},
                     {module + ".lora_up.weight", test::hashed_tensor("up", {64, 2})}},
                    {}, IfExists::Replace);
  const std::vector<LoraChoice> choices = {{.file = lora, .text_encoder = 1, .unet = 1}};
  const auto drawn = [&](const StableDiffusion& model) {
    return draw(with_loras(model, choices)).latents_BCHW;
  };
  const StableDiffusion stored = load_model(file, true);
  const Tensor got = drawn(stored);
  EXPECT_TRUE(at::equal(got, drawn(load_model(file, false))));
  EXPECT_FALSE(at::equal(got, draw(stored).latents_BCHW));
}

INSTANTIATE_TEST_SUITE_P(Types, LowMemory, ::testing::Values(at::kFloat, at::kHalf),
                         [](const auto& type) { return dtype_name(type.param); });

}  // namespace
}  // namespace easel
