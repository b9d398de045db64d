#include "easel/checkpoint/merge.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/checkpoint/lora_choice.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/io/tensor_file.h>

#include "tests/support/checkpoints.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

// Models A, B and C of tests/data/checkpoint/v1.yaml as files in both containers.
class Merge : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder = new test::TempDir;
    const ModelConfig config = read_model_config(test::checkpoint_data() / "v1.yaml");
    a = test::compvis_model(config);
    for (const auto& [name, tensor] : a) {
      b[name] = test::hashed_tensor("b." + name, tensor.sizes());
      c[name] = test::hashed_tensor("c." + name, tensor.sizes());
    }
    write_torch_file(*folder / "a.ckpt", a, true, IfExists::Refuse);
    write_safetensors(*folder / "b.safetensors", b, {}, IfExists::Refuse);
    write_safetensors(*folder / "c.safetensors", c, {}, IfExists::Refuse);
  }
  static void TearDownTestSuite() { delete folder; }

  void SetUp() override { options.write.config = test::checkpoint_data() / "v1.yaml"; }

  Tensors merged(std::initializer_list<const char*> models) {
    for (const char* model : models) options.models.push_back(*folder / model);
    options.write.if_exists = IfExists::Replace;
    merge(*folder / "merged.safetensors", options);
    return read_tensor_file(*folder / "merged.safetensors").tensors;
  }
  std::string error(std::initializer_list<const char*> models) {
    return test::message_of<Error>([&] { merged(models); });
  }

  static inline test::TempDir* folder = nullptr;
  static inline Tensors a, b, c;
  MergeOptions options;
};

TEST_F(Merge, WeightedSum) {
  options.weight = 0.3;
  const Tensors got = merged({"a.ckpt", "b.safetensors"});
  ASSERT_EQ(got.size(), a.size());
  for (const auto& [name, tensor] : a) {
    const Tensor want = tensor.to(at::kDouble) * 0.7 + b.at(name).to(at::kDouble) * 0.3;
    EXPECT_TRUE(at::allclose(got.at(name).to(at::kDouble), want, 1e-6, 1e-6)) << name;
  }
}

TEST_F(Merge, AddedDifference) {
  options.weight = 0.8;
  const Tensors got = merged({"a.ckpt", "b.safetensors", "c.safetensors"});
  for (const auto& [name, tensor] : a) {
    const Tensor want = tensor.to(at::kDouble) + (b.at(name) - c.at(name)).to(at::kDouble) * 0.8;
    EXPECT_TRUE(at::allclose(got.at(name).to(at::kDouble), want, 1e-6, 1e-6)) << name;
  }
}

TEST_F(Merge, EndsAreTheModelsThemselves) {
  options.weight = 0;
  for (const auto& [name, tensor] : merged({"a.ckpt", "b.safetensors"})) {
    EXPECT_TRUE(at::equal(tensor, a.at(name))) << name;
  }
  options.models.clear();
  options.weight = 1;
  for (const auto& [name, tensor] : merged({"a.ckpt", "b.safetensors"})) {
    EXPECT_TRUE(at::equal(tensor, b.at(name))) << name;
  }
}

// This UNet has 9 input and 9 output blocks (three levels of two, and the samplers).
TEST_F(Merge, BlockWeightsAreForTheirBlocks) {
  std::vector<double> numbers;
  for (int i = 0; i < 20; ++i) numbers.push_back(0.04 * (i + 1));
  options.block_weights = numbers;
  const Tensors got = merged({"a.ckpt", "b.safetensors"});
  const std::string unet = "model.diffusion_model.";
  const std::vector<std::pair<std::string, size_t>> expected{
      {"first_stage_model.quant_conv.bias", 0},
      {"cond_stage_model.transformer.text_model.final_layer_norm.bias", 0},
      {unet + "time_embed.0.weight", 1},
      {unet + "input_blocks.0.0.weight", 1},
      {unet + "input_blocks.1.0.in_layers.0.weight", 2},
      {unet + "input_blocks.3.0.op.bias", 4},
      {unet + "input_blocks.8.0.in_layers.0.weight", 9},
      {unet + "middle_block.0.in_layers.2.weight", 10},
      {unet + "middle_block.1.proj_in.weight", 10},
      {unet + "output_blocks.0.0.in_layers.0.bias", 11},
      {unet + "output_blocks.8.1.proj_out.bias", 19},
      {unet + "out.2.weight", 19},
  };
  for (const auto& [name, place] : expected) {
    ASSERT_TRUE(got.contains(name)) << name;
    const Tensor want = a.at(name) + (b.at(name) - a.at(name)) * numbers[place];
    EXPECT_TRUE(at::allclose(got.at(name), want, 1e-5, 1e-6)) << name;
  }
  // Without the first number the rest has the weight of all.
  options.models.clear();
  options.block_weights.erase(options.block_weights.begin());
  options.weight = 0.9;
  const Tensors without = merged({"a.ckpt", "b.safetensors"});
  for (const auto& [name, place] : expected) {
    const Tensor want =
        a.at(name) + (b.at(name) - a.at(name)) * (place == 0 ? 0.9 : numbers[place]);
    EXPECT_TRUE(at::allclose(without.at(name), want, 1e-5, 1e-6)) << name;
  }
  options.models.clear();
  options.block_weights.pop_back();
  EXPECT_NE(error({"a.ckpt", "b.safetensors"})
                .find("9 input blocks, a middle block and 9 output blocks: give 19 numbers, or 20"),
            std::string::npos);
}

