#include "easel/pipeline/img2img.h"

#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/pipeline/decode.h>

#include "tests/support/compare.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

using nlohmann::json;

const StableDiffusion& model() {
  static const StableDiffusion loaded = test::tiny_model(EASEL_CLIP_VOCABULARY);
  return loaded;
}

StableDiffusion inpainting_model() {
  ModelConfig config = test::tiny_config();
  config.unet.in_channels = 9;
  config.conditioning_key = ConditioningKey::Hybrid;
  return test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config);
}

const TensorFile& fixture() {
  static const TensorFile file =
      read_safetensors(std::string(EASEL_TEST_DATA) + "/pipeline/img2img.safetensors");
  return file;
}

Image image_of(const Tensor& pixels) {
  const Tensor bytes = pixels.contiguous();
  const auto* first = bytes.const_data_ptr<uint8_t>();
  return {.width = static_cast<int>(bytes.size(1)),
          .height = static_cast<int>(bytes.size(0)),
          .channels = bytes.dim() == 3 ? 3 : 1,
          .pixels = {first, first + bytes.numel()}};
}

Canvas canvas(bool with_mask) {
  Canvas made;
  made.picture = image_of(fixture().tensors.at("picture"));
  if (with_mask) made.mask = image_of(fixture().tensors.at("mask"));
  return made;
}

Img2ImgRequest request_on(const StableDiffusion& on, Canvas start,
                          std::vector<std::string> prompts = {"a cat"}) {
  Img2ImgRequest request;
  request.prompts = std::move(prompts);
  request.settings.width = start.picture.width;
  request.settings.height = start.picture.height;
  request.settings.steps = 4;
  request.canvas = std::make_shared<const EncodedCanvas>(encode_canvas(on, std::move(start)));
  return request;
}

Txt2ImgResult draw(const StableDiffusion& on, const Img2ImgRequest& request, uint64_t seed = 3) {
  std::vector<uint64_t> seeds;
  for (size_t k = 0; k < request.prompts.size(); ++k) seeds.push_back(seed + k);
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, seeds);
  return img2img(on, request, noise);
}

Tensor pixels(const Image& image) {
  return at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                       {image.height, image.width, image.channels}, at::kByte)
      .clone();
}

double psnr(const Tensor& a, const Tensor& b) {
  const double error = (a.to(at::kDouble) - b.to(at::kDouble)).square().mean().item<double>();
  return error == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(255 * 255 / error);
}

