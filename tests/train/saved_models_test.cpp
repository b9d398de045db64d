// What training saves is what drawing and further training load.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <easel/checkpoint/stable_diffusion.h>
#include <easel/pipeline/txt2img.h>
#include <easel/train/run.h>

#include "tests/support/tiny_training.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::TempDir;

class SavedModels : public ::testing::Test {
 protected:
  SavedModels() {
    at::set_num_threads(1);
    test::write_pictures(dir_ / "data/train", 4);
    test::write_pictures(dir_ / "data/validation", 2);
    dir_.write("ae.yaml", test::autoencoder_yaml(dir_ / "data"));
    dir_.write("clip.yaml", test::contrastive_yaml(dir_ / "data"));
    run("ae.yaml", "ae");
    dir_.write("sd.yaml", test::diffusion_yaml(dir_ / "data", model("ae")));
  }
  void run(const std::string& config, const std::string& name,
           std::vector<std::string> overrides = {}) {
    overrides.insert(overrides.begin(), "lightning.trainer.max_steps=2");
    run_training(
        {.bases = {dir_ / config}, .overrides = overrides, .folder = dir_ / name, .device = "cpu"});
  }
  fs::path model(const std::string& run, const std::string& file = "last.safetensors") const {
    return dir_ / run / "checkpoints" / file;
  }
  static void expect_same(const Image& a, const Image& b) { EXPECT_EQ(a.pixels, b.pixels); }
  static Image draw(const StableDiffusion& model) {
    Txt2ImgRequest request;
    request.prompts = {"a red circle"};
    request.settings.width = request.settings.height = 16;
    request.settings.steps = 2;
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
    return txt2img(model, request, noise).images.at(0);
  }
  template <class Module>
  static std::map<std::string, Tensor> tensors(const Module& module) {
    std::map<std::string, Tensor> all;
    for (const auto& [name, tensor] : nn::named_parameters(module)) all.emplace(name, *tensor);
    return all;
  }
  static void expect_equal(const std::map<std::string, Tensor>& got,
                           const std::map<std::string, Tensor>& want) {
    ASSERT_FALSE(want.empty());
    for (const auto& [name, tensor] : want) {
      ASSERT_TRUE(got.contains(name)) << name;
      EXPECT_TRUE(got.at(name).equal(tensor)) << name;
    }
  }
  TempDir dir_;
};

TEST_F(SavedModels, OfLatentDiffusionLoadAndDraw) {
  run("sd.yaml", "sd");
  run("sd.yaml", "ckpt", {"run.format=ckpt"});
  const StableDiffusion drawn = load(model("sd"), {});
  const Image picture = draw(drawn);
  EXPECT_EQ(picture.width, 16);
  expect_same(draw(load(model("ckpt", "last.ckpt"), {})), picture);
  // The averages are there too, and others than the weights.
  LoadOptions take_averages;
  take_averages.use_ema = true;
  const StableDiffusion averaged = load(model("sd"), take_averages);
  const auto state = read_safetensors(dir_ / "sd/checkpoints/last.state").tensors;
  for (const auto& [name, tensor] : tensors(averaged.unet)) {
    EXPECT_TRUE(tensor.equal(state.at("ema.unet." + name))) << name;
  }
  for (const auto& [name, tensor] : tensors(drawn.unet)) {
    EXPECT_TRUE(tensor.equal(state.at("parameter.unet." + name))) << name;
  }
  // The scale of the first batch.
  EXPECT_NE(drawn.config.scale_factor, 1);
  // Elsewhere, with what lies beside it, it is the same model.
  fs::create_directories(dir_ / "moved");
  for (const std::string name : {"last.safetensors", "last.yaml", "tokenizer.model"}) {
    fs::copy_file(model("sd", name), dir_ / "moved" / name);
  }
  expect_same(draw(load(dir_ / "moved/last.safetensors", {})), picture);
}

TEST_F(SavedModels, OfAutoencodersReplaceAnothersAndStartAnother) {
  run("sd.yaml", "sd");
  run("ae.yaml", "other", {"run.seed=9"});
  LoadOptions with_other;
  with_other.vae = model("other");
  const StableDiffusion replaced = load(model("sd"), with_other);
  const StableDiffusion own = load(model("sd"), {});
  const auto state = read_safetensors(dir_ / "other/checkpoints/last.state").tensors;
  for (const auto& [name, tensor] : tensors(replaced.autoencoder)) {
    EXPECT_TRUE(tensor.equal(state.at("parameter." + name))) << name;
  }
  const auto first = read_safetensors(dir_ / "ae/checkpoints/last.state").tensors;
  for (const auto& [name, tensor] : tensors(own.autoencoder)) {
    EXPECT_TRUE(tensor.equal(first.at("parameter." + name))) << name;
  }
  run("ae.yaml", "more",
      {"lightning.trainer.max_steps=0", "model.params.ckpt_path=" + model("other").string()});
  const auto more = read_safetensors(dir_ / "more/checkpoints/last.state").tensors;
  for (const auto& [name, tensor] : tensors(own.autoencoder)) {
    EXPECT_TRUE(more.at("parameter." + name).equal(state.at("parameter." + name))) << name;
  }
}

TEST_F(SavedModels, OfClipAreATextEncodersWeights) {
  run("clip.yaml", "clip");
  run("sd.yaml", "sd",
      {"lightning.trainer.max_steps=0", "model.params.cond_stage_trainable=false",
       "model.params.cond_stage_config.params.ckpt_path=" + model("clip").string()});
  const StableDiffusion drawn = load(model("sd"), {});
  expect_equal(read_safetensors(model("clip")).tensors, tensors(drawn.text_encoder));
}

TEST_F(SavedModels, OfLatentDiffusionStartAnother) {
  run("sd.yaml", "sd");
  const std::string file = model("sd").string();
  run("sd.yaml", "fine", {"lightning.trainer.max_steps=0", "model.params.ckpt_path=" + file});
  const StableDiffusion first = load(model("sd"), {});
  const StableDiffusion fine = load(model("fine"), {});
  expect_equal(tensors(fine.unet), tensors(first.unet));
  expect_equal(tensors(fine.text_encoder), tensors(first.text_encoder));
  run("sd.yaml", "part",
      {"lightning.trainer.max_steps=0", "model.params.ckpt_path=" + file,
       "model.params.ignore_keys=[model.diffusion_model.out]", "run.seed=3"});
  const StableDiffusion part = load(model("part"), {});
  EXPECT_FALSE(
      tensors(part.unet).at("conv_out.weight").equal(tensors(first.unet).at("conv_out.weight")));
  EXPECT_TRUE(
      tensors(part.unet).at("conv_in.weight").equal(tensors(first.unet).at("conv_in.weight")));
}

}  // namespace
}  // namespace easel
