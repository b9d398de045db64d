// Models and adapters that go by a picture beside the prompt, as a person uses them, on tiny
// models.
#include <gtest/gtest.h>

#include <easel/io/image.h>
#include <easel/io/tensor_file.h>
#include <easel/models/t2i_adapter.h>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

using test::ProcessResult;

class ConditionPrograms : public ::testing::Test {
 protected:
  ProcessResult run(const std::string& program, std::vector<std::string> arguments) {
    const std::vector<std::string> common = {"--ckpt", "tiny.safetensors", "--device",
                                             "cpu",    "--threads",        "1"};
    arguments.insert(arguments.begin(), common.begin(), common.end());
    test::ProcessOptions options;
    options.folder = folder_.path();
    return test::run_process(std::string(EASEL_BINARY_DIR) + "/bin/" + program, arguments, options);
  }
  // img2img with two steps, from in.png.
  ProcessResult change(std::vector<std::string> arguments) {
    const std::vector<std::string> common = {"--init-img", "in.png",  "--prompt",
                                             "a cat",      "--steps", "2"};
    arguments.insert(arguments.begin(), common.begin(), common.end());
    return run("img2img", arguments);
  }
  void write_model(const ModelConfig& config) {
    test::write_tiny_model(folder_.path(),
                           test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config));
  }
  void write_picture(const std::string& name, int channels = 3) {
    Image image{.width = 48, .height = 32, .channels = channels, .pixels = {}};
    for (int i = 0; i < 48 * 32 * channels; ++i) {
      image.pixels.push_back(static_cast<uint8_t>(i * 7));
    }
    const auto bytes = encode_png(image);
    folder_.write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  std::string settings(const std::string& name) const {
    return read_png_text(folder_ / name)[0].second;
  }
  void expect_same_again(const std::string& program, const std::string& name) {
    const ProcessResult again = run(program, {"--verify", name});
    EXPECT_EQ(again.code, 0) << again.err;
    expect_in(again.out, "the same, pixel for pixel");
  }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }
  static void expect_refused(const ProcessResult& result, const std::string& part) {
    EXPECT_EQ(result.code, 2) << result.err;
    expect_in(result.err, part);
  }

  test::TempDir folder_;
};

TEST_F(ConditionPrograms, ADepthModelGoesByAMap) {
  ModelConfig config = test::tiny_config();
  config.unet.in_channels = 5;
  config.conditioning_key = ConditioningKey::Hybrid;
  write_model(config);
  write_picture("in.png");
  write_picture("near.png", 1);
  ASSERT_EQ(change({"--depth", "near.png", "-o", "a.png"}).code, 0);
  expect_same_again("img2img", "a.png");
  expect_refused(change({"-o", "b.png"}), "with --depth FILE");

  write_model(test::tiny_config());
  expect_refused(change({"--depth", "near.png", "-o", "b.png"}), "is no such model");
}

TEST_F(ConditionPrograms, AnUpscalerDrawsFourTimesAsLarge) {
  ModelConfig config = test::tiny_config();
  config.unet.in_channels = 7;
  config.unet.num_classes = 1000;
  config.unet.disable_self_attentions = {true, false};
  config.conditioning_key = ConditioningKey::Hybrid;
  config.low_scale.emplace();
  config.autoencoder.ch_mult = {1, 1, 1};
  write_model(config);
  write_picture("in.png");
  ASSERT_EQ(change({"-o", "a.png"}).code, 0);
  EXPECT_EQ(read_image(folder_ / "a.png").width, 4 * 48);
  EXPECT_EQ(read_image(folder_ / "a.png").height, 4 * 32);
  expect_in(settings("a.png"), "Noise level: 20");
  EXPECT_EQ(settings("a.png").find("Denoising"), std::string::npos);
  const ProcessResult other = change({"--noise-level", "300", "--W", "128", "-o", "b.png"});
  ASSERT_EQ(other.code, 0) << other.err;
  EXPECT_EQ(read_image(folder_ / "b.png").width, 128);
  for (const char* name : {"a.png", "b.png"}) expect_same_again("img2img", name);

  expect_refused(change({"--noise-level", "351", "-o", "c.png"}), "0 to 350");
  expect_refused(change({"--W", "130", "-o", "c.png"}), "no multiple of 8");
  expect_refused(change({"--strength", "0.5", "-o", "c.png"}), "--noise-level, not --strength");
  expect_refused(change({"--mask", "in.png", "-o", "c.png"}), "no use for --mask");
  expect_refused(run("txt2img", {"--prompt", "a cat", "-o", "c.png"}), "not for txt2img");

  write_model(test::tiny_config());
  expect_refused(change({"--noise-level", "30", "-o", "c.png"}), "is no such model");
  ASSERT_EQ(change({"-o", "d.png"}).code, 0);
  expect_same_again("img2img", "d.png");
}

TEST_F(ConditionPrograms, AnAdapterSteersBothPasses) {
  const ModelConfig config = test::tiny_config();
  write_model(config);
  write_picture("edges.png");
  T2IAdapter network({.picture_channels = 1, .channels = {32, 64}});
  test::fill_hashed(network);
  Tensors weights;
  for (const auto& parameter : nn::named_parameters(network)) {
    weights[parameter.name] = *parameter.tensor;
  }
  write_safetensors(folder_ / "sketch.safetensors", weights, {}, IfExists::Refuse);
  const auto draw = [&](std::vector<std::string> more) {
    const std::vector<std::string> small = {
        "--H", "32", "--W", "48", "--prompt", "a cat", "--steps", "2", "--hires-scale", "1.5"};
    more.insert(more.begin(), small.begin(), small.end());
    return run("txt2img", more);
  };
  ASSERT_EQ(draw({"-o", "plain.png"}).code, 0);
  const ProcessResult steered =
      draw({"--control", "sketch.safetensors:edges.png:0.8", "-o", "steered.png"});
  ASSERT_EQ(steered.code, 0) << steered.err;
  EXPECT_EQ(read_image(folder_ / "steered.png").width, 72);
  EXPECT_NE(read_image(folder_ / "plain.png").pixels, read_image(folder_ / "steered.png").pixels);
  expect_same_again("txt2img", "steered.png");
  const ProcessResult wrong = draw({"--control", "tiny.safetensors:edges.png", "-o", "wrong.png"});
  EXPECT_EQ(wrong.code, 1);
  expect_in(wrong.err, "expected a ControlNet or a T2I-Adapter");
}

}  // namespace
}  // namespace easel
