#include "easel/train/lora.h"

#include <algorithm>
#include <fstream>

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/checkpoint/lora.h>
#include <easel/nn/autocast.h>

#include "tests/support/tiny_adapter.h"

namespace easel {
namespace {

using nlohmann::json;
using test::expect_close;
using test::FineTuning;
using test::FineTuningTask;
using test::hashed_tensor;

constexpr const char* kAttention = "lora_config: {rank: 4, alpha: 2}";
constexpr const char* kEverything =
    "lora_config: {rank: 4, alpha: 8, text_encoder: true, target_modules: [to_q, to_k, to_v, "
    "to_out.0, proj_in, proj_out, ff.net.0.proj, ff.net.2, conv1, conv2, conv_shortcut, "
    "time_emb_proj, q_proj, k_proj, v_proj, out_proj, fc1, fc2]}";

std::shared_ptr<StableDiffusion> shared_tiny_model() {
  const ModelConfig config = test::tiny_config();
  return std::make_shared<StableDiffusion>(test::tiny_model(
      Tokenizer(SentencePieceTokenizer::from_file(EASEL_TEST_DATA "/sentencepiece/unigram.model")),
      at::kFloat, config));
}

// The LoRA of a case of scripts/fixtures/adapters.py, its updates hashed tensors of their names.
Adapter hashed_lora(const json& wanted, const std::shared_ptr<StableDiffusion>& model) {
  LoraOptions options{.rank = wanted.at("rank"),
                      .alpha = wanted.at("alpha"),
                      .target_modules = wanted.at("targets"),
                      .text_encoder = wanted.at("text"),
                      .layout = wanted.at("layout")};
  Adapter adapter = make_lora(options, model, 1);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : adapter.parameters) {
    tensor->copy_(hashed_tensor(name, tensor->sizes()));
  }
  return adapter;
}

TEST(Lora, GivesWhatDiffusersGivesWithTheFile) {
  const at::NoGradGuard no_grad;
  const auto cases =
      json::parse(std::ifstream(std::string(EASEL_TEST_DATA) + "/adapters/lora.json"));
  const auto outputs = read_safetensors(EASEL_TEST_DATA "/adapters/lora.safetensors").tensors;
  ASSERT_EQ(cases.size(), 4u);
  for (const json& wanted : cases) {
    const std::string name = wanted.at("name");
    const auto model = shared_tiny_model();
    const Adapter adapter = hashed_lora(wanted, model);
    adapter.apply();
    const Tensor tokens = at::tensor({49406, 320, 1125, 539, 320, 49407}, at::kLong).unsqueeze(0);
    expect_close(model->text_encoder.forward(tokens), outputs.at(name + "/text"), 1e-5, name);
    const Tensor got =
        model->unet.forward(hashed_tensor("x", {2, 4, 8, 8}), at::tensor({3.0F, 700.0F}),
                            hashed_tensor("context", {2, 7, 32}));
    expect_close(got, outputs.at(name + "/unet"), 1e-5, name);
  }
}

TEST(Lora, NamesTensorsAndMetadataAsTheFilesThatDiffusersLoads) {
  const auto cases =
      json::parse(std::ifstream(std::string(EASEL_TEST_DATA) + "/adapters/lora.json"));
  for (const json& wanted : cases) {
    const Adapter adapter = hashed_lora(wanted, shared_tiny_model());
    std::string listing;
    const auto saved = adapter.weights(nullptr);
    for (const auto& [name, tensor] : saved) {
      std::vector<std::string> sizes;
      for (const int64_t size : tensor.sizes()) sizes.push_back(std::to_string(size));
      listing +=
          (listing.empty() ? "" : "\n") + name + " " + fmt::format("{}", fmt::join(sizes, ","));
    }
    EXPECT_EQ(saved.size(), wanted.at("num_tensors").get<size_t>());
    EXPECT_EQ(std::to_string(test::hashed_seed(listing)), wanted.at("names").get<std::string>())
        << listing;
    const auto metadata = wanted.at("metadata").get<std::map<std::string, std::string>>();
    if (wanted.at("layout") == "kohya") {
      EXPECT_EQ(adapter.metadata, metadata);
      continue;
    }
    ASSERT_EQ(adapter.metadata.size(), 1u);
    const auto sorted = [](const std::string& text) {
      json config = json::parse(text);
      for (auto& [key, value] : config.items()) {
        if (value.is_array()) std::sort(value.begin(), value.end());
      }
      return config;
    };
    EXPECT_EQ(sorted(adapter.metadata.begin()->second), sorted(metadata.begin()->second));
  }
}

TEST(Lora, LearnsFourPicturesWithTheModelAsItWas) {
  for (const char* params : {kAttention, kEverything}) {
    const FineTuning material(params);
    FineTuningTask tuning(material.config());
    const auto before = tuning.weights();
    const std::vector<double> losses = tuning.learn(40, 5e-3);
    EXPECT_LT(losses.back(), 0.7 * losses.front());
    // Weights that were learnt differ, and only they do.
    const auto names = tuning.task.weights(nullptr);
    tuning.loss();
    size_t num_changed = 0;
    for (const auto& [name, tensor] : tuning.weights()) {
      num_changed += tensor.equal(before.at(name)) ? 0 : 1;
    }
    EXPECT_EQ(3 * num_changed, names.size());
    // Without the update the model is, bit for bit, the one from before.
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : tuning.task.groups[0].parameters) {
      if (name.ends_with("lora_up.weight")) tensor->zero_();
    }
    tuning.loss();
    for (const auto& [name, tensor] : tuning.weights()) {
      EXPECT_TRUE(tensor.equal(before.at(name))) << name;
    }
  }
}

