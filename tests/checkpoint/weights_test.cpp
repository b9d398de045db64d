#include "easel/checkpoint/weights.h"

#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/models/unet.h>
#include <easel/nn/module.h>

#include "tests/support/checkpoints.h"
#include "tests/support/compare.h"

namespace easel {
namespace {

using test::checkpoint_data;
using test::compvis_model;

constexpr const char* kCases[] = {"v1", "plain", "plain-new-order", "resblock-updown",
                                  "legacy-head-channels"};

ModelConfig config_of(const std::string& name) {
  return read_model_config(checkpoint_data() / (name + ".yaml"));
}

std::vector<std::vector<std::string>> read_lines(const std::filesystem::path& path) {
  std::istringstream text(test::read_all(path));
  std::vector<std::vector<std::string>> lines;
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    lines.emplace_back(std::istream_iterator<std::string>(words),
                       std::istream_iterator<std::string>());
  }
  return lines;
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class Configs : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Weights, Configs, testing::ValuesIn(kCases), [](const auto& test_case) {
  std::string name = test_case.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(Configs, CompvisNamesAndShapesAreThoseOfCompvis) {
  const ModelConfig config = config_of(GetParam());
  const Tensors model = compvis_model(config);
  std::set<std::string> expected;
  for (const auto& words : read_lines(checkpoint_data() / (std::string(GetParam()) + ".names"))) {
    expected.insert(words[0]);
    std::vector<int64_t> shape;
    for (size_t i = 1; i < words.size(); ++i) shape.push_back(std::stoll(words[i]));
    const auto found = model.find(words[0]);
    ASSERT_NE(found, model.end()) << words[0];
    EXPECT_EQ(found->second.sizes().vec(), shape) << words[0];
  }
  for (const auto& [name, tensor] : model) {
    if (name.starts_with("cond_stage_model.")) continue;
    EXPECT_TRUE(expected.contains(name)) << name << " is not in CompVis's state_dict";
  }
}

TEST_P(Configs, RulesAreABijectionWithTheParameters) {
  const ModelConfig config = config_of(GetParam());
  std::set<std::string> native, parameters;
  std::map<std::string, std::set<int>> foreign;
  for (const KeyRule& rule : key_rules(config, WeightLayout::CompVis)) {
    EXPECT_TRUE(native.insert(rule.native).second) << rule.native;
    EXPECT_TRUE(foreign[rule.foreign].insert(rule.part).second) << rule.foreign;
  }
  for (const auto& [name, parts] : foreign) {
    EXPECT_TRUE(parts == std::set<int>{-1} || parts == (std::set<int>{0, 1, 2})) << name;
  }
  const UNet unet(config.unet);
  for (const auto& parameter : nn::named_parameters(unet))
    parameters.insert("unet." + parameter.name);
  const Autoencoder vae(config.autoencoder);
  for (const auto& parameter : nn::named_parameters(vae))
    parameters.insert("vae." + parameter.name);
  const ClipText clip(config.text_encoder);
  for (const auto& parameter : nn::named_parameters(clip)) {
    parameters.insert("text_encoder." + parameter.name);
  }
  EXPECT_EQ(native, parameters);
}

TEST_P(Configs, ThereAndBackIsTheSame) {
  const ModelConfig config = config_of(GetParam());
  const Tensors model = compvis_model(config);
  const Tensors native = to_native(config, {{.tensors = model, .name = "model"}});
  const Tensors back = from_native(config, native, WeightLayout::CompVis);
  ASSERT_EQ(back.size(), model.size());
  for (const auto& [name, tensor] : model) EXPECT_TRUE(at::equal(tensor, back.at(name))) << name;
}

TEST_P(Configs, UNetGivesCompvisOutput) {
  const ModelConfig config = config_of(GetParam());
  Tensors native = to_native(config, {{.tensors = compvis_model(config), .name = "model"}});
  UNet unet(config.unet);
  for (const auto& parameter : nn::named_parameters(unet)) {
    *parameter.tensor = native.at("unet." + parameter.name);
  }
  const auto json = nlohmann::json::parse(
      test::read_all(checkpoint_data() / (std::string(GetParam()) + ".json")));
  const auto tensor = [&](const char* key) {
    const auto values = json.at(key).get<std::vector<double>>();
    return at::tensor(values, at::kDouble).to(at::kFloat);
  };
  Tensor context = tensor("context");
  context = context.numel() == 0 ? Tensor() : context.reshape({1, 3, -1});
  const Tensor y = unet.forward(tensor("x").reshape({1, -1, 8, 8}), tensor("t"), context);
  test::expect_close(y, tensor("y").reshape({1, -1, 8, 8}));
}

TEST(Weights, NamesAreThoseOfDiffusersConverter) {
  std::map<std::string, std::string> rules;
  for (const KeyRule& rule : key_rules(config_of("v1"), WeightLayout::CompVis)) {
    if (!rule.native.starts_with("text_encoder.")) rules[rule.foreign] = rule.native;
  }
  const auto lines = read_lines(checkpoint_data() / "v1.diffusers");
  EXPECT_EQ(lines.size(), rules.size());
  for (const auto& words : lines) EXPECT_EQ(rules[words[0]], words[1]) << words[0];
}

TEST(Weights, OneErrorListsMissingMisshapenUnexpectedAndIntegerTensors) {
  const ModelConfig config = config_of("v1");
  Tensors model = compvis_model(config);
  model.erase("model.diffusion_model.out.2.bias");
  model["first_stage_model.quant_conv.weight"] = at::zeros({8, 4, 1, 1});
  model["model.diffusion_model.input_blocks.0.0.bias"] = at::zeros({32}, at::kInt);
  model["model.diffusion_model.novelty"] = at::zeros({1});
  const std::string error =
      error_of([&] { to_native(config, {{.tensors = model, .name = "bad.ckpt"}}); });
  for (const char* piece :
       {"bad.ckpt", "model.diffusion_model.out.2.bias", "first_stage_model.quant_conv.weight",
        "[8, 4, 1, 1]", "[8, 8, 1, 1]", "input_blocks.0.0.bias int32", "novelty"}) {
    EXPECT_NE(error.find(piece), std::string::npos) << piece << " in: " << error;
  }
}

TEST(Weights, LongListsAreCapped) {
  const ModelConfig config = config_of("v1");
  Tensors model = compvis_model(config);
  std::erase_if(model, [](const auto& entry) {
    return entry.first.find("input_blocks") != std::string::npos;
  });
  const std::string error = error_of([&] { to_native(config, {{.tensors = model, .name = "m"}}); });
  EXPECT_NE(error.find("tensors are missing"), std::string::npos) << error;
  EXPECT_NE(error.find("more"), std::string::npos) << error;
  EXPECT_LT(error.size(), 2000u);
}

TEST(Weights, AMissingPartIsNamedAsAWhole) {
  const ModelConfig config = config_of("v1");
  Tensors model = compvis_model(config);
  std::erase_if(model,
                [](const auto& entry) { return entry.first.starts_with("first_stage_model."); });
  const std::string error = error_of([&] { to_native(config, {{.tensors = model, .name = "m"}}); });
  EXPECT_NE(error.find("the whole autoencoder is missing"), std::string::npos) << error;
}

TEST(Weights, HarmlessExtrasAreIgnoredAndForeignOnesMentioned) {
  const ModelConfig config = config_of("v1");
  Tensors model = compvis_model(config);
  model["betas"] = at::zeros({1000});
  model["model_ema.decay"] = at::zeros({});
  model["cond_stage_model.transformer.text_model.embeddings.position_ids"] =
      at::zeros({1, 77}, at::kLong);
  std::vector<std::string> lines;
  const Log log = [&](LogLevel, std::string_view line) { lines.emplace_back(line); };
  to_native(config, {{.tensors = model, .name = "m"}}, log);
  EXPECT_TRUE(lines.empty()) << lines.front();
  model["control_model.zero_convs.0.0.weight"] = at::zeros({1});
  model["embedding_manager.x"] = at::zeros({1});
  to_native(config, {{.tensors = model, .name = "m"}}, log);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("control_model.* (1), embedding_manager.* (1)"), std::string::npos)
      << lines[0];
}

TEST(Weights, ConvolutionsAndLinearLayersOfOneKernelAreTakenForEachOther) {
  const ModelConfig config = config_of("v1");
  const Tensors model = compvis_model(config);
  const Tensors expected = to_native(config, {{.tensors = model, .name = "m"}});
  Tensors other = model;
  for (auto& [name, tensor] : other) {
    if (name.find("mid.attn_1") != std::string::npos && tensor.dim() == 4)
      tensor = tensor.flatten(1);
    if (name.ends_with("proj_in.weight")) tensor = tensor.flatten(1);
  }
  const Tensors got = to_native(config, {{.tensors = other, .name = "m"}});
  for (const auto& [name, tensor] : expected) EXPECT_TRUE(at::equal(tensor, got.at(name))) << name;
}

TEST(Weights, EmaTakesTheUNetsPlace) {
  const ModelConfig config = config_of("v1");
  Tensors model = compvis_model(config);
  Tensors without = model;
  EXPECT_NE(error_of([&] { take_ema(without, "m"); }).find("no averaged weights"),
            std::string::npos);
  for (const auto& [name, tensor] : Tensors(model)) {
    if (!name.starts_with("model.diffusion_model.")) continue;
    std::string flat = name.substr(6);
    std::erase(flat, '.');
    model["model_ema." + flat] = tensor + 1;
  }
  Tensors averaged = model;
  take_ema(averaged, "m");
  const std::string name = "model.diffusion_model.middle_block.1.proj_in.weight";
  EXPECT_TRUE(at::equal(averaged.at(name), model.at(name) + 1));
  model.erase("model_ema.diffusion_modelout2bias");
  EXPECT_NE(error_of([&] { take_ema(model, "m"); }).find("model_ema.diffusion_modelout2bias"),
            std::string::npos);
}

TEST(Weights, OlderSpellingsAreUnderstood) {
  const ModelConfig config = config_of("v1");
  const Tensors native = to_native(config, {{.tensors = compvis_model(config), .name = "m"}});
  Tensors old;
  for (const auto& [name, tensor] : native) {
    std::string renamed = name;
    const auto replace = [&](const std::string& from, const std::string& to) {
      if (const size_t at = renamed.find(from); at != std::string::npos)
        renamed.replace(at, from.size(), to);
    };
    if (name.starts_with("vae.")) {
      replace(".to_q.", ".query.");
      replace(".to_k.", ".key.");
      replace(".to_v.", ".value.");
      replace(".to_out.0.", ".proj_attn.");
    }
    replace("text_encoder.text_model.", "text_encoder.");
    old[renamed] = tensor;
  }
  EXPECT_TRUE(old.contains("vae.decoder.mid_block.attentions.0.query.weight"));
  EXPECT_TRUE(old.contains("text_encoder.final_layer_norm.bias"));
  canonicalize(old, WeightLayout::Diffusers);
  EXPECT_EQ(old.size(), native.size());
  for (const auto& [name, tensor] : native) EXPECT_TRUE(old.contains(name)) << name;
}

TEST(Weights, NotFiniteNumbersAreFoundInEveryType) {
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble}) {
    for (const double bad : {NAN, INFINITY, -INFINITY}) {
      Tensors tensors{{"fine", at::full({3, 5}, -65000.0).to(dtype)},
                      {"bad", at::zeros({1001}).to(dtype)}};
      check_finite(tensors, "m");
      tensors["bad"][1000] = bad;
      const std::string error = error_of([&] { check_finite(tensors, "m.ckpt"); });
      EXPECT_NE(error.find("m.ckpt: 1 tensor holds NaN or infinity: bad"), std::string::npos)
          << error;
    }
  }
}

TEST(Weights, NumbersBeyondFloat16AreFound) {
  Tensors tensors{{"a", at::full({2}, 65519.0f)}};
  check_finite(tensors, "m", at::kHalf);
  tensors["a"][0] = 65520.0f;
  check_finite(tensors, "m", at::kBFloat16);
  EXPECT_NE(error_of([&] { check_finite(tensors, "m", at::kHalf); }).find("float16's range: a"),
            std::string::npos);
  EXPECT_TRUE(at::isinf(at::tensor({65520.0f}).to(at::kHalf)).item<bool>());
  EXPECT_FALSE(at::isinf(at::tensor({65519.0f}).to(at::kHalf)).item<bool>());
}

}  // namespace
}  // namespace easel
