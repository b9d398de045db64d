// Models and T2I-Adapters that go by a picture beside the prompt, whole runs against diffusers'
// pipelines.
#include "tests/support/picture_conditions.h"

#include <fstream>

#include <easel/pipeline/control.h>
#include <easel/pipeline/img2img.h>
#include <easel/pipeline/run.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using namespace test;

Img2ImgRequest request_of(const json& made, const StableDiffusion& model) {
  Canvas canvas;
  Img2ImgRequest request;
  request.prompts = made["prompts"].get<std::vector<std::string>>();
  request.settings = settings_of(made);
  if (made["family"] == "depth") {
    canvas.picture = stored("picture");
    canvas.depth = stored("depth");
    request.strength = made["strength"];
    request.encode = encode_from_name(made["encode"].get<std::string>());
  } else {
    canvas.picture = stored("small");
    request.noise_level = made["noise_level"];
  }
  request.canvas = std::make_shared<const EncodedCanvas>(encode_canvas(model, canvas));
  return request;
}

// One of the fixture's T2I-Adapters, "full3", "light1" or "light3".
std::shared_ptr<const T2IAdapter> adapter_of(const std::string& kind) {
  T2IAdapter network({.picture_channels = kind.back() - '0',
                      .channels = {32, 64, 64},
                      .num_res_blocks = 2,
                      .light = kind.starts_with("light")});
  for (const auto& parameter : nn::named_parameters(network)) {
    *parameter.tensor = test::hashed_tensor(kind + "." + parameter.name, parameter.tensor->sizes());
  }
  return std::make_shared<const T2IAdapter>(std::move(network));
}

std::vector<Control> controls_of(const json& made, const StableDiffusion& model) {
  std::vector<Control> controls;
  const auto kinds = made["kinds"].get<std::vector<std::string>>();
  for (size_t i = 0; i < kinds.size(); ++i) {
    ControlChoice choice;
    choice.strength = made["strengths"][i];
    controls.push_back(make_control(model, adapter_of(kinds[i]),
                                    i == 0 ? stored("picture") : upside_down(stored("picture")),
                                    choice));
  }
  return controls;
}
class ConditionsParity : public ::testing::TestWithParam<json> {};

TEST_P(ConditionsParity, GivesDiffusersPictures) {
  const json& made = GetParam();
  const StableDiffusion model = model_of(made);
  const uint64_t seed = made["seed"];
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {seed, seed + 1});
  if (made["family"] != "adapter") {
    expect_diffusers_pictures(made, img2img(model, request_of(made, model), noise));
    return;
  }
  const Txt2ImgRequest request{.prompts = made["prompts"].get<std::vector<std::string>>(),
                               .settings = settings_of(made),
                               .initial_noise_BCHW = {},
                               .controls = controls_of(made, model)};
  expect_diffusers_pictures(made, txt2img(model, request, noise));
}

INSTANTIATE_TEST_SUITE_P(Fixture, ConditionsParity,
                         ::testing::ValuesIn(cases_of({"depth", "upscaler", "adapter"})),
                         [](const auto& given) {
                           return given.param["name"].template get<std::string>();
                         });

TEST(PictureConditions, TheDepthsShapeThePicture) {
  const json made = case_of("depth");
  const StableDiffusion model = model_of(made);
  const auto draw = [&](const Image& depth) {
    Canvas canvas;
    canvas.picture = stored("picture");
    canvas.depth = depth;
    Img2ImgRequest request = request_of(made, model);
    request.strength = 1;
    request.canvas = std::make_shared<const EncodedCanvas>(encode_canvas(model, canvas));
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1, 2});
    return img2img(model, request, noise).latents_BCHW;
  };
  const Image depth = stored("depth");
  Image dim = depth, other = depth;
  for (uint8_t& value : dim.pixels) value = static_cast<uint8_t>(value / 2);
  for (uint8_t& value : other.pixels) value = static_cast<uint8_t>(255 - value);
  const Tensor first = draw(depth);
  EXPECT_LT(test::relative_difference(draw(dim), first), 0.1);  // its range is not its message
  EXPECT_GT(test::relative_difference(draw(other), first), 0.2);
  std::fill(other.pixels.begin(), other.pixels.end(), uint8_t{9});
  expect_in(error_of([&] { draw(other); }), "the same all over");
  expect_in(error_of([&] { draw({}); }), "none is given (--depth FILE)");

  Canvas canvas;
  canvas.picture = stored("picture");
  canvas.depth = depth;
  const StableDiffusion plain = test::tiny_model(EASEL_CLIP_VOCABULARY);
  expect_in(error_of([&] { encode_canvas(plain, canvas); }), "takes no map of depths");
}

