// The relatives of Stable Diffusion v1, whole runs against diffusers' pipelines.
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/pipeline/control.h>
#include <easel/pipeline/decode.h>
#include <easel/pipeline/img2img.h>
#include <easel/pipeline/run.h>

#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

using nlohmann::json;

const TensorFile& fixture() {
  static const TensorFile file =
      read_safetensors(std::string(EASEL_TEST_DATA) + "/pipeline/families.safetensors");
  return file;
}

double psnr(const Tensor& a, const Tensor& b) {
  const double error = (a.to(at::kDouble) - b.to(at::kDouble)).square().mean().item<double>();
  return error == 0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(255 * 255 / error);
}

// The tiny model as a family has it.
StableDiffusion model_of(const json& made) {
  ModelConfig config = test::tiny_config();
  config.parameterization = parameterization_from_name(made["parameterization"].get<std::string>());
  ClipTokenizer tokenizer = ClipTokenizer::from_bpe_file(EASEL_CLIP_VOCABULARY);
  const std::string family = made["family"];
  if (family == "v2") {
    config.open_clip = true;
    config.text_encoder.hidden_act = "gelu";
    config.unet.use_linear_in_transformer = true;
    config.unet.num_heads = -1;
    config.unet.num_head_channels = 16;
    config.unet.legacy = false;
    tokenizer = tokenizer.with_pad(0);
  } else if (family == "lcm") {
    config.unet.time_cond_proj_dim = 16;
  } else if (family == "instruct_pix2pix") {
    config.unet.in_channels = 8;
    config.conditioning_key = ConditioningKey::Hybrid;
  }
  return test::tiny_model(tokenizer, at::kFloat, config);
}

PictureSettings settings_of(const json& made) {
  PictureSettings settings;
  settings.width = 48;
  settings.height = 32;
  settings.sampler = made["sampler"];
  settings.steps = made["steps"];
  settings.scale = made["scale"];
  settings.negative_prompt = made["negative"];
  return settings;
}

Image picture() {
  const Tensor pixels = fixture().tensors.at("picture").contiguous();
  const auto* first = pixels.const_data_ptr<uint8_t>();
  return {.width = static_cast<int>(pixels.size(1)),
          .height = static_cast<int>(pixels.size(0)),
          .channels = 3,
          .pixels = {first, first + pixels.numel()}};
}

Image upside_down(const Image& image) {
  Image turned = image;
  const size_t row = static_cast<size_t>(image.width) * 3;
  for (size_t y = 0; y < static_cast<size_t>(image.height); ++y) {
    const auto from = image.pixels.begin() + static_cast<std::ptrdiff_t>(
                                                 (static_cast<size_t>(image.height) - 1 - y) * row);
    std::copy(from, from + static_cast<std::ptrdiff_t>(row),
              turned.pixels.begin() + static_cast<std::ptrdiff_t>(y * row));
  }
  return turned;
}

// The fixture's ControlNets: the second one's weights have another prefix, and its picture is
// turned.
std::vector<Control> controls_of(const json& made, const StableDiffusion& model) {
  std::vector<Control> controls;
  if (!made.contains("strengths")) return controls;
  for (const double strength : made["strengths"].get<std::vector<double>>()) {
    const bool second = !controls.empty();
    ControlNet network({.unet = model.config.unet, .hint_channels = {8, 8, 16, 16}});
    for (const auto& parameter : nn::named_parameters(network)) {
      *parameter.tensor = test::hashed_tensor((second ? "second." : "") + parameter.name,
                                              parameter.tensor->sizes());
    }
    ControlChoice choice;
    choice.strength = strength;
    choice.start = made["start"];
    choice.end = made["end"];
    controls.push_back(make_control(model, std::make_shared<const ControlNet>(std::move(network)),
                                    second ? upside_down(picture()) : picture(), choice));
  }
  return controls;
}

class FamilyParity : public ::testing::TestWithParam<json> {};