TEST(Lora, TheFileMergedByHandGivesTheTrainedWeights) {
  for (const std::string layout : {"kohya", "diffusers"}) {
    const FineTuning material(kEverything);
    FineTuningTask tuning(material.config({"model.params.lora_config.layout=" + layout}));
    auto merged = tuning.weights();
    tuning.learn(5, 1e-2);
    tuning.loss();
    const auto file = material.dir() / "lora.safetensors";
    write_safetensors(file, tuning.task.weights(nullptr), tuning.task.metadata, IfExists::Refuse);
    const TensorFile saved = read_safetensors(file);
    size_t num_used = 0;
    for (auto& [name, weight] : merged) {
      if (!name.ends_with(".weight")) continue;
      std::string key = name.substr(0, name.size() - 7);
      if (layout == "kohya") {
        std::replace(key.begin(), key.end(), '.', '_');
        key = (key.starts_with("unet_") ? "lora_unet" : "lora_te") +
              key.substr(key.starts_with("unet_") ? 4 : 12);
      }
      const std::string down = key + (layout == "kohya" ? ".lora_down.weight" : ".lora_A.weight");
      const std::string up = key + (layout == "kohya" ? ".lora_up.weight" : ".lora_B.weight");
      if (!saved.tensors.contains(down)) continue;
      ++num_used;
      const Tensor& a = saved.tensors.at(down);
      const double scale =
          layout == "kohya" ? saved.tensors.at(key + ".alpha").item<double>() / 4 : 8.0 / 4;
      weight = weight +
               scale * at::mm(saved.tensors.at(up).flatten(1), a.flatten(1)).view(weight.sizes());
    }
    EXPECT_EQ(num_used * (layout == "kohya" ? 3 : 2), saved.tensors.size());
    for (const auto& [name, tensor] : tuning.weights()) {
      expect_close(tensor, merged.at(name), 1e-6, name);
    }
  }
}

TEST(Lora, TheFileAppliedToTheModelGivesTheTrainedWeights) {
  for (const std::string layout : {"kohya", "diffusers"}) {
    const FineTuning material(kEverything);
    const TrainConfig config = material.config({"model.params.lora_config.layout=" + layout});
    FineTuningTask tuning(config);
    tuning.learn(5, 1e-2);
    tuning.loss();
    const auto file = material.dir() / "lora.safetensors";
    write_safetensors(file, tuning.task.weights(nullptr), tuning.task.metadata, IfExists::Refuse);
    const FineTuningTask fresh(config);
    const StableDiffusion drawn_with = with_loras(*fresh.model, {{.file = file}});
    const auto trained = tuning.weights();
    const auto compare = [&](const std::string& part, const auto& network) {
      for (const auto& [name, tensor] : nn::named_parameters(network)) {
        expect_close(*tensor, trained.at(part + name), 1e-6, part + name);
      }
    };
    compare("unet.", drawn_with.unet);
    compare("text_encoder.", drawn_with.text_encoder);
  }
}