void expect_usage_error(const StableDiffusion& on, const Img2ImgRequest& request,
                        const std::string& part) {
  try {
    draw(on, request);
    FAIL() << "no error; expected one with: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

// ---- Whole runs against CompVis and diffusers
// ----------------------------------------------------

class Img2ImgParity : public ::testing::TestWithParam<json> {};

TEST_P(Img2ImgParity, GivesTheReferencesPictures) {
  const json& made = GetParam();
  const std::string name = made["name"];
  const StableDiffusion tiny =
      made["channels"] == 9 ? inpainting_model() : test::tiny_model(EASEL_CLIP_VOCABULARY);
  Img2ImgRequest request = request_on(tiny, canvas(made["mask"]), made["prompts"]);
  request.settings.sampler = made["sampler"];
  request.settings.steps = made["steps"];
  request.settings.scale = made["scale"];
  if (!made["eta"].is_null()) request.settings.eta = made["eta"].get<double>();
  request.settings.negative_prompt = made["negative"];
  request.strength = made["strength"];
  request.encode = encode_from_name(made["encode"].get<std::string>());

  const uint64_t seed = made["seed"];
  NormalStream stream(Rng::Cpu, seed);
  NoiseSource noise = made["seeding"] == "batch"
                          ? NoiseSource::per_batch(stream)
                          : NoiseSource::per_image(Rng::Cpu, {seed, seed + 1});
  const Txt2ImgResult result = img2img(tiny, request, noise);

  test::expect_close(result.latents_BCHW, fixture().tensors.at(name + "/latents"), 2e-3, name);
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
    Fixture, Img2ImgParity,
    ::testing::ValuesIn(json::parse(fixture().metadata.at("cases")).get<std::vector<json>>()),
    [](const auto& given) { return given.param["name"].template get<std::string>(); });

// ---- How much of the levels is left
// --------------------------------------------------------------

SigmaPlan whole_plan(const std::string& sampler, int64_t steps) {
  const SamplerInfo& info = find_sampler(sampler);
  return make_plan(info, find_spacing(info.default_spacing), model().schedule, steps);
}

TEST(CutPlan, DdimIsNoisedOneLevelAboveItsFirstStep) {
  const SigmaPlan whole = whole_plan("ddim", 20);
  SigmaPlan plan = whole;
  const StartLevel start = cut_plan(plan, find_sampler("ddim"), 0.75, 20);
  EXPECT_EQ(plan.steps(), 15);
  EXPECT_EQ(plan.sigmas.front(), whole.sigmas[5]);
  EXPECT_EQ(plan.sigmas.back(), whole.sigmas.back());
  EXPECT_EQ(start.noise_sigma, whole.sigmas[4]);
}

TEST(CutPlan, CompVissStepsAreThoseAskedForWhereItsPlanHasMore) {
  SigmaPlan plan = whole_plan("ddim", 30);
  ASSERT_EQ(plan.steps(), 31);
  cut_plan(plan, find_sampler("ddim"), 0.5, 30);
  EXPECT_EQ(plan.steps(), 15);
}

TEST(CutPlan, DdimAtFullStrengthKeepsALevelToBeNoisedTo) {
  SigmaPlan plan = whole_plan("ddim", 20);
  const double highest = plan.sigmas.front();
  const StartLevel start = cut_plan(plan, find_sampler("ddim"), 1, 20);
  EXPECT_EQ(plan.steps(), 19);
  EXPECT_EQ(start.noise_sigma, highest);
}

TEST(CutPlan, OthersFollowA1111) {
  const SigmaPlan whole = whole_plan("euler", 20);
  for (const auto& [strength, steps] :
       {std::pair{0.0, 1}, {0.04, 1}, {0.05, 2}, {0.75, 16}, {1.0, 20}}) {
    SigmaPlan plan = whole;
    const StartLevel start = cut_plan(plan, find_sampler("euler"), strength, 20);
    EXPECT_EQ(plan.steps(), steps) << strength;
    EXPECT_EQ(start.noise_sigma, plan.sigmas.front());
    EXPECT_EQ(start.scale, 1);
    EXPECT_EQ(plan.sigmas.back(), 0);
  }
}

TEST(CutPlan, LeavesASamplerTheStepsThatItNeeds) {
  SigmaPlan plan = whole_plan("dpm_fast", 20);
  cut_plan(plan, find_sampler("dpm_fast"), 0, 20);
  EXPECT_EQ(plan.steps(), 2);
}

// ---- What strength, picture and mask do
// ----------------------------------------------------------

TEST(Img2Img, EverySamplerDrawsAtEveryStrength) {
  Canvas start = canvas(false);
  start.picture = crop(start.picture, {.left = 0, .top = 0, .width = 16, .height = 16});
  Img2ImgRequest request = request_on(model(), std::move(start));
  request.settings.steps = 3;
  request.settings.scale = 1;
  std::set<Sampler> seen;
  for (const SamplerInfo& sampler : samplers()) {
    if (!seen.insert(sampler.run).second) continue;  // another's variant
    for (const double strength : {0.0, 0.4, 1.0}) {
      request.settings.sampler = sampler.name;
      request.strength = strength;
      const Txt2ImgResult result = draw(model(), request);
      EXPECT_EQ(result.images.size(), 1u) << sampler.name;
      EXPECT_TRUE(at::isfinite(result.latents_BCHW).all().item<bool>())
          << sampler.name << " at " << strength;
    }
  }
}

TEST(Img2Img, NoStrengthGivesThePictureAsItsAutoencoderHasIt) {
  Img2ImgRequest request = request_on(model(), canvas(false));
  const Tensor z_1CHW = request.canvas->posterior_1CHW.mean_BCHW * model().config.scale_factor;
  const Image through = decode_latents(model(), z_1CHW, PixelRounding::Truncate)[0];
  for (const char* sampler : {"ddim", "plms", "dpm_solver"}) {
    request.settings.sampler = sampler;
    request.strength = 0;
    const Txt2ImgResult result = draw(model(), request);
    test::expect_close(result.latents_BCHW, z_1CHW, 1e-5, sampler);
    EXPECT_LE((pixels(result.images[0]).to(at::kInt) - pixels(through).to(at::kInt))
                  .abs()
                  .max()
                  .item<int>(),
              1);
  }
}

TEST(Img2Img, MoreStrengthLeavesLessOfThePicture) {
  Img2ImgRequest request = request_on(model(), canvas(false));
  request.settings.steps = 10;
  request.settings.scale = 1;
  const Tensor z_1CHW = request.canvas->posterior_1CHW.mean_BCHW * model().config.scale_factor;
  double last = 0;
  for (const double strength : {0.2, 0.5, 0.9}) {
    request.strength = strength;
    const double far = (draw(model(), request).latents_BCHW - z_1CHW).norm().item<double>();
    EXPECT_GT(far, last) << strength;
    last = far;
  }
}

TEST(Img2Img, AListOfLevelsCountsItsOwnSteps) {
  Img2ImgRequest request = request_on(model(), canvas(false));
  request.settings.schedule = "14,7,3,1,0";
  request.settings.steps = 50;
  request.strength = 0.5;
  int64_t steps = 0;
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {3});
  img2img(model(), request, noise, {.log = {}, .on_step = [&](const StepInfo&) { ++steps; }});
  EXPECT_EQ(steps, 2);
}

TEST(Img2Img, APictureDoesNotDependOnItsBatch) {
  for (const Encode encode : {Encode::Mean, Encode::Sample}) {
    Img2ImgRequest both = request_on(model(), canvas(true), {"a cat", "a dog"});
    both.settings.sampler = "euler_a";
    both.encode = encode;
    Img2ImgRequest second = both;
    second.prompts = {"a dog"};
    test::expect_close(draw(model(), both, 5).latents_BCHW[1],
                       draw(model(), second, 6).latents_BCHW[0], 1e-4);
  }
}

TEST(Inpainting, LeavesWhatIsOutsideTheMaskAsItIs) {
  const Tensor outside = fixture().tensors.at("mask").eq(0).unsqueeze(2).expand({-1, -1, 3});
  const Tensor picture = fixture().tensors.at("picture");
  const StableDiffusion nine = inpainting_model();
  for (const StableDiffusion* on : {&model(), &nine}) {
    Img2ImgRequest request = request_on(*on, canvas(true));
    request.strength = 1;
    const Tensor got = pixels(draw(*on, request).images[0]);
    EXPECT_TRUE(at::equal(got.masked_select(outside), picture.masked_select(outside)));
    const Tensor inside = outside.logical_not();
    EXPECT_GT((got.to(at::kFloat) - picture.to(at::kFloat))
                  .abs()
                  .masked_select(inside)
                  .mean()
                  .item<double>(),
              5);
  }
}

TEST(Inpainting, KnownLatentsStayThroughEverySampler) {
  Canvas start = canvas(true);
  const Region corner{.left = 8, .top = 0, .width = 16, .height = 16};
  start.picture = crop(start.picture, corner);
  start.mask = crop(start.mask, corner);
  Img2ImgRequest request = request_on(model(), std::move(start));
  request.settings.scale = 1;
  request.strength = 0.8;
  const Tensor z_1CHW = request.canvas->posterior_1CHW.mean_BCHW * model().config.scale_factor;
  const Tensor keep = request.canvas->keep_11HW.expand_as(z_1CHW).gt(0);
  for (const char* sampler : {"ddim", "plms", "dpm_solver", "euler_a", "dpmpp_2m"}) {
    request.settings.sampler = sampler;
    const Tensor got = draw(model(), request).latents_BCHW;
    test::expect_close(got.masked_select(keep), z_1CHW.masked_select(keep), 1e-5, sampler);
  }
}

TEST(Inpainting, ALatentIsAsFreeAsTheFreestOfItsPixels) {
  Canvas start = canvas(true);
  std::fill(start.mask.pixels.begin(), start.mask.pixels.end(), uint8_t{0});
  start.mask.pixels[static_cast<size_t>(9 * 48 + 17)] = 51;
  const EncodedCanvas encoded = encode_canvas(model(), std::move(start));
  EXPECT_NEAR(encoded.keep_11HW[0][0][1][2].item<double>(), 0.8, 1e-6);
  EXPECT_NEAR(encoded.keep_11HW.sum().item<double>(), 24 - 0.2, 1e-4);
}

TEST(Inpainting, AModelOfNineChannelsWithoutAMaskSeesNothingOfThePicture) {
  const StableDiffusion nine = inpainting_model();
  const EncodedCanvas bare = encode_canvas(nine, canvas(false));
  EXPECT_EQ(shape_text(bare.concat_1CHW.sizes()), "[1, 5, 4, 6]");
  EXPECT_TRUE(bare.concat_1CHW.select(1, 0).eq(1).all().item<bool>());
  Canvas other = canvas(false);
  other.picture = inverted(other.picture);
  test::expect_close(encode_canvas(nine, std::move(other)).concat_1CHW, bare.concat_1CHW, 1e-6);
}

// ---- What cannot be meant
// ------------------------------------------------------------------------

TEST(Img2Img, RefusesWhatCannotBeMeant) {
  const Img2ImgRequest good = request_on(model(), canvas(false));
  Img2ImgRequest request = good;
  request.strength = 1.5;
  expect_usage_error(model(), request, "strength is 1.5");
  request.strength = std::nan("");
  expect_usage_error(model(), request, "strength");
  request = good;
  request.prompts = {};
  expect_usage_error(model(), request, "no prompt");
  request = good;
  request.settings.width = 32;
  expect_usage_error(model(), request, "48x32");
  request = good;
  request.canvas = nullptr;
  expect_usage_error(model(), request, "canvas");
  request = good;
  request.initial_noise_BCHW = at::zeros({1, 4, 6, 4});
  expect_usage_error(model(), request, "[1, 4, 4, 6]");
  Canvas odd = canvas(false);
  odd.picture = crop(odd.picture, {.left = 0, .top = 0, .width = 44, .height = 32});
  EXPECT_THROW(encode_canvas(model(), odd), Error);
}

TEST(Img2Img, RefusesAModelOfAnotherKind) {
  ModelConfig config = test::tiny_config();
  config.unet.in_channels = 7;
  config.conditioning_key = ConditioningKey::Hybrid;
  const StableDiffusion other = test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config);
  EXPECT_THROW(encode_canvas(other, canvas(false)), Error);
}

TEST(EncodeAndStrength, HaveNamesAndRanges) {
  EXPECT_EQ(encode_from_name("sample"), Encode::Sample);
  EXPECT_THROW(encode_from_name("mode"), Error);
  EXPECT_NO_THROW(check_strength(0));
  EXPECT_NO_THROW(check_strength(1));
  EXPECT_THROW(check_strength(-0.1), Error);
}

}  // namespace
}  // namespace easel
