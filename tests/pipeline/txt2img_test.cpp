#include "easel/pipeline/txt2img.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/compare.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

using nlohmann::json;

const StableDiffusion& model() {
  static const StableDiffusion loaded = test::tiny_model(EASEL_CLIP_VOCABULARY);
  return loaded;
}

Txt2ImgRequest small_request(std::vector<std::string> prompts) {
  Txt2ImgRequest request{.prompts = std::move(prompts), .settings = {}, .initial_noise_BCHW = {}};
  request.settings.width = 48;
  request.settings.height = 32;
  request.settings.steps = 4;
  return request;
}

Txt2ImgResult draw(const Txt2ImgRequest& request, const std::vector<uint64_t>& seeds) {
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, seeds);
  return txt2img(model(), request, noise);
}

double psnr(const Tensor& a, const Tensor& b) {
  const double error = (a.to(at::kDouble) - b.to(at::kDouble)).square().mean().item<double>();
  return error == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(255 * 255 / error);
}

Tensor pixels(const Image& image) {
  return at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                       {image.height, image.width, image.channels}, at::kByte)
      .clone();
}

void expect_usage_error(const Txt2ImgRequest& request, const std::string& part) {
  try {
    draw(request, std::vector<uint64_t>(request.prompts.size(), 1));
    FAIL() << "no error; expected one with: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

// ---- Whole runs against CompVis, k-diffusion and diffusers
// ---------------------------------------

class Txt2ImgParity : public ::testing::TestWithParam<json> {};

const TensorFile& fixture() {
  static const TensorFile file =
      read_safetensors(std::string(EASEL_TEST_DATA) + "/pipeline/txt2img.safetensors");
  return file;
}

TEST_P(Txt2ImgParity, GivesTheReferencesPictures) {
  const json& made = GetParam();
  const std::string name = made["name"];
  ModelConfig config = test::tiny_config();
  config.parameterization = parameterization_from_name(made["parameterization"].get<std::string>());
  const StableDiffusion tiny = test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config);

  Txt2ImgRequest request = small_request(made["prompts"]);
  request.settings.sampler = made["sampler"];
  request.settings.steps = made["steps"];
  request.settings.scale = made["scale"];
  if (!made["eta"].is_null()) request.settings.eta = made["eta"].get<double>();
  request.settings.negative_prompt = made["negative"];
  request.settings.clip_skip = made["clip_skip"];

  const uint64_t seed = made["seed"];
  NormalStream stream(Rng::Cpu, seed);
  NoiseSource noise = made["seeding"] == "batch"
                          ? NoiseSource::per_batch(stream)
                          : NoiseSource::per_image(Rng::Cpu, {seed, seed + 1});
  const Txt2ImgResult result = txt2img(tiny, request, noise);

  const Tensor want_latents = fixture().tensors.at(name + "/latents");
  test::expect_close(result.latents_BCHW, want_latents, 2e-3, name);
  const Tensor want_pixels = fixture().tensors.at(name + "/pixels");
  ASSERT_EQ(result.images.size(), 2u);
  for (size_t k = 0; k < result.images.size(); ++k) {
    const Tensor got = pixels(result.images[k]);
    const Tensor want = want_pixels[static_cast<int64_t>(k)];
    ASSERT_EQ(got.sizes(), want.sizes());
    EXPECT_GE(psnr(got, want), 50) << name << ", picture " << k;
    EXPECT_LE((got.to(at::kInt) - want.to(at::kInt)).abs().max().item<int>(), 3) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fixture, Txt2ImgParity,
    ::testing::ValuesIn(json::parse(fixture().metadata.at("cases")).get<std::vector<json>>()),
    [](const auto& given) { return given.param["name"].template get<std::string>(); });

// ---- What a picture depends on
// -------------------------------------------------------------------

TEST(Txt2Img, APictureDoesNotDependOnItsBatch) {
  Txt2ImgRequest both = small_request({"a cat", "a dog"});
  both.settings.sampler = "euler_a";
  Txt2ImgRequest second = both;
  second.prompts = {"a dog"};
  const Txt2ImgResult batch = draw(both, {5, 6});
  const Txt2ImgResult alone = draw(second, {6});
  EXPECT_GE(psnr(pixels(batch.images[1]), pixels(alone.images[0])), 60);
  test::expect_close(batch.latents_BCHW[1], alone.latents_BCHW[0], 1e-4);
}

TEST(Txt2Img, TheSameRequestGivesTheSamePicture) {
  const Txt2ImgRequest request = small_request({"a cat"});
  EXPECT_EQ(draw(request, {7}).images[0].pixels, draw(request, {7}).images[0].pixels);
}

TEST(Txt2Img, RunsOnCuda) {
  if (!at::hasCUDA()) GTEST_SKIP() << "no CUDA device";
  const Txt2ImgRequest request = small_request({"a cat", "a dog"});
  const Txt2ImgResult on_cpu = draw(request, {7, 8});
  for (const auto& [dtype, least_psnr] : {std::pair{at::kFloat, 50.0}, {at::kHalf, 30.0}}) {
    const StableDiffusion on_gpu =
        test::tiny_model(EASEL_CLIP_VOCABULARY, dtype, test::tiny_config(), at::kCUDA);
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {7, 8});
    const Txt2ImgResult result = txt2img(on_gpu, request, noise);
    for (size_t k = 0; k < 2; ++k) {
      EXPECT_GE(psnr(pixels(result.images[k]), pixels(on_cpu.images[k])), least_psnr)
          << dtype_name(dtype) << ", picture " << k;
    }
  }
}

TEST(Txt2Img, SeedPromptNegativeAndScaleMatter) {
  const Txt2ImgRequest request = small_request({"a cat"});
  const auto plain = draw(request, {7}).images[0].pixels;
  EXPECT_NE(draw(request, {8}).images[0].pixels, plain);
  Txt2ImgRequest other = request;
  other.prompts = {"a dog"};
  EXPECT_NE(draw(other, {7}).images[0].pixels, plain);
  other = request;
  other.settings.negative_prompt = "blurry";
  EXPECT_NE(draw(other, {7}).images[0].pixels, plain);
  other = request;
  other.settings.scale = 3;
  EXPECT_NE(draw(other, {7}).images[0].pixels, plain);
}

TEST(Txt2Img, StartsFromGivenNoise) {
  Txt2ImgRequest request = small_request({"a cat", "a dog"});
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1, 2});
  request.initial_noise_BCHW = noise.draw({2, 4, 4, 6});
  const Txt2ImgResult given = draw(request, {98, 99});
  request.initial_noise_BCHW = Tensor();
  const Txt2ImgResult drawn = draw(request, {1, 2});
  EXPECT_TRUE(at::equal(given.latents_BCHW, drawn.latents_BCHW));
}