TEST(PictureConditions, DepthsGoWhereThePictureGoes) {
  ModelSummary model{};
  model.size_unit = 8;
  const Image picture = stored("picture"), depth = stored("depth");
  CanvasSettings square, part, wider;
  square.width = square.height = 32;
  part.only_masked = true;
  part.only_masked_padding = 2;
  wider.outpaint.left = 8;
  Canvas canvas = make_canvas(picture, {}, square, model, depth);
  EXPECT_EQ(canvas.depth.width, 32);
  EXPECT_EQ(canvas.depth.pixels[0], depth.pixels[8]);  // cropped at both sides
  Image mask{.width = 48, .height = 32, .channels = 1, .pixels = std::vector<uint8_t>(48 * 32)};
  mask.pixels[20 * 48 + 20] = 255;
  canvas = make_canvas(picture, mask, part, model, depth);
  EXPECT_EQ(canvas.depth.width, canvas.picture.width);
  EXPECT_EQ(canvas.depth.pixels[0], 200);  // within the step
  canvas = make_canvas(picture, {}, wider, model, depth);
  EXPECT_EQ(canvas.depth.width, 56);
  EXPECT_EQ(canvas.depth.pixels[0], depth.pixels[0]);
  Image tall = depth;
  std::swap(tall.width, tall.height);
  expect_in(error_of([&] { make_canvas(picture, {}, {}, model, tall); }),
            "the depth map is 32x48, the picture 48x32");
}

TEST(PictureConditions, TheUpscalersLimitsAreSaid) {
  const json made = case_of("upscaler");
  const StableDiffusion model = model_of(made);
  Img2ImgRequest request = request_of(made, model);
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1, 2});
  request.noise_level = 351;
  expect_in(error_of([&] { img2img(model, request, noise); }), "351; this model's is 0 to 350");
  request.noise_level = 0;
  request.settings.width = 48;
  expect_in(error_of([&] { img2img(model, request, noise); }),
            "the settings 48x64; expected 96x64");
  Canvas canvas;
  canvas.picture = stored("small");
  canvas.mask = {.width = 24, .height = 16, .channels = 1, .pixels = std::vector<uint8_t>(24 * 16)};
  expect_in(error_of([&] { encode_canvas(model, canvas); }), "takes no mask");
  const Txt2ImgRequest text{
      .prompts = {"a cat"}, .settings = settings_of(made), .initial_noise_BCHW = {}};
  expect_in(error_of([&] { txt2img(model, text, noise); }), "not for txt2img");
  CanvasSettings odd, narrow;
  odd.width = 98;
  narrow.width = 64;
  expect_in(error_of([&] { make_canvas(stored("small"), {}, odd, summarize(model)); }),
            "in multiples of 4");
  const Canvas sized = make_canvas(stored("small"), {}, narrow, summarize(model));
  EXPECT_EQ(sized.picture.width, 16);
}

TEST(PictureConditions, TheUpscalersPicturesDoNotDependOnTheirBatch) {
  const json made = case_of("upscaler");
  const StableDiffusion model = model_of(made);
  Img2ImgRequest request = request_of(made, model);
  request.settings.weighting = Weighting::A1111;
  const auto draw = [&](std::vector<std::string> prompts, std::vector<uint64_t> seeds) {
    request.prompts = std::move(prompts);
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, seeds);
    return img2img(model, request, noise).latents_BCHW;
  };
  // The second picture's small picture stands beside all parts of its prompt.
  const std::string composed = "a cat :0.5 AND a dog :0.5";
  const Tensor both = draw({"two owls", composed}, {4, 5});
  test::expect_close(both.narrow(0, 1, 1), draw({composed}, {5}), 1e-4);
  test::expect_close(both.narrow(0, 0, 1), draw({"two owls"}, {4}), 1e-4);
}
TEST(PictureConditions, AControlSteersBothPassesOfHires) {
  const json made = case_of("adapter");
  const StableDiffusion model = model_of(made);
  test::TempDir folder;
  const auto network = adapter_of("full3");
  Tensors weights;
  for (const auto& parameter : nn::named_parameters(*network)) {
    weights[parameter.name] = *parameter.tensor;
  }
  write_safetensors(folder / "adapter.safetensors", weights, {}, IfExists::Refuse);
  const std::vector<std::byte> png = encode_png(stored("picture"));
  std::ofstream(folder / "picture.png", std::ios::binary)
      .write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
  const ControlChoice choice = control_from_text((folder / "adapter.safetensors").string() + ":" +
                                                 (folder / "picture.png").string());

  RunRequest request{.batches = {{"a cat"}},
                     .settings = settings_of(made),
                     .init = {},
                     .hires = HiresSettings{.scale = 1.5, .steps = 3},
                     .controls = {choice},
                     .seed = 3,
                     .rng = "cpu",
                     .init_latents = {},
                     .save_latents = {}};
  std::vector<Image> drawn;
  RunCallbacks callbacks;
  callbacks.on_picture = [&](RunPicture&& picture) { drawn.push_back(std::move(picture.image)); };
  run_pictures(model, request, callbacks);
  ASSERT_EQ(drawn.size(), 1u);
  EXPECT_EQ(drawn[0].width, 72);

  Txt2ImgRequest direct{.prompts = {"a cat"},
                        .settings = settings_of(made),
                        .initial_noise_BCHW = {},
                        .hires = request.hires};
  const auto draw = [&] {
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {3});
    return txt2img(model, direct, noise);
  };
  const Tensor none = draw().latents_BCHW;
  direct.controls = {make_control(model, network, choice, 48, 32)};
  const Tensor first = draw().latents_BCHW;
  direct.hires_controls = {make_control(model, network, choice, 72, 48)};
  const Txt2ImgResult both = draw();
  EXPECT_EQ(drawn[0].pixels, both.images[0].pixels);
  EXPECT_GT(test::relative_difference(first, none), 1e-3);
  EXPECT_GT(test::relative_difference(both.latents_BCHW, first), 1e-3);
}

}  // namespace
}  // namespace easel