TEST_P(FamilyParity, GivesDiffusersPictures) {
  const json& made = GetParam();
  const std::string name = made["name"];
  const StableDiffusion model = model_of(made);
  const uint64_t seed = made["seed"];
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {seed, seed + 1});
  Txt2ImgResult result;
  if (made["family"] == "instruct_pix2pix") {
    Canvas canvas;
    canvas.picture = picture();
    Img2ImgRequest request;
    request.prompts = made["prompts"].get<std::vector<std::string>>();
    request.settings = settings_of(made);
    request.canvas = std::make_shared<const EncodedCanvas>(encode_canvas(model, canvas));
    request.image_scale = made["image_scale"];
    result = img2img(model, request, noise);
  } else {
    const Txt2ImgRequest request{.prompts = made["prompts"].get<std::vector<std::string>>(),
                                 .settings = settings_of(made),
                                 .initial_noise_BCHW = {},
                                 .controls = controls_of(made, model)};
    result = txt2img(model, request, noise);
  }
  test::expect_close(result.latents_BCHW, fixture().tensors.at(name + "/latents"), 2e-5, name);
  const Tensor want_pixels = fixture().tensors.at(name + "/pixels");
  for (size_t k = 0; k < result.images.size(); ++k) {
    const Image& image = result.images[k];
    const Tensor got = at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                     {image.height, image.width, 3}, at::kByte)
                           .clone();
    const Tensor want = want_pixels[static_cast<int64_t>(k)];
    ASSERT_EQ(got.sizes(), want.sizes());
    EXPECT_GE(psnr(got, want), 50) << name << ", picture " << k;
    EXPECT_LE((got.to(at::kInt) - want.to(at::kInt)).abs().max().item<int>(), 3) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fixture, FamilyParity,
    ::testing::ValuesIn(json::parse(fixture().metadata.at("cases")).get<std::vector<json>>()),
    [](const auto& given) { return given.param["name"].template get<std::string>(); });

json case_of(const char* family) {
  for (const json& made : json::parse(fixture().metadata.at("cases"))) {
    if (made["family"] == family) return made;
  }
  return {};
}

template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(Families, AControlOfNoStrengthChangesNothing) {
  const json made = case_of("control");
  const StableDiffusion model = model_of(made);
  Txt2ImgRequest request{
      .prompts = {"a cat"}, .settings = settings_of(made), .initial_noise_BCHW = {}};
  const auto draw = [&] {
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
    return txt2img(model, request, noise).latents_BCHW;
  };
  const Tensor plain = draw();
  json none = made;
  none["strengths"] = {0.0};
  request.controls = controls_of(none, model);
  test::expect_close(draw(), plain, 1e-6);
  none["strengths"] = {1.0};
  request.controls = controls_of(none, model);
  EXPECT_GT(test::relative_difference(draw(), plain), 1e-2);
}

TEST(Families, ARunLoadsItsControls) {
  const json made = case_of("control");
  const StableDiffusion model = model_of(made);
  test::TempDir folder;
  const std::vector<Control> controls = controls_of(made, model);
  Tensors weights;
  for (const auto& parameter : nn::named_parameters(*controls.front().network)) {
    weights[parameter.name] = *parameter.tensor;
  }
  write_safetensors(folder / "control.safetensors", weights, {}, IfExists::Refuse);
  const std::vector<std::byte> png = encode_png(picture());
  std::ofstream(folder / "picture.png", std::ios::binary)
      .write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
  const Txt2ImgRequest direct{.prompts = {"a cat"},
                              .settings = settings_of(made),
                              .initial_noise_BCHW = {},
                              .controls = controls};
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {3});
  const Txt2ImgResult want = txt2img(model, direct, noise);
  RunRequest request{.batches = {{"a cat"}},
                     .settings = settings_of(made),
                     .init = {},
                     .controls = {control_from_text((folder / "control.safetensors").string() +
                                                    ":" + (folder / "picture.png").string())},
                     .seed = 3,
                     .rng = "cpu",
                     .init_latents = {},
                     .save_latents = {}};
  std::vector<Image> drawn;
  RunCallbacks callbacks;
  callbacks.on_picture = [&](RunPicture&& picture) { drawn.push_back(std::move(picture.image)); };
  run_pictures(model, request, callbacks);
  ASSERT_EQ(drawn.size(), 1u);
  EXPECT_EQ(drawn[0].pixels, want.images[0].pixels);
  request.controls[0].picture = folder / "absent.png";
  EXPECT_NE(error_of([&] { check(request); }).find("there is no"), std::string::npos);
}

TEST(Families, ControlsAreReadFromText) {
  test::TempDir folder;
  const auto touch = [&](const char* name) {
    const std::filesystem::path path = folder / name;
    std::ofstream(path) << "x";
    return path.string();
  };
  const std::string model = touch("a:b.pth");
  const std::string picture = touch("edges.png");
  ControlChoice choice = control_from_text(model + ":" + picture);
  EXPECT_EQ(choice.model, model);
  EXPECT_EQ(choice.picture, picture);
  EXPECT_EQ(choice.strength, 1);
  choice = control_from_text(model + ":" + picture + ":0.5:0.1:0.8");
  EXPECT_EQ(choice.model, model);
  EXPECT_EQ(choice.strength, 0.5);
  EXPECT_EQ(choice.start, 0.1);
  EXPECT_EQ(choice.end, 0.8);
  for (const auto& [text, part] : std::vector<std::pair<std::string, const char*>>{
           {"alone.pth", "MODEL:PICTURE"},
           {model + ":" + picture + ":0.5:0.8:0.2", "acts from 0.8 to 0.2"},
           {model + ":" + picture + ":1000", "the strength is 1000"},
           {model + ":absent.png", "there is no"}}) {
    EXPECT_NE(error_of([&] { control_from_text(text); }).find(part), std::string::npos) << text;
  }
}

