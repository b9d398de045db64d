#include "easel/pipeline/hires.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/pipeline/run.h>
#include <easel/pipeline/txt2img.h>

#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/support/upscalers.h"

namespace easel {
namespace {

using nlohmann::json;

const StableDiffusion& model() {
  static const StableDiffusion loaded = test::tiny_model(EASEL_CLIP_VOCABULARY);
  return loaded;
}

const TensorFile& fixture() {
  static const TensorFile file =
      read_safetensors(std::string(EASEL_TEST_DATA) + "/pipeline/hires.safetensors");
  return file;
}

Txt2ImgResult draw(const Txt2ImgRequest& request, uint64_t seed = 3) {
  std::vector<uint64_t> seeds;
  for (size_t k = 0; k < request.prompts.size(); ++k) seeds.push_back(seed + k);
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, seeds);
  return txt2img(model(), request, noise);
}

Txt2ImgRequest small_request(const HiresSettings& hires) {
  Txt2ImgRequest request;
  request.prompts = {"a cat"};
  request.settings.width = 48;
  request.settings.height = 32;
  request.settings.steps = 2;
  request.hires = hires;
  return request;
}

// ---- Whole runs against k-diffusion, diffusers, PyTorch and Pillow ------------------------------

class HiresParity : public ::testing::TestWithParam<json> {};

TEST_P(HiresParity, GivesTheReferencesPictures) {
  const json& made = GetParam();
  const std::string name = made["name"];
  Txt2ImgRequest request = small_request({.scale = made["scale"].get<double>(),
                                          .steps = made["hires_steps"].get<int64_t>(),
                                          .strength = made["strength"].get<double>(),
                                          .upscaler = made["upscaler"].get<std::string>()});
  request.prompts = made["prompts"].get<std::vector<std::string>>();
  request.settings.sampler = made["sampler"];
  request.settings.steps = made["steps"];
  request.settings.negative_prompt = made["negative"];
  const Txt2ImgResult result = draw(request, made["seed"]);
  test::expect_close(result.latents_BCHW, fixture().tensors.at(name + "/latents"), 2e-3, name);
  const Tensor& pixels = fixture().tensors.at(name + "/pixels");
  ASSERT_EQ(result.images[0].width, pixels.size(2));
  ASSERT_EQ(result.images[0].height, pixels.size(1));
}

std::vector<json> parity_cases() {
  const json list = json::parse(fixture().metadata.at("cases"));
  return {list.begin(), list.end()};
}

INSTANTIATE_TEST_SUITE_P(Cases, HiresParity, ::testing::ValuesIn(parity_cases()),
                         [](const auto& each) {
                           std::string name = each.param.at("name");
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// ---- The rest -----------------------------------------------------------------------------------

TEST(Hires, WithAnUpscalerModelIsTheSecondPassOverItsPicture) {
  const test::TempDir folder;
  const auto file = test::UpscalerCases().write("compact_x2", folder / "compact_x2.safetensors");
  const auto upscaler = open_upscaler(file, "cpu");
  Txt2ImgRequest request = small_request({.scale = 2, .steps = 1, .upscaler = file.string()});
  EXPECT_THROW(draw(request), Error);  // nobody has opened it
  request.upscaler = upscaler.get();
  const Txt2ImgResult by_model = draw(request);
  EXPECT_EQ(by_model.images[0].width, 96);
  EXPECT_EQ(by_model.images[0].height, 64);
  request.hires->upscaler = "lanczos";
  request.upscaler = nullptr;
  EXPECT_NE(by_model.images[0].pixels, draw(request).images[0].pixels);
}

TEST(Hires, RunsAsManyStepsAsAskedForWithEverySampler) {
  for (const char* sampler : {"ddim", "plms", "dpm_solver", "euler", "dpmpp_2m"}) {
    Txt2ImgRequest request = small_request({.scale = 1.5, .steps = 5, .strength = 0.5});
    request.settings.sampler = sampler;
    request.settings.steps = 4;
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
    std::vector<int64_t> steps;
    txt2img(model(), request, noise,
            {.log = {}, .on_step = [&](const StepInfo& info) { steps.push_back(info.steps); }});
    // Those of the second pass come last.
    ASSERT_FALSE(steps.empty()) << sampler;
    EXPECT_EQ(steps.back(), 5) << sampler;
  }
}

TEST(Hires, RoundsTheSizeDownToOneThatCanBeDrawn) {
  const Txt2ImgResult result = draw(small_request({.scale = 1.3, .steps = 1}));
  EXPECT_EQ(result.images[0].width, 56);   // 62.4
  EXPECT_EQ(result.images[0].height, 40);  // 41.6
}

TEST(Hires, OfARunOpensItsUpscalersAndEnlargesWhatIsDrawn) {
  const test::TempDir folder;
  const auto file = test::UpscalerCases().write("compact_x2", folder / "u.safetensors");
  RunRequest request;
  request.batches = {{"a"}};
  request.settings.width = request.settings.height = 32;
  request.settings.steps = 1;
  const auto size = [&] {
    int width = 0;
    run_pictures(model(), request,
                 {.log = {}, .on_step = {}, .on_picture = [&](RunPicture&& picture) {
                    width = picture.image.width;
                  }});
    return width;
  };
  request.hires = {.scale = 1.5, .steps = 1, .strength = 0.7, .upscaler = file.string()};
  EXPECT_EQ(size(), 48);
  request.upscale = file;
  EXPECT_EQ(size(), 96);
  request.hires.reset();
  EXPECT_EQ(size(), 64);
  request.upscale = folder / "none.pth";
  EXPECT_THROW(check(request), Error);
  request.upscale.clear();
  request.upscale_tile = 7;
  EXPECT_THROW(check(request), Error);
}

TEST(Hires, SettingsThatCannotBeMeantAreErrors) {
  const auto text = [](const HiresSettings& settings) -> std::string {
    try {
      check(settings);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(text({}), "");
  EXPECT_NE(text({.scale = 1}).find("hires-scale"), std::string::npos);
  EXPECT_NE(text({.scale = 17}).find("hires-scale"), std::string::npos);
  EXPECT_NE(text({.steps = -1}).find("hires-steps"), std::string::npos);
  EXPECT_NE(text({.strength = 0}).find("hires-strength"), std::string::npos);
  EXPECT_NE(text({.strength = 1.1}).find("hires-strength"), std::string::npos);
  const std::string unknown = text({.upscaler = "lancsoz"});
  EXPECT_NE(unknown.find("did you mean 'lanczos'"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("file of an upscaler model"), std::string::npos) << unknown;
  for (const HiresUpscaler& each : hires_upscalers()) {
    EXPECT_EQ(text({.upscaler = std::string(each.name)}), "") << each.name;
  }
}

}  // namespace
}  // namespace easel