TEST(Txt2Img, TuningChangesThePicture) {
  Txt2ImgRequest request = small_request({"a cat"});
  request.settings.sampler = "euler";
  request.settings.steps = 4;
  const Tensor plain = draw(request, {3}).latents_BCHW;
  const auto tuned = [&](auto change) {
    Txt2ImgRequest other = request;
    change(other.settings);
    return draw(other, {3}).latents_BCHW;
  };
  const auto differs = [&](auto change) { return !at::equal(tuned(change), plain); };
  using Settings = PictureSettings;
  EXPECT_TRUE(differs([](Settings& settings) { settings.tuning.s_churn = 1; }));
  EXPECT_TRUE(differs([](Settings& settings) { settings.tuning.guidance_rescale = 0.7; }));
  EXPECT_TRUE(differs([](Settings& settings) { settings.tuning.guidance_interval = "0.3,1"; }));
  EXPECT_TRUE(differs([](Settings& settings) { settings.tuning.guidance_schedule = "9,3"; }));
  // The same in other words.
  EXPECT_FALSE(differs([](Settings& settings) { settings.tuning.guidance_interval = "0,1"; }));
  EXPECT_FALSE(differs([](Settings& settings) { settings.tuning.guidance_schedule = "7.5"; }));
  EXPECT_FALSE(differs([](Settings& settings) {
    settings.scale = 1;
    settings.tuning.guidance_schedule = "7.5,7.5,7.5,7.5";
  }));
  EXPECT_FALSE(differs([](Settings& settings) { settings.tuning.s_noise = 0.5; }));
  const Tensor unguided = tuned([](Settings& settings) { settings.scale = 1; });
  EXPECT_TRUE(at::equal(
      tuned([](Settings& settings) { settings.tuning.guidance_schedule = "1,1"; }), unguided));
}

TEST(Txt2Img, CfgPpAtScaleOneStillLooksAtTheUnconditionalHalf) {
  Txt2ImgRequest request = small_request({"a cat"});
  request.settings.scale = 1;
  request.settings.sampler = "euler";
  const Tensor plain = draw(request, {3}).latents_BCHW;
  request.settings.sampler = "euler_cfg_pp";
  const Tensor along = draw(request, {3}).latents_BCHW;
  EXPECT_FALSE(at::equal(along, plain));
  request.settings.negative_prompt = "blurry";
  EXPECT_FALSE(at::equal(draw(request, {3}).latents_BCHW, along));
}

TEST(Txt2Img, ZeroTerminalSnrIsForModelsOfV) {
  Txt2ImgRequest request = small_request({"a cat"});
  request.settings.tuning.zero_terminal_snr = true;
  expect_usage_error(request, "predicts the noise");
  ModelConfig config = test::tiny_config();
  config.parameterization = Parameterization::V;
  const StableDiffusion tiny = test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config);
  const auto latents = [&](const StableDiffusion& model) {
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {3});
    return txt2img(model, request, noise).latents_BCHW;
  };
  const Tensor asked = latents(tiny);
  EXPECT_TRUE(at::isfinite(asked).all().item<bool>());
  request.settings.tuning.zero_terminal_snr = false;
  EXPECT_FALSE(at::equal(latents(tiny), asked));
  // A model may say so itself.
  config.schedule.zero_terminal_snr = true;
  EXPECT_TRUE(
      at::equal(latents(test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config)), asked));
}

