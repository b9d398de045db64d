#include "easel/pipeline/image_prompt.h"

#include <fstream>

#include <fmt/format.h>

#include <easel/pipeline/control.h>
#include <easel/pipeline/run.h>

#include "tests/support/picture_conditions.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using namespace test;

// The fixture's image encoder.
ImageEncoder image_encoder() {
  ImageEncoder encoder{.vision = ClipVision({.hidden_size = 64,
                                             .intermediate_size = 96,
                                             .num_hidden_layers = 2,
                                             .num_attention_heads = 4,
                                             .image_size = 28,
                                             .patch_size = 14,
                                             .hidden_act = "gelu"}),
                       .visual_projection = nn::Linear(64, 24, /*with_bias=*/false)};
  test::fill_hashed(encoder);
  return encoder;
}

// Its IP-Adapters as a file, under the authors' names; the second one's weights have another
// prefix.
Tensors ip_adapter_file(const StableDiffusion& model, bool second) {
  Tensors file;
  const auto add = [&](const std::string& name, at::IntArrayRef shape) {
    file[name] = test::hashed_tensor((second ? "second." : "") + name, shape);
  };
  add("image_proj.proj.weight", {4 * 32, 24});
  add("image_proj.proj.bias", {4 * 32});
  add("image_proj.norm.weight", {32});
  add("image_proj.norm.bias", {32});
  UNet unet = model.unet;
  int64_t index = 1;
  for (const nn::Attention* attention : cross_attentions(unet)) {
    for (const char* kind : {"to_k_ip", "to_v_ip"}) {
      add(fmt::format("ip_adapter.{}.{}.weight", index, kind),
          {attention->to_k.weight.size(0), 32});
    }
    index += 2;
  }
  return file;
}

std::filesystem::path write_ip_adapter(const test::TempDir& folder, const StableDiffusion& model) {
  const auto path = folder / "first.safetensors";
  write_safetensors(path, ip_adapter_file(model, false), {}, IfExists::Replace);
  return path;
}

// The fixture's adapter of the Plus kind.
Tensors plus_file(const StableDiffusion& model) {
  Tensors file = ip_adapter_file(model, false);
  std::erase_if(file, [](const auto& entry) { return entry.first.starts_with("image_proj."); });
  const auto add = [&](const std::string& name, at::IntArrayRef shape) {
    file["image_proj." + name] = test::hashed_tensor("image_proj." + name, shape);
  };
  constexpr int64_t kWidth = 48;
  add("latents", {1, 5, kWidth});
  add("proj_in.weight", {kWidth, 64});
  add("proj_in.bias", {kWidth});
  add("proj_out.weight", {32, kWidth});
  for (const char* name : {"proj_out.bias", "norm_out.weight", "norm_out.bias"}) add(name, {32});
  for (int i = 0; i < 4; ++i) {
    const std::string layer = fmt::format("layers.{}.", i);
    for (const char* norm : {"0.norm1", "0.norm2", "1.0"}) {
      add(layer + norm + ".weight", {kWidth});
      add(layer + norm + ".bias", {kWidth});
    }
    add(layer + "0.to_q.weight", {128, kWidth});
    add(layer + "0.to_kv.weight", {256, kWidth});
    add(layer + "0.to_out.weight", {kWidth, 128});
    add(layer + "1.1.weight", {4 * kWidth, kWidth});
    add(layer + "1.3.weight", {kWidth, 4 * kWidth});
  }
  return file;
}

ImagePrompted prompted(const json& made, const StableDiffusion& model) {
  test::TempDir folder;
  ImagePrompted prompted{.model = model, .tokens = {}};
  const ImageEncoder encoder = image_encoder();
  const auto scales = made["strengths"].get<std::vector<double>>();
  const auto files = made["files"].get<std::vector<std::string>>();
  for (size_t i = 0; i < scales.size(); ++i) {
    const auto path = folder / "adapter.safetensors";
    write_safetensors(
        path, files[i] == "plus" ? plus_file(model) : ip_adapter_file(model, files[i] == "second"),
        {}, IfExists::Replace);
    const Image picture = stored("picture");
    add_image_prompt(prompted, load_ip_adapter(path, model), encoder,
                     i == 0 ? picture : upside_down(picture), scales[i]);
  }
  return prompted;
}
class ImagePromptParity : public ::testing::TestWithParam<json> {};

TEST_P(ImagePromptParity, GivesDiffusersPictures) {
  const json& made = GetParam();
  const ImagePrompted changed = prompted(made, model_of(made));
  const uint64_t seed = made["seed"];
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {seed, seed + 1});
  const Txt2ImgRequest request{.prompts = made["prompts"].get<std::vector<std::string>>(),
                               .settings = settings_of(made),
                               .initial_noise_BCHW = {},
                               .image_tokens = changed.tokens};
  expect_diffusers_pictures(made, txt2img(changed.model, request, noise));
}

INSTANTIATE_TEST_SUITE_P(Fixture, ImagePromptParity, ::testing::ValuesIn(cases_of({"ip_adapter"})),
                         [](const auto& given) {
                           return given.param["name"].template get<std::string>();
                         });