TEST(Lora, StartsAsTheModelAndAsTheSeedDecides) {
  const auto model = shared_tiny_model();
  const auto values = [&](uint64_t seed) {
    const Adapter adapter = make_lora({.rank = 2, .alpha = 2, .target_modules = {}}, model, seed);
    std::map<std::string, Tensor> copies;
    for (const auto& [name, tensor] : adapter.parameters) copies[name] = tensor->detach().clone();
    return copies;
  };
  const auto first = values(1);
  const auto again = values(1);
  const auto other = values(2);
  for (const auto& [name, tensor] : first) {
    EXPECT_TRUE(tensor.equal(again.at(name))) << name;
    if (name.ends_with("lora_up.weight")) {
      EXPECT_TRUE(tensor.eq(0).all().item<bool>()) << name;
      continue;
    }
    EXPECT_FALSE(tensor.equal(other.at(name))) << name;
    // kaiming_uniform with a = sqrt(5): within 1 / sqrt(fan_in), variance 1 / (3 fan_in).
    const double bound = 1 / std::sqrt(static_cast<double>(tensor.size(1)));
    EXPECT_LE(tensor.abs().max().item<double>(), bound) << name;
    EXPECT_GT(tensor.abs().max().item<double>(), 0.8 * bound) << name;
  }
}

TEST(Lora, ActivationCheckpointingGivesTheSameGradients) {
  const FineTuning material(kEverything);
  const auto gradients = [&](bool use_checkpoint) {
    FineTuningTask tuning(material.config(), use_checkpoint);
    tuning.learn(1, 1e-2);  // else every gradient of down is zero
    at::manual_seed(1);
    tuning.loss().backward();
    std::map<std::string, Tensor> found;
    for (const auto& [name, tensor] : tuning.task.groups[0].parameters) {
      found[name] = tensor->grad();
    }
    return found;
  };
  const auto plain = gradients(false);
  const auto recomputed = gradients(true);
  for (const auto& [name, gradient] : plain) {
    ASSERT_TRUE(gradient.defined() && recomputed.at(name).defined()) << name;
    EXPECT_GT(gradient.abs().max().item<double>(), 0) << name;
    EXPECT_TRUE(gradient.equal(recomputed.at(name))) << name;
  }
}

TEST(Lora, WeightsStayInFloat32UnderAutocast) {
  const FineTuning material(kEverything);
  FineTuningTask tuning(material.config());
  tuning.learn(2, 1e-2);
  tuning.loss();
  const auto exact = tuning.weights();
  Tensor loss;
  {
    const nn::Autocast autocast(at::kCPU, at::kBFloat16);
    loss = tuning.loss();
    for (const auto& [name, tensor] : tuning.weights()) {
      EXPECT_TRUE(tensor.equal(exact.at(name))) << name;
    }
  }
  loss.backward();
  for (const auto& [name, tensor] : tuning.task.groups[0].parameters) {
    EXPECT_GT(tensor->grad().abs().max().item<double>(), 0) << name;
  }
}

