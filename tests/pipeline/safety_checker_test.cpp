#include "easel/pipeline/safety_checker.h"

#include <algorithm>
#include <fstream>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/checkpoint/weights.h>
#include <easel/io/tensor_file.h>
#include <easel/pipeline/run.h>

#include "tests/support/hashed_weights.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

using nlohmann::json;

const json& cases() {
  static const json read = [] {
    std::ifstream file(std::string(EASEL_TEST_DATA) + "/pipeline/safety_checker.json");
    return json::parse(file);
  }();
  return read;
}

// As scripts/fixtures/safety_checker.py draws it.
Image picture(int index) {
  Image image{.width = cases()["sizes"][static_cast<size_t>(index)][0],
              .height = cases()["sizes"][static_cast<size_t>(index)][1],
              .channels = 3,
              .pixels = {}};
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        image.pixels.push_back(
            static_cast<uint8_t>((90 * index + 5 * x + 3 * y * (c + 1) + 40 * c) % 256));
      }
    }
  }
  return image;
}

Tensors weights() {
  Tensors tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
    tensors[name] = test::hashed_tensor(name, shape);
  };
  const std::string vision = "vision_model.vision_model.";
  add(vision + "embeddings.class_embedding", {64});
  add(vision + "embeddings.patch_embedding.weight", {64, 3, 8, 8});
  add(vision + "embeddings.position_embedding.weight", {17, 64});
  const auto add_layer = [&](const std::string& name, int64_t out, int64_t in) {
    add(name + ".weight", {out, in});
    add(name + ".bias", {out});
  };
  const auto add_norm = [&](const std::string& name) {
    add(name + ".weight", {64});
    add(name + ".bias", {64});
  };
  for (const char* norm : {"pre_layrnorm", "post_layernorm"}) add_norm(vision + norm);
  for (int i = 0; i < 2; ++i) {
    const std::string layer = vision + "encoder.layers." + std::to_string(i) + ".";
    for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      add_layer(layer + "self_attn." + name, 64, 64);
    }
    add_layer(layer + "mlp.fc1", 96, 64);
    add_layer(layer + "mlp.fc2", 64, 96);
    add_norm(layer + "layer_norm1");
    add_norm(layer + "layer_norm2");
  }
  add("visual_projection.weight", {24, 64});
  add("concept_embeds", {17, 24});
  add("special_care_embeds", {3, 24});
  const auto thresholds = [&](const char* name) {
    return at::tensor(cases()[name].get<std::vector<double>>(), at::kFloat);
  };
  tensors["concept_embeds_weights"] = thresholds("concept_thresholds");
  tensors["special_care_embeds_weights"] = thresholds("special_thresholds");
  return tensors;
}

TEST(SafetyChecker, SaysWhatDiffusersSays) {
  const test::TempDir folder;
  write_safetensors(folder / "model.safetensors", weights(), {}, IfExists::Refuse);
  const auto checker = open_safety_checker(folder / "model.safetensors", "cpu");
  for (int k = 0; k < 3; ++k) {
    const auto i = static_cast<size_t>(k);
    const SafetyScores scores = safety_scores(*checker, picture(k));
    EXPECT_EQ(scores.unsafe(), cases()["unsafe"][i].get<bool>()) << k;
    double further = 0;
    for (size_t c = 0; c < scores.special_care.size(); ++c) {
      const double want = cases()["special_care"][i][c].get<double>() -
                          cases()["special_thresholds"][c].get<double>() + further;
      EXPECT_NEAR(scores.special_care[c], want, 6e-4) << k << " " << c;
      if (scores.special_care[c] > 0) further = 0.01;
    }
    EXPECT_EQ(further > 0, k == 1);
    ASSERT_EQ(scores.concepts.size(), 17u);
    for (size_t c = 0; c < scores.concepts.size(); ++c) {
      const double want = cases()["concepts"][i][c].get<double>() -
                          cases()["concept_thresholds"][c].get<double>() + further;
      EXPECT_NEAR(scores.concepts[c], want, 6e-4) << k << " " << c;
    }
  }
}

TEST(SafetyChecker, WithholdsPicturesOfARun) {
  const test::TempDir folder;
  const auto black_ones = [&](double threshold) {
    Tensors tensors = weights();
    tensors["concept_embeds_weights"].fill_(threshold);
    const auto path = folder / "checker.safetensors";
    write_safetensors(path, tensors, {}, IfExists::Replace);
    RunRequest request{.batches = {{"a cat", "a dog"}}, .settings = {}, .init = {}};
    request.settings.width = request.settings.height = 32;
    request.settings.steps = 1;
    request.safety_checker = open_safety_checker(path, "cpu");
    int num_black = 0;
    run_pictures(test::tiny_model(EASEL_CLIP_VOCABULARY), request,
                 {.log = {}, .on_step = {}, .on_picture = [&](RunPicture&& picture) {
                    const auto& pixels = picture.image.pixels;
                    const bool black = std::all_of(pixels.begin(), pixels.end(),
                                                   [](uint8_t sample) { return sample == 0; });
                    EXPECT_EQ(picture.withheld, black);
                    num_black += black ? 1 : 0;
                  }});
    return num_black;
  };
  EXPECT_EQ(black_ones(-2), 2);
  EXPECT_EQ(black_ones(2), 0);
}

TEST(SafetyChecker, RefusesOtherWeights) {
  const test::TempDir folder;
  const auto error_of = [&](const Tensors& tensors) {
    const auto path = folder / "other.safetensors";
    write_safetensors(path, tensors, {}, IfExists::Replace);
    try {
      open_safety_checker(path, "cpu");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(error_of({{"x", at::zeros({1})}}).find("safety checker"), std::string::npos);
  Tensors changed = weights();
  changed["concept_embeds"] = at::zeros({16, 24});
  EXPECT_NE(error_of(changed).find("do not fit"), std::string::npos);
  changed = weights();
  changed["vision_model.vision_model.encoder.layers.1.mlp.fc2.weight"] = at::zeros({64, 95});
  EXPECT_NE(error_of(changed).find("expected [64, 96]"), std::string::npos);
  changed = weights();
  changed.erase("visual_projection.weight");
  EXPECT_NE(error_of(changed).find("visual_projection.weight"), std::string::npos);
  EXPECT_THROW(open_safety_checker(folder / "none.safetensors", "cpu"), Error);
}

}  // namespace
}  // namespace easel