TEST(ImagePrompt, ARunLoadsItsImagePrompts) {
  const json made = case_of("ip_adapter");
  const StableDiffusion model = model_of(made);
  test::TempDir folder;
  const auto adapter = write_ip_adapter(folder, model);
  const std::vector<std::byte> png = encode_png(stored("picture"));
  std::ofstream(folder / "a.png", std::ios::binary)
      .write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
  Tensors weights;
  const ImageEncoder encoder = image_encoder();
  for (const auto& parameter : nn::named_parameters(encoder)) {
    weights[parameter.name] = *parameter.tensor;
  }
  std::filesystem::create_directories(folder / "image_encoder");
  write_safetensors(folder / "image_encoder" / "model.safetensors", weights, {}, IfExists::Refuse);
  folder.write("image_encoder/config.json",
               R"({"num_attention_heads": 4, "hidden_act": "gelu", "hidden_size": 64})");

  const std::string text = adapter.string() + ":" + (folder / "a.png").string();
  RunRequest request{.batches = {{"a cat"}},
                     .settings = settings_of(made),
                     .init = {},
                     .image_prompts = {image_prompt_from_text(text + ":0.7")},
                     .seed = 3,
                     .rng = "cpu",
                     .init_latents = {},
                     .save_latents = {}};
  EXPECT_EQ(request.image_prompts[0].scale, 0.7);
  std::vector<Image> drawn;
  RunCallbacks callbacks;
  callbacks.on_picture = [&](RunPicture&& picture) { drawn.push_back(std::move(picture.image)); };
  run_pictures(model, request, callbacks);
  ASSERT_EQ(drawn.size(), 1u);

  const ImagePrompted changed = prompted(made, model);
  Txt2ImgRequest direct{.prompts = {"a cat"},
                        .settings = settings_of(made),
                        .initial_noise_BCHW = {},
                        .image_tokens = changed.tokens};
  NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {3});
  EXPECT_EQ(drawn[0].pixels, txt2img(changed.model, direct, noise).images[0].pixels);
  // The model itself is what it was.
  direct.image_tokens = {};
  NoiseSource again = NoiseSource::per_image(Rng::Cpu, {3});
  EXPECT_NE(drawn[0].pixels, txt2img(model, direct, again).images[0].pixels);

  std::filesystem::rename(folder / "image_encoder", folder / "elsewhere");
  expect_in(error_of([&] { run_pictures(model, request); }), "with --image-encoder PATH");
  request.image_encoder = folder / "elsewhere";
  EXPECT_EQ(error_of([&] { run_pictures(model, request); }), "no error");
  request.image_prompts.clear();
  expect_in(error_of([&] { check(request); }), "and there is none");
  expect_in(error_of([&] { image_prompt_from_text("alone"); }), "it is ADAPTER:PICTURE");
  expect_in(error_of([&] { image_prompt_from_text(text + ":1e9"); }), "the scale is");
  expect_in(error_of([&] { image_prompt_from_text(adapter.string() + ":none.png"); }),
            "there is no none.png");
}

TEST(ImagePrompt, IpAdaptersOfOtherKindsAndModelsAreRefused) {
  const json made = case_of("ip_adapter");
  const StableDiffusion model = model_of(made);
  test::TempDir folder;
  const auto error_with = [&](const auto& change) {
    Tensors file = ip_adapter_file(model, false);
    change(file);
    const auto path = folder / "changed.safetensors";
    write_safetensors(path, file, {}, IfExists::Replace);
    return error_of([&] { load_ip_adapter(path, model); });
  };
  EXPECT_EQ(error_with([](Tensors&) {}), "no error");
  expect_in(error_with([](Tensors& file) { file.erase("ip_adapter.3.to_k_ip.weight"); }),
            "tensor is missing: ip_adapter.3.to_k_ip.weight");
  expect_in(
      error_with([](Tensors& file) { file["ip_adapter.99.to_k_ip.weight"] = at::zeros({1}); }),
      "tensor is unexpected: ip_adapter.99.to_k_ip.weight");
  expect_in(error_with([](Tensors& file) {
              file.erase("image_proj.proj.weight");
              file["image_proj.proj.3.weight"] = at::zeros({16, 32});
            }),
            "an IP-Adapter of another kind");
  expect_in(error_with([](Tensors& file) { file["image_proj.norm.weight"] = at::zeros({64}); }),
            "context has 64 features, and this model's has 32");
  expect_in(error_with([](Tensors& file) {
              file = {{"lora_unet_x.lora_up.weight", at::zeros({1})}};
            }),
            "is a LoRA; expected an IP-Adapter");
  ImagePrompted changed{.model = model, .tokens = {}};
  ImageEncoder narrow = image_encoder();
  narrow.visual_projection = nn::Linear(64, 16, /*with_bias=*/false);
  narrow.visual_projection.weight = at::zeros({16, 64});
  const IpAdapter adapter = load_ip_adapter(write_ip_adapter(folder, model), model);
  expect_in(error_of([&] { add_image_prompt(changed, adapter, narrow, stored("picture"), 1); }),
            "gives 16 features, and the IP-Adapter takes 24");
}

TEST(ImagePrompt, AControlNetSeesTheTextAlone) {
  const json made = case_of("ip_adapter");
  const StableDiffusion model = model_of(made);
  ControlNet network({.unet = model.config.unet, .hint_channels = {8, 8, 16, 16}});
  test::fill_hashed(network);
  const ImagePrompted changed = prompted(made, model);
  Txt2ImgRequest request{.prompts = {"a cat"},
                         .settings = settings_of(made),
                         .initial_noise_BCHW = {},
                         .image_tokens = changed.tokens};
  const auto draw = [&](double strength) {
    request.controls = {make_control(changed.model, std::make_shared<const ControlNet>(network),
                                     stored("picture"),
                                     {.model = {}, .picture = {}, .strength = strength})};
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, {3});
    return txt2img(changed.model, request, noise).latents_BCHW;
  };
  EXPECT_GT(test::relative_difference(draw(1), draw(0)), 1e-3);
}
}  // namespace
}  // namespace easel