TEST(Txt2Img, EverySamplerDrawsTheSameOnOneThreadAndOnTwo) {
  const int threads = at::get_num_threads();
  for (const SamplerInfo& sampler : samplers()) {
    if (sampler.name == "ddpm") continue;  // its own test: all the model's steps
    SCOPED_TRACE(sampler.name);
    Txt2ImgRequest request = small_request({"a cat"});
    request.settings.sampler = sampler.name;
    at::set_num_threads(1);
    const Txt2ImgResult one = draw(request, {3});
    at::set_num_threads(2);
    const Txt2ImgResult two = draw(request, {3});
    EXPECT_EQ(one.images.size(), 1u);
    EXPECT_TRUE(at::isfinite(one.latents_BCHW).all().item<bool>());
    test::expect_close(two.latents_BCHW, one.latents_BCHW, 1e-3);
  }
  at::set_num_threads(threads);
}

TEST(Txt2Img, HalfPrecisionIsNearFloat32) {
  const Txt2ImgRequest request = small_request({"a cat"});
  const Txt2ImgResult exact = draw(request, {3});
  const StableDiffusion half = test::tiny_model(EASEL_CLIP_VOCABULARY, at::kBFloat16);
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {3});
  const Txt2ImgResult rough = txt2img(half, request, noise);
  EXPECT_EQ(rough.latents_BCHW.scalar_type(), at::kFloat);
  test::expect_close(rough.latents_BCHW, exact.latents_BCHW, 0.3);
}

// ---- What is said, and when it stops
// -------------------------------------------------------------

TEST(Txt2Img, SaysHowMuchOfALongPromptIsCut) {
  std::string prompt;
  for (int i = 0; i < 100; ++i) prompt += "cat ";
  std::vector<std::string> lines;
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {3});
  txt2img(
      model(), small_request({prompt}), noise,
      {.log = [&](LogLevel, std::string_view line) { lines.emplace_back(line); }, .on_step = {}});
  const auto cut = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("the last 25 of its 100 are cut") != std::string::npos;
  });
  EXPECT_NE(cut, lines.end());
}

TEST(Txt2Img, ACallbackSeesEveryStepAndCanStop) {
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {3});
  std::vector<int64_t> steps;
  txt2img(model(), small_request({"a cat"}), noise,
          {.log = {}, .on_step = [&](const StepInfo& info) {
             EXPECT_EQ(info.steps, 4);
             EXPECT_EQ(shape_text(info.denoised.sizes()), "[1, 4, 4, 6]");
             steps.push_back(info.step);
           }});
  EXPECT_EQ(steps, (std::vector<int64_t>{1, 2, 3, 4}));
  int seen = 0;
  EXPECT_THROW(txt2img(model(), small_request({"a cat"}), noise,
                       {.log = {},
                        .on_step =
                            [&](const StepInfo&) {
                              if (++seen == 2) throw Error("stop", ErrorKind::Interrupted);
                            }}),
               Error);
  EXPECT_EQ(seen, 2);
}

TEST(Txt2Img, RefusesWhatCannotBeMeant) {
  expect_usage_error(small_request({}), "no prompt");
  Txt2ImgRequest request = small_request({"a cat"});
  request.settings.width = 50;
  expect_usage_error(request, "48 and 56");
  request = small_request({"a cat"});
  request.settings.height = 0;
  expect_usage_error(request, "height");
  request = small_request({"a cat"});
  request.settings.scale = -1;
  expect_usage_error(request, "scale");
  request = small_request({"a cat"});
  request.settings.clip_skip = 4;
  expect_usage_error(request, "1 to 3");
  request = small_request({"a cat"});
  request.settings.steps = 0;
  expect_usage_error(request, "steps");
  request = small_request({"a cat"});
  request.settings.sampler = "eular";
  expect_usage_error(request, "did you mean 'euler'");
  request = small_request({"a cat"});
  request.settings.sampler = "plms";
  request.settings.eta = 0.5;
  expect_usage_error(request, "eta");
  request = small_request({"a cat"});
  request.initial_noise_BCHW = at::zeros({1, 4, 6, 4});
  expect_usage_error(request, "[1, 4, 4, 6]");
}

TEST(Txt2Img, RefusesAModelThatTakesMoreThanAPrompt) {
  ModelConfig config = test::tiny_config();
  config.unet.in_channels = 9;
  config.conditioning_key = ConditioningKey::Hybrid;
  const StableDiffusion inpainting = test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config);
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {3});
  EXPECT_THROW(txt2img(inpainting, small_request({"a cat"}), noise), Error);
}

}  // namespace
}  // namespace easel
