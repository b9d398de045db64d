// What the tests of models and adapters that go by a picture have in common: the fixture of
// scripts/fixtures/picture_conditions.py and its models.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>
#include <easel/pipeline/settings.h>
#include <easel/pipeline/txt2img.h>

#include "tests/support/compare.h"
#include "tests/support/tiny_model.h"

namespace easel::test {

using nlohmann::json;

inline const TensorFile& fixture() {
  static const TensorFile file =
      read_safetensors(std::string(EASEL_TEST_DATA) + "/pipeline/picture_conditions.safetensors");
  return file;
}

inline json case_of(const std::string& name) {
  for (const json& made : json::parse(fixture().metadata.at("cases"))) {
    if (made["name"] == name) return made;
  }
  return {};
}

// A picture of the fixture, [H, W, 3] or [H, W].
inline Image stored(const std::string& name) {
  const Tensor pixels = fixture().tensors.at(name).contiguous();
  const auto* first = pixels.const_data_ptr<uint8_t>();
  return {.width = static_cast<int>(pixels.size(1)),
          .height = static_cast<int>(pixels.size(0)),
          .channels = pixels.dim() == 3 ? 3 : 1,
          .pixels = {first, first + pixels.numel()}};
}

inline Image upside_down(Image image) {
  const size_t row = static_cast<size_t>(image.width) * 3;
  std::vector<uint8_t> turned;
  for (size_t y = static_cast<size_t>(image.height); y-- > 0;) {
    turned.insert(turned.end(), image.pixels.begin() + static_cast<std::ptrdiff_t>(y * row),
                  image.pixels.begin() + static_cast<std::ptrdiff_t>((y + 1) * row));
  }
  image.pixels = std::move(turned);
  return image;
}

inline StableDiffusion model_of(const json& made) {
  ModelConfig config = test::tiny_config();
  config.parameterization = parameterization_from_name(made["parameterization"].get<std::string>());
  const std::string family = made["family"];
  UNetConfig& unet = config.unet;
  if (family == "depth") {
    unet.in_channels = 5;
    config.conditioning_key = ConditioningKey::Hybrid;
  } else if (family != "ip_adapter") {
    unet.channel_mult = {1, 2, 2};
    unet.num_res_blocks = {1, 1, 1};
    unet.attention_resolutions = {4, 2, 1};
  }
  if (family == "upscaler") {
    unet.in_channels = 7;
    unet.num_classes = 1000;
    unet.attention_resolutions = {4, 2};
    unet.disable_self_attentions = {true, true, false};
    unet.use_linear_in_transformer = true;
    unet.legacy = false;
    config.conditioning_key = ConditioningKey::Hybrid;
    config.low_scale = {.schedule = {.linear_start = 0.0001, .linear_end = 0.02}};
    config.schedule = config.low_scale->schedule;
    config.scale_factor = 0.08333;
    config.autoencoder.ch_mult = {1, 1, 1};
  }
  return test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config);
}

inline PictureSettings settings_of(const json& made) {
  PictureSettings settings;
  settings.width = made["family"] == "upscaler" ? 96 : 48;
  settings.height = made["family"] == "upscaler" ? 64 : 32;
  settings.sampler = made["sampler"];
  settings.steps = made["steps"];
  settings.scale = made["scale"];
  settings.negative_prompt = made["negative"];
  return settings;
}

// The fixture's cases whose family is one of these.
inline std::vector<json> cases_of(const std::vector<std::string>& families) {
  std::vector<json> found;
  for (const json& made : json::parse(fixture().metadata.at("cases"))) {
    const std::string family = made["family"];
    if (std::find(families.begin(), families.end(), family) != families.end()) {
      found.push_back(made);
    }
  }
  return found;
}

inline void expect_diffusers_pictures(const json& made, const Txt2ImgResult& result) {
  const std::string name = made["name"];
  test::expect_close(result.latents_BCHW, fixture().tensors.at(name + "/latents"), 5e-5, name);
  const Tensor want_pixels = fixture().tensors.at(name + "/pixels");
  ASSERT_EQ(static_cast<int64_t>(result.images.size()), want_pixels.size(0));
  for (size_t k = 0; k < result.images.size(); ++k) {
    const Image& image = result.images[k];
    const Tensor got = at::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                                     {image.height, image.width, 3}, at::kByte)
                           .clone();
    const Tensor want = want_pixels[static_cast<int64_t>(k)];
    ASSERT_EQ(got.sizes(), want.sizes());
    EXPECT_LE((got.to(at::kInt) - want.to(at::kInt)).abs().max().item<int>(), 3) << name;
  }
}

template <class Work>
std::string error_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

inline void expect_in(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
}

}  // namespace easel::test