TEST(Families, TaesdTakesTheAutoencodersPlace) {
  const json made = case_of("control");
  StableDiffusion model = model_of(made);
  Txt2ImgRequest request{
      .prompts = {"a cat"}, .settings = settings_of(made), .initial_noise_BCHW = {}};
  const auto draw = [&] {
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
    return txt2img(model, request, noise);
  };
  const Txt2ImgResult large = draw();
  model.tiny_autoencoder.decoder.emplace(TinyAutoencoderConfig{.channels = 8});
  model.tiny_autoencoder.encoder.emplace(TinyAutoencoderConfig{.channels = 8});
  test::fill_hashed(model.tiny_autoencoder);
  const Txt2ImgResult small = draw();
  EXPECT_TRUE(at::equal(small.latents_BCHW, large.latents_BCHW));
  const auto decoded =
      decode_tiny(*model.tiny_autoencoder.decoder, small.latents_BCHW, PixelRounding::Truncate);
  EXPECT_EQ(small.images[0].pixels, decoded[0].pixels);
  EXPECT_NE(small.images[0].pixels, large.images[0].pixels);
  const Tensor x = from_image(picture());
  const Posterior posterior = encode_pictures(model, x);
  test::expect_close(posterior.mean_BCHW * model.config.scale_factor,
                     model.tiny_autoencoder.encoder->forward(x), 1e-5);
}

TEST(Families, ADistilledModelTakesAScaleAlone) {
  const json made = case_of("lcm");
  const StableDiffusion model = model_of(made);
  Txt2ImgRequest request{
      .prompts = {"a cat"}, .settings = settings_of(made), .initial_noise_BCHW = {}};
  const auto draw = [&] {
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
    return txt2img(model, request, noise).latents_BCHW;
  };
  const Tensor first = draw();
  request.settings.scale = 2;
  EXPECT_GT(test::relative_difference(draw(), first), 1e-3);
  request.settings.tuning.guidance_rescale = 0.5;
  EXPECT_NE(error_of(draw).find("to take the guidance scale as an input"), std::string::npos);
}

TEST(Families, InstructionsNeedAPictureAndScalesAboveZero) {
  const json made = case_of("instruct_pix2pix");
  const StableDiffusion model = model_of(made);
  const Txt2ImgRequest text{
      .prompts = {"a cat"}, .settings = settings_of(made), .initial_noise_BCHW = {}};
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
  EXPECT_NE(error_of([&] { txt2img(model, text, noise); }).find("not for txt2img"),
            std::string::npos);
  Canvas canvas;
  canvas.picture = picture();
  Img2ImgRequest request;
  request.prompts = {"a cat"};
  request.settings = settings_of(made);
  request.canvas = std::make_shared<const EncodedCanvas>(encode_canvas(model, canvas));
  request.image_scale = -1;
  EXPECT_NE(error_of([&] { img2img(model, request, noise); }).find("guidance scale is -1"),
            std::string::npos);
  request.image_scale = 1.5;
  request.settings.scale = 0;
  EXPECT_NE(error_of([&] { img2img(model, request, noise); }).find("must be above 0"),
            std::string::npos);
}

TEST(Families, InstructionsMayBeComposed) {
  const json made = case_of("instruct_pix2pix");
  const StableDiffusion model = model_of(made);
  Canvas canvas;
  canvas.picture = picture();
  Img2ImgRequest request;
  request.settings = settings_of(made);
  request.settings.weighting = Weighting::A1111;
  request.canvas = std::make_shared<const EncodedCanvas>(encode_canvas(model, canvas));
  const auto draw = [&](const char* prompt) {
    request.prompts = {prompt};
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {1});
    return img2img(model, request, noise).latents_BCHW;
  };
  // Half of a prompt and half of the same are the prompt.
  test::expect_close(draw("a cat :0.5 AND a cat :0.5"), draw("a cat"), 1e-3);
  EXPECT_GT(test::relative_difference(draw("a cat :0.5 AND a dog :0.5"), draw("a cat")), 1e-3);
}

}  // namespace
}  // namespace easel
