// The relatives of Stable Diffusion v1 and what steers a run, as a person uses them, on tiny
// models.
#include <gtest/gtest.h>

#include <easel/io/image.h>
#include <easel/io/tensor_file.h>
#include <easel/models/control_net.h>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::ProcessResult;

class FamilyPrograms : public ::testing::Test {
 protected:
  ProcessResult run(const std::string& program, std::vector<std::string> arguments) {
    test::ProcessOptions options;
    options.folder = folder_.path();
    return test::run_process(std::string(EASEL_BINARY_DIR) + "/bin/" + program, arguments, options);
  }
  ProcessResult draw(const std::string& program, std::vector<std::string> arguments) {
    const std::vector<std::string> common = {
        "--ckpt", "tiny.safetensors", "--device", "cpu", "--threads", "1", "--prompt", "a cat"};
    arguments.insert(arguments.begin(), common.begin(), common.end());
    return run(program, arguments);
  }
  void write_model(const ModelConfig& config) {
    test::write_tiny_model(folder_.path(),
                           test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config));
  }
  void write_picture(const std::string& name) {
    Image image{.width = 48, .height = 32, .channels = 3, .pixels = {}};
    for (int i = 0; i < 48 * 32 * 3; ++i) image.pixels.push_back(static_cast<uint8_t>(i * 7));
    const auto bytes = encode_png(image);
    folder_.write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  std::string settings(const std::string& name) const {
    return read_png_text(folder_ / name)[0].second;
  }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }

  test::TempDir folder_;
};

TEST_F(FamilyPrograms, InstructionsChangeAPicture) {
  ModelConfig config = test::tiny_config();
  config.unet.in_channels = 8;
  config.conditioning_key = ConditioningKey::Hybrid;
  write_model(config);
  write_picture("in.png");
  const std::vector<std::string> from = {"--init-img", "in.png", "--steps", "3"};
  const auto change = [&](std::vector<std::string> more) {
    more.insert(more.begin(), from.begin(), from.end());
    return draw("img2img", more);
  };
  ASSERT_EQ(change({"-o", "a.png"}).code, 0);
  expect_in(settings("a.png"), "Image CFG scale: 1.5");
  EXPECT_EQ(settings("a.png").find("Denoising"), std::string::npos);
  ASSERT_EQ(change({"--image-cfg", "3", "-o", "b.png"}).code, 0);
  EXPECT_NE(read_image(folder_ / "a.png").pixels, read_image(folder_ / "b.png").pixels);
  for (const char* name : {"a.png", "b.png"}) {
    const ProcessResult again = run("img2img", {"--ckpt", "tiny.safetensors", "--device", "cpu",
                                                "--threads", "1", "--verify", name});
    EXPECT_EQ(again.code, 0) << again.err;
    expect_in(again.out, "the same, pixel for pixel");
  }
  const ProcessResult strength = change({"--strength", "0.5", "-o", "c.png"});
  EXPECT_EQ(strength.code, 2);
  expect_in(strength.err, "--image-cfg, not --strength");
  expect_in(draw("txt2img", {"-o", "c.png"}).err, "not for txt2img");

  write_model(test::tiny_config());
  const ProcessResult plain = change({"--image-cfg", "2", "-o", "c.png"});
  EXPECT_EQ(plain.code, 2);
  expect_in(plain.err, "--image-cfg is for InstructPix2Pix");
  ASSERT_EQ(change({"-o", "d.png"}).code, 0);
  expect_in(run("img2img", {"--ckpt", "tiny.safetensors", "--device", "cpu", "--threads", "1",
                            "--verify", "d.png"})
                .out,
            "the same, pixel for pixel");
}

TEST_F(FamilyPrograms, ADistilledModelDrawsInFewStepsAtItsOwnSize) {
  ModelConfig config = test::tiny_config();
  config.unet.time_cond_proj_dim = 16;
  config.image_size = 4;
  write_model(config);
  ASSERT_EQ(draw("txt2img", {"-o", "a.png"}).code, 0);
  expect_in(settings("a.png"), "Steps: 4, Sampler: lcm,");
  expect_in(settings("a.png"), "Size: 32x32");
  ASSERT_EQ(draw("txt2img", {"--plms", "--steps", "2", "--W", "48", "-o", "b.png"}).code, 0);
  expect_in(settings("b.png"), "Steps: 2, Sampler: plms,");
  expect_in(settings("b.png"), "Size: 48x32");
}