TEST(Lora, ResumesBitForBit) {
  const FineTuning material(kEverything);
  const std::vector<std::string> overrides{"model.params.use_ema=true",
                                           "model.params.monitor=val/loss_simple_ema",
                                           "lightning.trainer.accumulate_grad_batches=2"};
  const auto whole = material.run("whole", overrides);
  const auto parts = material.run("parts", overrides, {.stop = [] { return true; }});
  EXPECT_EQ(read_safetensors(parts / "checkpoints/last.state").metadata.at("step"), "1");
  material.resume("parts");
  test::expect_same_run(parts, whole);
  const TensorFile saved = read_safetensors(whole / "checkpoints/last.safetensors");
  EXPECT_EQ(saved.metadata.at("ss_network_dim"), "4");
  EXPECT_EQ(saved.metadata.at("ss_network_alpha"), "8");
  EXPECT_EQ(saved.metadata.at("ss_network_module"), "networks.lora");
  EXPECT_TRUE(saved.tensors.contains(
      "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight"));
  // The averages are saved, not the last weights.
  const TensorFile state = read_safetensors(whole / "checkpoints/last.state");
  const std::string key = "lora_unet_mid_block_resnets_0_conv1.lora_up.weight";
  const std::string name = "unet.mid_block.resnets.0.conv1.lora_up.weight";
  EXPECT_TRUE(saved.tensors.at(key).equal(state.tensors.at("ema." + name)));
  EXPECT_FALSE(saved.tensors.at(key).equal(state.tensors.at("parameter." + name)));
}

TEST(Lora, SavesACkptWithoutNesting) {
  const FineTuning material(kAttention);
  const auto folder = material.run("run", {"run.format=ckpt"});
  const TensorFile saved = read_tensor_file(folder / "checkpoints/last.ckpt");
  EXPECT_TRUE(saved.tensors.contains(
      "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0.alpha"));
  const std::string message =
      material.message({"model.params.lora_config.layout=diffusers", "run.format=ckpt"});
  EXPECT_NE(message.find("keeps alpha in a .safetensors"), std::string::npos) << message;
}

TEST(Lora, DrawsPicturesWithTheWeightsOfTheMoment) {
  const FineTuning material(kAttention);
  FineTuningTask tuning(material.config());
  const auto pixels = [&] {
    const at::NoGradGuard no_grad;
    return tuning.task.draw(tuning.batch).at(0).pixels;
  };
  const auto before = pixels();
  EXPECT_EQ(pixels(), before);
  tuning.learn(20, 2e-2);
  EXPECT_NE(pixels(), before);
}

TEST(Lora, NamesWhatCannotBe) {
  const FineTuning material(kAttention);
  const auto has = [&](const std::string& override, const std::string& text) {
    const std::string message = material.message({override});
    EXPECT_NE(message.find(text), std::string::npos) << override << ": " << message;
  };
  const std::string key = "model.params.lora_config.";
  has(key + "target_modules=[to_qq]", "unknown module 'to_qq'; did you mean 'to_q'");
  has(key + "target_modules=[to_qq]", "ff.net.0.proj");
  has(key + "target_modules=[q_proj]", "with text_encoder: true");
  has(key + "target_modules=[o_q]", "unknown module 'o_q'");
  has(key + "target_modules=to_q", "a list of texts");
  has(key + "rank=0", "rank");
  has(key + "alpha=0", "alpha");
  has(key + "alpha=.nan", "alpha");
  has(key + "layout=lycoris", "unknown layout 'lycoris'");
  has(key + "ranks=4", "ranks");
  has("model.params.lora_config={text_encoder: true, target_modules: [to_q]}",
      "none of target_modules is in the text encoder");
  has("model.params.ckpt_path=\"\"", "give it as ckpt_path");
  has("model.params.scale_by_std=true", "the model's own scale_factor");
  has("model.params.learn_logvar=true", "learn_logvar");
  has("model.params.cond_stage_trainable=true", "lora_config.text_encoder");
  has("model.params.personalization_config={placeholder_strings: [\"*\"], initializer_words: [a]}",
      "not both");
}

TEST(Lora, TheExampleConfigIsValid) {
  const TrainConfig config =
      read_train_config({std::filesystem::path(EASEL_SOURCE_DIR) / "configs/shapes/diffusion.yaml",
                         std::filesystem::path(EASEL_SOURCE_DIR) / "configs/shapes/lora.yaml"});
  const auto& training = std::get<DiffusionTraining>(config.model);
  ASSERT_TRUE(training.lora);
  EXPECT_FALSE(training.scale_by_std);
  EXPECT_EQ(training.ckpt_path, "models/shapes/model.safetensors");
}

}  // namespace
}  // namespace easel
