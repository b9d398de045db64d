// Stable Diffusion 2: OpenCLIP's text encoder, its configs, and what a file is by its tensors.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/checkpoint/convert.h>
#include <easel/checkpoint/inspect.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/io/tensor_file.h>
#include <easel/nn/module.h>

#include "tests/support/checkpoints.h"
#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

const fs::path kConfigs = fs::path(EASEL_SOURCE_DIR) / "configs" / "stable-diffusion";

ModelConfig tiny_config() { return read_model_config(test::checkpoint_data() / "v2.yaml"); }

// A file as Stability's program writes it: all tensors of its own networks, and an autoencoder.
Tensors stability_file() {
  Tensors file;
  std::istringstream lines(test::read_all(test::checkpoint_data() / "v2.names"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    std::vector<int64_t> shape;
    for (int64_t size = 0; words >> size;) shape.push_back(size);
    file[name] = test::hashed_tensor(name, shape);
  }
  for (auto& [name, tensor] : test::compvis_model(tiny_config())) {
    if (name.starts_with("first_stage_model.")) file[name] = tensor;
  }
  return file;
}

template <class Module>
Module loaded(Module module, const Tensors& native, std::string_view prefix) {
  for (const auto& parameter : nn::named_parameters(module)) {
    *parameter.tensor = native.at(std::string(prefix) + parameter.name);
  }
  return module;
}

TEST(StableDiffusion2, NetworksGiveStabilitysOutputs) {
  const ModelConfig config = tiny_config();
  EXPECT_TRUE(config.open_clip);
  EXPECT_EQ(config.text_encoder.num_hidden_layers, 2);  // penultimate of 3
  std::vector<std::string> lines;
  const Tensors native =
      to_native(config, {{.tensors = stability_file(), .name = "m"}},
                [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  EXPECT_TRUE(lines.empty()) << lines.front();

  const auto json = nlohmann::json::parse(test::read_all(test::checkpoint_data() / "v2.json"));
  const auto tensor = [&](const char* key) {
    return at::tensor(json.at(key).get<std::vector<double>>(), at::kDouble).to(at::kFloat);
  };
  at::NoGradGuard no_grad;
  const UNet unet = loaded(UNet(config.unet), native, "unet.");
  const Tensor y = unet.forward(tensor("x").reshape({1, 4, 8, 8}), tensor("t"),
                                tensor("context").reshape({1, 3, 32}));
  test::expect_close(y, tensor("y").reshape(y.sizes()), 1e-4, "UNet");
  const ClipText text = loaded(ClipText(config.text_encoder), native, "text_encoder.");
  const Tensor z = text.forward(tensor("tokens").to(at::kLong).reshape({1, 77}));
  test::expect_close(z, tensor("text").reshape(z.sizes()), 1e-4, "text encoder");
}

TEST(StableDiffusion2, WhatDoesNotBelongIsStillAnError) {
  const auto error_of = [](const char* name) {
    Tensors file = stability_file();
    file[name] = at::zeros({1});
    return test::message_of<Error>(
        [&] { to_native(tiny_config(), {{.tensors = file, .name = "m"}}); });
  };
  EXPECT_NE(error_of("cond_stage_model.model.transformer.resblocks.3.ln_1.bias")
                .find("tensor is unexpected: cond_stage_model.model.transformer.resblocks.3"),
            std::string::npos);
  Tensors file = stability_file();
  file.erase("cond_stage_model.model.transformer.resblocks.1.attn.in_proj_bias");
  const std::string error =
      test::message_of<Error>([&] { to_native(tiny_config(), {{.tensors = file, .name = "m"}}); });
  EXPECT_NE(error.find("cond_stage_model.model.transformer.resblocks.1.attn.in_proj_bias"),
            std::string::npos)
      << error;
}

TEST(StableDiffusion2, ThereAndBackIsTheSame) {
  const ModelConfig config = tiny_config();
  const Tensors file = stability_file();
  const Tensors native = to_native(config, {{.tensors = file, .name = "m"}});
  const Tensors back = from_native(config, native, WeightLayout::CompVis);
  for (const auto& [name, tensor] : back) {
    ASSERT_TRUE(file.contains(name)) << name;
    EXPECT_TRUE(at::equal(tensor, file.at(name))) << name;
  }
  // All but the last layer, the projection and the scale of the logits.
  EXPECT_EQ(file.size() - back.size(), 12u + 2u);
  EXPECT_EQ(to_native(config, {{.tensors = back, .name = "m"}}).size(), native.size());
}

TEST(StableDiffusion2, ConfigsHaveThePublishedSizes) {
  for (const auto& [name, in_channels, parameterization] :
       {std::tuple("v2-inference.yaml", 4, Parameterization::Eps),
        std::tuple("v2-inference-v.yaml", 4, Parameterization::V),
        std::tuple("v2-inpainting-inference.yaml", 9, Parameterization::Eps),
        std::tuple("v2-depth-inference.yaml", 5, Parameterization::Eps)}) {
    const ModelConfig config = read_model_config(kConfigs / name);
    EXPECT_EQ(config.unet.in_channels, in_channels);
    EXPECT_EQ(config.parameterization, parameterization) << name;
    EXPECT_EQ(config.text_encoder.hidden_act, "gelu");
    std::map<std::string, int64_t> counts;
    for (const KeyRule& rule : key_rules(config, WeightLayout::CompVis)) {
      int64_t count = 1;
      for (const int64_t size : rule.shape) count *= size;
      counts[rule.native.substr(0, rule.native.find('.'))] += count;
    }
    EXPECT_EQ(counts["unet"], 865'910'724 + (in_channels - 4) * 320 * 9) << name;
    EXPECT_EQ(counts["text_encoder"], 340'387'840) << name;
    const std::string text = compvis_config_text(config);
    EXPECT_EQ(compvis_config_text(parse_model_config(text, "x")), text);
    EXPECT_EQ(text.find("hidden_size"), std::string::npos) << "Stability's class has no such field";
  }
}

TEST(StableDiffusion2, TheUpscalerHasItsPublishedSizes) {
  const ModelConfig config = read_model_config(kConfigs / "x4-upscaling.yaml");
  EXPECT_TRUE(is_upscaler(config));
  EXPECT_EQ(config.low_scale->max_level, 350);
  EXPECT_EQ(config.autoencoder.downsampling(), 4);
  std::map<std::string, int64_t> counts;
  for (const KeyRule& rule : key_rules(config, WeightLayout::CompVis)) {
    int64_t count = 1;
    for (const int64_t size : rule.shape) count *= size;
    counts[rule.native.substr(0, rule.native.find('.'))] += count;
  }
  EXPECT_EQ(counts["unet"], 473'398'020);
  EXPECT_EQ(counts["vae"], 55'325'927);
  const std::string text = compvis_config_text(config);
  EXPECT_EQ(compvis_config_text(parse_model_config(text, "x")), text);
  EXPECT_NE(text.find("conditioning_key: hybrid-adm"), std::string::npos);

  const auto expect_error = [&](const std::string& from, const std::string& to,
                                const std::string& part) {
    std::string wrong = text;
    wrong.replace(wrong.find(from), from.size(), to);
    const std::string error = test::message_of<Error>([&] { parse_model_config(wrong, "x"); });
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  expect_error("max_noise_level: 350", "max_noise_level: 1000", "max_noise_level is 1000");
  expect_error("in_channels: 7", "in_channels: 9", "takes 7 channels");
  expect_error("[true,true,true,false]", "[true,false]", "disable_self_attentions has 2 values");
  expect_error("ImageConcatWithNoiseAugmentation", "ImageConcat", "unknown");
}

TEST(StableDiffusion2, TheUpscalerGoesThroughDiffusersFolder) {
  ModelConfig config = test::tiny_config();
  config.unet.in_channels = 7;
  config.unet.num_classes = 1000;
  config.unet.legacy = false;
  config.unet.disable_self_attentions = {true, false};
  config.conditioning_key = ConditioningKey::Hybrid;
  config.low_scale = {.schedule = {.linear_start = 0.0001, .linear_end = 0.02}, .max_level = 99};
  config.autoencoder.ch_mult = {1, 1, 1};
  const auto files = diffusers_config_files(config);
  test::TempDir folder;
  for (const auto& [name, text] : files) {
    fs::create_directories((folder / name).parent_path());
    folder.write(name, text);
  }
  const ModelConfig back = read_diffusers_config(folder.path());
  EXPECT_EQ(back.unet.disable_self_attentions, config.unet.disable_self_attentions);
  EXPECT_EQ(back.low_scale->max_level, 99);
  EXPECT_EQ(back.low_scale->schedule.linear_end, 0.02);
  EXPECT_EQ(compvis_config_text(back), compvis_config_text(config));
}

TEST(StableDiffusion2, StabilitysOwnConfigIsRead) {
  std::string text = test::read_all(kConfigs / "v2-inference-v.yaml");
  const size_t at = text.find("        use_checkpoint");
  text.insert(at, "        use_fp16: True\n");
  EXPECT_TRUE(parse_model_config(text, "x").open_clip);
  const auto error_with = [&](const std::string& to) {
    std::string changed = text;
    changed.replace(changed.find("penultimate"), std::string("penultimate").size(), to);
    return test::message_of<Error>([&] { parse_model_config(changed, "x"); });
  };
  EXPECT_NE(error_with("pooled").find("unknown layer 'pooled'"), std::string::npos);
  EXPECT_NE(error_with("last\n        arch: ViT-L-14").find("ViT-H-14"), std::string::npos);
}

TEST(StableDiffusion2, ConversionsKeepWhatItIs) {
  test::TempDir folder;
  const Tensors file = stability_file();
  fs::copy_file(test::checkpoint_data() / "v2.yaml", folder / "m.yaml");
  write_torch_file(folder / "m.ckpt", file, true, IfExists::Refuse);
  // The vocabulary of CLIP's size that the conversion needs: pairs, then triples.
  std::string bpe = "#version: 0.2\n";
  int left = 48894;
  for (const bool triples : {false, true}) {
    for (char x = '!'; x <= '~'; ++x) {
      for (char y = '!'; y <= '~'; ++y) {
        if (!triples) bpe += fmt::format("{} {}\n", x, y), --left;
        for (char z = '!'; triples && z <= '~' && left > 0; ++z, --left) {
          bpe += fmt::format("{}{} {}\n", x, y, z);
        }
      }
    }
  }
  test::write_all(folder / "bpe.txt", bpe);
  ConvertOptions options;
  options.vocabulary = folder / "bpe.txt";
  convert(folder / "m.ckpt", folder / "diffusers", options);
  const ModelConfig config = read_diffusers_config(folder / "diffusers");
  EXPECT_TRUE(config.open_clip);
  EXPECT_EQ(config.parameterization, Parameterization::V);
  EXPECT_EQ(config.unet.num_head_channels, 16);
  EXPECT_TRUE(config.unet.use_linear_in_transformer);
  EXPECT_EQ(config.text_encoder.num_hidden_layers, 2);
  convert(folder / "diffusers", folder / "back.safetensors", options);
  const Tensors back = read_tensor_file(folder / "back.safetensors").tensors;
  for (const auto& [name, tensor] : back) EXPECT_TRUE(at::equal(tensor, file.at(name))) << name;
  EXPECT_EQ(compvis_config_text(read_model_config(folder / "back.yaml")),
            compvis_config_text(tiny_config()));

  LoadOptions load_options;
  load_options.vocabulary = options.vocabulary;
  for (const char* name : {"m.ckpt", "diffusers", "back.safetensors"}) {
    const StableDiffusion model = load(folder / name, load_options);
    EXPECT_EQ(model.tokenizer.pad(), 0) << name;
    EXPECT_EQ(model.tokenizer.encode("a b").back(), 0) << name;
  }
}

// ---- What a file is by itself
// --------------------------------------------------------------------

struct Kind {
  const char* name;
  int64_t context, in_channels;
  double deviation;  // of the bias that tells v from eps
  std::vector<std::string> entries;
  std::map<std::string, std::string> metadata;
  Parameterization parameterization;
  int64_t image_size;
};

TEST(StableDiffusion2, IsKnownByTheFileItself) {
  using P = Parameterization;
  const std::vector<Kind> kinds{
      {"v1", 768, 4, 0.2, {}, {}, P::Eps, 64},
      {"v1_inpainting", 768, 9, 0.2, {}, {}, P::Eps, 64},
      {"v1_v", 768, 4, 0.0, {"v_pred", "ztsnr"}, {}, P::V, 64},
      {"v2_base", 1024, 4, 0.05, {}, {}, P::Eps, 64},
      {"v2_v", 1024, 4, 0.12, {}, {}, P::V, 96},
      {"v2_says_v", 1024, 4, 0.05, {}, {{"modelspec.prediction_type", "v"}}, P::V, 96},
      {"v2_says_eps", 1024, 4, 0.12, {}, {{"modelspec.prediction_type", "epsilon"}}, P::Eps, 64},
      {"v2_inpainting", 1024, 9, 0.12, {}, {}, P::Eps, 64},
      {"v2_depth", 1024, 5, 0.12, {}, {}, P::Eps, 64},
      {"v2_upscaler", 1024, 7, 0.12, {}, {}, P::V, 128},
  };
  test::TempDir folder;
  LoadOptions options;
  options.default_config = kConfigs / "v1-inference.yaml";
  for (const bool diffusers : {false, true}) {
    for (const Kind& kind : kinds) {
      const std::string prefix = diffusers ? "unet." : "model.diffusion_model.";
      const auto name = [&](const char* compvis, const char* native) {
        return prefix + (diffusers ? native : compvis);
      };
      Tensors file;
      file[name("input_blocks.0.0.weight", "conv_in.weight")] =
          at::zeros({2, kind.in_channels, 3, 3});
      // The upscaler has no attention at its largest maps.
      file[kind.in_channels == 7
               ? name("middle_block.1.transformer_blocks.0.attn2.to_k.weight",
                      "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight")
               : name("input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
                      "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight")] =
          at::zeros({2, kind.context});
      file[name("output_blocks.11.1.transformer_blocks.0.norm1.bias",
                "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias")] =
          at::tensor({kind.deviation, -kind.deviation}).to(at::kHalf);
      file[diffusers ? "vae.quant_conv.bias" : "first_stage_model.quant_conv.bias"] =
          at::zeros({8});
      for (const std::string& entry : kind.entries) file[entry] = at::zeros({1});
      const fs::path path =
          folder / fmt::format("{}_{}.safetensors", kind.name, diffusers ? "diffusers" : "compvis");
      write_safetensors(path, file, kind.metadata, IfExists::Refuse);
      const ModelConfig config = find_model_config(path, options);
      EXPECT_EQ(config.unet.context_dim, kind.context) << path;
      EXPECT_EQ(config.unet.in_channels, kind.in_channels) << path;
      EXPECT_EQ(config.parameterization, kind.parameterization) << path;
      EXPECT_EQ(config.image_size, kind.image_size) << path;
      EXPECT_EQ(config.schedule.zero_terminal_snr, kind.entries.size() == 2) << path;

      const std::string text = summary_text(inspect(path, {.hashes = false}));
      EXPECT_NE(text.find(kind.context == 1024 ? "family          Stable Diffusion 2"
                                               : "family          Stable Diffusion 1"),
                std::string::npos)
          << text;
      LoadOptions other = options;
      other.parameterization = P::X0;
      EXPECT_EQ(find_model_config(path, other).parameterization, P::X0);
    }
  }
  LoadOptions alone;  // a default config without the others beside it
  fs::copy_file(kConfigs / "v1-inference.yaml", folder / "v1-inference.yaml");
  alone.default_config = folder / "v1-inference.yaml";
  const std::string error = test::message_of<Error>(
      [&] { find_model_config(folder / "v2_v_compvis.safetensors", alone); });
  EXPECT_NE(error.find("is Stable Diffusion 2 that predicts v, and there is no"), std::string::npos)
      << error;
}

}  // namespace
}  // namespace easel