TEST_F(FamilyPrograms, AControlSteersAndIsRemembered) {
  const ModelConfig config = test::tiny_config();
  write_model(config);
  write_picture("edges.png");
  ControlNet network({.unet = config.unet, .hint_channels = {8, 8, 16, 16}});
  test::fill_hashed(network);
  Tensors weights;
  for (const auto& parameter : nn::named_parameters(network)) {
    weights[parameter.name] = *parameter.tensor;
  }
  write_safetensors(folder_ / "control.safetensors", weights, {}, IfExists::Refuse);
  const std::vector<std::string> small = {"--H", "32", "--W", "48", "--steps", "2"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), small.begin(), small.end());
    return draw("txt2img", more);
  };
  ASSERT_EQ(with({"-o", "plain.png"}).code, 0);
  const ProcessResult steered =
      with({"--control", "control.safetensors:edges.png:0.8", "-o", "steered.png"});
  ASSERT_EQ(steered.code, 0) << steered.err;
  EXPECT_NE(read_image(folder_ / "plain.png").pixels, read_image(folder_ / "steered.png").pixels);
  const ProcessResult again = run("txt2img", {"--ckpt", "tiny.safetensors", "--device", "cpu",
                                              "--threads", "1", "--verify", "steered.png"});
  expect_in(again.out, "the same, pixel for pixel");
  const ProcessResult absent = with({"--control", "control.safetensors:none.png", "-o", "c.png"});
  EXPECT_EQ(absent.code, 2);
  expect_in(absent.err, "there is no none.png");
}

TEST_F(FamilyPrograms, SettingsWithALoraAreReadAgain) {
  write_model(test::tiny_config());
  const std::string name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
  write_safetensors(folder_ / "a.safetensors",
                    {{name + ".lora_down.weight", test::hashed_tensor("down", {2, 64})},
                     {name + ".lora_up.weight", test::hashed_tensor("up", {64, 2})}},
                    {}, IfExists::Refuse);
  const std::vector<std::string> lora = {
      "--H",     "32", "--W",    "48",
      "--steps", "2",  "--lora", "a.safetensors:0.5:lbw=1,1,1,1,1,1,1,1,0.5,1"};
  std::vector<std::string> first = lora;
  first.insert(first.end(), {"-o", "a.png"});
  const ProcessResult drawn = draw("txt2img", first);
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  expect_in(settings("a.png"), "blocks");
  const ProcessResult again = run("txt2img", {"--ckpt", "tiny.safetensors", "--device", "cpu",
                                              "--from-image", "a.png", "-o", "b.png"});
  EXPECT_EQ(again.code, 0) << again.err;
}

TEST_F(FamilyPrograms, CheckpointsAreMerged) {
  write_model(test::tiny_config());
  Tensors other = read_safetensors(folder_ / "tiny.safetensors").tensors;
  for (auto& [name, tensor] : other) tensor = tensor + 1;
  write_safetensors(folder_ / "other.safetensors", other, {}, IfExists::Refuse);
  const std::vector<std::string> models = {
      "merge",    "tiny.safetensors", "other.safetensors", "both.safetensors",
      "--config", "tiny.yaml"};
  const auto merge_with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), models.begin(), models.end());
    return run("easel-checkpoint", more);
  };
  const ProcessResult merged = merge_with({"--weight", "0.25"});
  ASSERT_EQ(merged.code, 0) << merged.err;
  const Tensors both = read_safetensors(folder_ / "both.safetensors").tensors;
  const std::string name = "model.diffusion_model.out.2.bias";
  EXPECT_TRUE(at::allclose(both.at(name), other.at(name) - 0.75));
  EXPECT_EQ(merge_with({"--weight", "0.25"}).code, 1);  // it is there
  const ProcessResult wrong = merge_with({"--block-weights", "1,2", "--force"});
  EXPECT_EQ(wrong.code, 2);
  expect_in(wrong.err, "there are 2 block weights");
  EXPECT_EQ(run("easel-checkpoint", {"merge", "a", "b"}).code, 2);
}

}  // namespace
}  // namespace easel