TEST_F(Merge, TypesLayoutsAndFoldersAreWrittenAsAsked) {
  options.write.dtype = at::kHalf;
  options.write.layout = WeightLayout::Diffusers;
  const Tensors got = merged({"a.ckpt", "b.safetensors"});
  const Tensor& weight = got.at("unet.conv_out.weight");
  EXPECT_EQ(weight.scalar_type(), at::kHalf);
  const std::string name = "model.diffusion_model.out.2.weight";
  EXPECT_TRUE(at::equal(weight, (a.at(name) * 0.5 + b.at(name) * 0.5).to(at::kHalf)));
  EXPECT_TRUE(fs::exists(*folder / "merged.yaml"));
  for (const auto& entry : fs::directory_iterator(folder->path())) {
    EXPECT_EQ(entry.path().filename().string().find("tmp"), std::string::npos) << entry.path();
  }
}

TEST_F(Merge, EmaWeightsTakeTheUNetsPlaceInEveryModel) {
  for (const char* file : {"a", "b"}) {
    Tensors model = file == std::string("a") ? a : b;
    for (const auto& [name, tensor] : Tensors(model)) {
      if (!name.starts_with("model.diffusion_model.")) continue;
      std::string flat = name.substr(6);
      std::erase(flat, '.');
      model["model_ema." + flat] = tensor * 2;
    }
    write_safetensors(*folder / (std::string(file) + "-ema.safetensors"), model, {},
                      IfExists::Refuse);
  }
  const std::string name = "model.diffusion_model.out.2.weight";
  const Tensors plain = merged({"a-ema.safetensors", "b-ema.safetensors"});
  EXPECT_EQ(plain.size(), a.size());
  EXPECT_TRUE(at::equal(plain.at(name), a.at(name) * 0.5 + b.at(name) * 0.5));
  options.models.clear();
  options.write.use_ema = true;
  const Tensors averaged = merged({"a-ema.safetensors", "b-ema.safetensors"});
  EXPECT_TRUE(at::equal(averaged.at(name), a.at(name) + b.at(name)));
  options.models.clear();
  EXPECT_NE(error({"a-ema.safetensors", "b.safetensors"}).find("no averaged weights"),
            std::string::npos);
}

// A model for inpainting keeps the channels that the other lacks.
TEST_F(Merge, MoreInputChannelsStayThoseOfTheFirst) {
  const std::string conv_in = "model.diffusion_model.input_blocks.0.0.weight";
  Tensors inpainting = a;
  inpainting[conv_in] = test::hashed_tensor(conv_in, {32, 9, 3, 3});
  write_safetensors(*folder / "inpainting.safetensors", inpainting, {}, IfExists::Refuse);
  const auto yaml = [&](const char* name, bool nine) {
    std::string text = test::read_all(test::checkpoint_data() / "v1.yaml");
    if (nine) {
      text.replace(text.find("in_channels: 4"), 14, "in_channels: 9");
      text.replace(text.find("crossattn"), 9, "hybrid");
    }
    test::write_all(*folder / name, text);
  };
  yaml("inpainting.yaml", true);
  yaml("b.yaml", false);
  yaml("c.yaml", false);
  options.write.config.clear();
  const Tensor own = inpainting.at(conv_in);
  const Tensors sum = merged({"inpainting.safetensors", "b.safetensors"});
  const Tensor got = sum.at(conv_in);
  EXPECT_TRUE(at::equal(got.narrow(1, 4, 5), own.narrow(1, 4, 5)));
  EXPECT_TRUE(at::allclose(got.narrow(1, 0, 4), (own.narrow(1, 0, 4) + b.at(conv_in)) * 0.5));
  options.models.clear();
  const Tensors added = merged({"inpainting.safetensors", "b.safetensors", "c.safetensors"});
  EXPECT_TRUE(at::equal(added.at(conv_in).narrow(1, 4, 5), own.narrow(1, 4, 5)));
  options.models.clear();
  const std::string text = error({"b.safetensors", "inpainting.safetensors"});
  EXPECT_NE(text.find("unet.conv_in.weight is [32, 4, 3, 3] in the first and [32, 9, 3, 3]"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("name the one that takes 9 channels first"), std::string::npos) << text;
  for (const char* name : {"inpainting.yaml", "b.yaml", "c.yaml", "merged.yaml"}) {
    fs::remove(*folder / name);
  }
}

TEST_F(Merge, WhatCannotBeMergedIsRefusedAndNothingIsWritten) {
  EXPECT_NE(error({"a.ckpt"}).find("there are 1 models to merge"), std::string::npos);
  options.models.clear();
  EXPECT_NE(error({"a.ckpt", "absent.ckpt"}).find("no such file"), std::string::npos);
  options.models.clear();
  options.weight = NAN;
  EXPECT_NE(error({"a.ckpt", "b.safetensors"}).find("the weight of a merge is nan"),
            std::string::npos);
  options.weight = 0.5;
  options.models = {*folder / "a.ckpt", *folder / "b.safetensors"};
  test::write_all(*folder / "there.safetensors", "precious");
  options.write.if_exists = IfExists::Refuse;
  EXPECT_THROW(merge(*folder / "there.safetensors", options), Error);
  EXPECT_EQ(test::read_all(*folder / "there.safetensors"), "precious");
  EXPECT_THROW(merge(*folder / "new.png", options), Error);
}

TEST(BlockWeights, AreNumbers) {
  EXPECT_EQ(parse_block_weights("0, 0.5,1"), (std::vector<double>{0, 0.5, 1}));
  EXPECT_EQ(parse_block_weights("0 1"), (std::vector<double>{0, 1}));
  EXPECT_THROW(parse_block_weights("0,x"), Error);
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "1,";
  EXPECT_THROW(parse_block_weights(many), Error);
}

}  // namespace
}  // namespace easel
