#include "easel/checkpoint/lora.h"

#include <cmath>
#include <fstream>
#include <limits>

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::expect_close;
using test::hashed_tensor;
using test::message_of;
using test::TempDir;

const std::string kData = std::string(EASEL_TEST_DATA) + "/adapters/lora_files";
constexpr const char* kLinear = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
constexpr const char* kConv = "lora_unet_mid_block_resnets_0_conv1";  // [64, 64, 3, 3]

StableDiffusion model_of_tests(at::ScalarType dtype = at::kFloat) {
  return test::tiny_model(
      Tokenizer(SentencePieceTokenizer::from_file(EASEL_TEST_DATA "/sentencepiece/unigram.model")),
      dtype);
}

const json& fixtures() {
  static const json read = json::parse(std::ifstream(kData + ".json"));
  return read;
}

// The tensors of a file of scripts/fixtures/lora_files.py: hashed tensors of their keys.
Tensors tensors_of(const std::string& name) {
  Tensors tensors;
  for (const auto& [key, shape] : fixtures().at("files").at(name).at("tensors").items()) {
    tensors[key] = shape.is_number() ? at::scalar_tensor(shape.get<double>(), at::kFloat)
                                     : hashed_tensor(key, shape.get<std::vector<int64_t>>());
  }
  return tensors;
}

class LoraFiles : public ::testing::Test {
 protected:
  static const StableDiffusion& model() {
    static const StableDiffusion made = model_of_tests();
    return made;
  }
  fs::path write(const Tensors& tensors, const std::map<std::string, std::string>& metadata = {},
                 const std::string& name = "a.safetensors") {
    write_safetensors(folder_ / name, tensors, metadata, IfExists::Replace);
    return folder_ / name;
  }
  fs::path write(const std::string& name) {
    return write(tensors_of(name), fixtures().at("files").at(name).at("metadata"),
                 name + ".safetensors");
  }
  std::string refused(const Tensors& tensors) {
    const fs::path file = write(tensors);
    return message_of<Error>([&] { with_loras(model(), {{.file = file}}); });
  }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }
  // A LoRA of rank 2 for kLinear [64, 64].
  static Tensors linear() {
    const std::string key = kLinear;
    return {{key + ".lora_down.weight", hashed_tensor("down", {2, 64})},
            {key + ".lora_up.weight", hashed_tensor("up", {64, 2})},
            {key + ".alpha", at::scalar_tensor(1.0, at::kFloat)}};
  }
  static void expect_same_weights(const StableDiffusion& a, const StableDiffusion& b,
                                  double part = 0) {
    const auto compare = [&](const auto& from, const auto& to) {
      const auto others = nn::named_parameters(to);
      size_t i = 0;
      for (const auto& [name, tensor] : nn::named_parameters(from)) {
        expect_close(*tensor, *others[i++].tensor, part, name);
      }
    };
    compare(a.unet, b.unet);
    compare(a.text_encoder, b.text_encoder);
  }

  TempDir folder_;
};

TEST_F(LoraFiles, GiveWhatDiffusersAndTheFormulasGive) {
  const at::NoGradGuard no_grad;
  const auto outputs = read_safetensors(kData + ".safetensors").tensors;
  const Tensor tokens = at::tensor({49406, 320, 1125, 539, 320, 49407}, at::kLong).unsqueeze(0);
  ASSERT_EQ(fixtures().at("cases").size(), 14u);
  for (const json& wanted : fixtures().at("cases")) {
    const std::string name = wanted.at("name");
    std::vector<LoraChoice> loras;
    for (const json& use : wanted.at("uses")) {
      loras.push_back({.file = write(use.at("file").get<std::string>()),
                       .text_encoder = use.at("text_encoder"),
                       .unet = use.at("unet")});
    }
    std::string warnings;
    const StableDiffusion changed =
        with_loras(model(), loras, [&](LogLevel level, std::string_view text) {
          if (level == LogLevel::Warning) warnings += text;
        });
    EXPECT_EQ(warnings, "") << name;
    expect_close(changed.text_encoder.forward(tokens), outputs.at(name + "/text"), 1e-5, name);
    const Tensor got =
        changed.unet.forward(hashed_tensor("x", {2, 4, 8, 8}), at::tensor({3.0F, 700.0F}),
                             hashed_tensor("context", {2, 7, 32}));
    expect_close(got, outputs.at(name + "/unet"), 1e-5, name);
  }
}

TEST_F(LoraFiles, LeaveTheModelAsItIsAndShareItsOtherWeights) {
  const StableDiffusion untouched = model_of_tests();
  const StableDiffusion changed = with_loras(model(), {{.file = write(linear())}});
  expect_same_weights(model(), untouched);
  const auto before = nn::named_parameters(model().unet);
  size_t num_changed = 0, i = 0;
  for (const auto& [name, tensor] : nn::named_parameters(changed.unet)) {
    if (tensor->data_ptr() == before[i++].tensor->data_ptr()) continue;
    EXPECT_EQ(name, "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight");
    ++num_changed;
  }
  EXPECT_EQ(num_changed, 1u);
  expect_same_weights(with_loras(model(), {{.file = folder_ / "a.safetensors", .unet = 0}}),
                      untouched);
}

TEST_F(LoraFiles, AreOneInEveryLayout) {
  const Tensor down = hashed_tensor("down", {2, 64});
  const Tensor up = hashed_tensor("up", {64, 2});
  const std::string module = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
  const std::string compvis = "middle_block.1.transformer_blocks.0.attn1.to_q";
  std::string compvis_flat = compvis;
  std::replace(compvis_flat.begin(), compvis_flat.end(), '.', '_');
  const std::vector<std::pair<std::string, std::string>> layouts{
      {std::string(kLinear) + ".lora_down.weight", std::string(kLinear) + ".lora_up.weight"},
      {"unet." + module + ".lora_A.weight", "unet." + module + ".lora_B.weight"},
      {"base_model.model." + module + ".lora_A.default.weight",
       "base_model.model." + module + ".lora_B.default.weight"},
      {module + ".lora.down.weight", module + ".lora.up.weight"},
      {"mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight",
       "mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight"},
      {"lora_unet_" + compvis_flat + ".lora_down.weight",
       "lora_unet_" + compvis_flat + ".lora_up.weight"},
      {"diffusion_model." + compvis + ".lora_A.weight",
       "diffusion_model." + compvis + ".lora_B.weight"},
      {"model.diffusion_model." + compvis + ".lora_A.weight",
       "model.diffusion_model." + compvis + ".lora_B.weight"}};
  const StableDiffusion first =
      with_loras(model(), {{.file = write({{layouts[0].first, down}, {layouts[0].second, up}})}});
  for (const auto& [down_key, up_key] : layouts) {
    const fs::path file = folder_ / "b.pt";
    write_torch_file(file, {{down_key, down}, {up_key, up}}, false, IfExists::Replace);
    expect_same_weights(with_loras(model(), {{.file = file}}), first);
  }
  // A linear layer as a 1 x 1 convolution, and alpha as a whole number.
  const std::string key = kLinear;
  expect_same_weights(
      with_loras(model(),
                 {{.file = write({{key + ".lora_down.weight", down.unsqueeze(-1).unsqueeze(-1)},
                                  {key + ".lora_up.weight", up.unsqueeze(-1).unsqueeze(-1)},
                                  {key + ".alpha", at::scalar_tensor(2, at::kLong)}})}}),
      first);
}

TEST_F(LoraFiles, MayKeepAlphaElsewhere) {
  const std::string key = kLinear;
  Tensors kohya = linear();
  const auto with_alpha = [&](double alpha) {
    kohya[key + ".alpha"] = at::scalar_tensor(alpha, at::kFloat);
    return with_loras(model(), {{.file = write(kohya)}});
  };
  // PEFT's rank-stabilised scale, alpha / sqrt(rank).
  const std::string module = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
  const fs::path peft = write({{module + ".lora_A.weight", hashed_tensor("down", {2, 64})},
                               {module + ".lora_B.weight", hashed_tensor("up", {64, 2})}},
                              {{std::string(kDiffusersLoraMetadata),
                                R"({"unet.r": 2, "unet.lora_alpha": 3, "unet.use_rslora": true})"}},
                              "peft.safetensors");
  expect_same_weights(with_loras(model(), {{.file = peft}}), with_alpha(3 * std::sqrt(2.0)), 1e-6);
  // Python's number in a pickle.
  kohya = {{key + ".lora_down.weight", hashed_tensor(key + ".lora_down.weight", {1, 64})},
           {key + ".lora_up.weight", hashed_tensor(key + ".lora_up.weight", {64, 1})}};
  const fs::path pickle = std::string(EASEL_TEST_DATA) + "/adapters/alpha_number.pt";
  expect_same_weights(with_loras(model(), {{.file = pickle}}), with_alpha(0.5));
  // Damaged metadata.
  const fs::path bad = write(linear(), {{std::string(kDiffusersLoraMetadata), "{"}});
  expect_in(message_of<Error>([&] { with_loras(model(), {{.file = bad}}); }), "no JSON object");
}

TEST_F(LoraFiles, AreMergedInFloat32ForModelsInHalf) {
  const StableDiffusion half = model_of_tests(at::kBFloat16);
  const StableDiffusion changed = with_loras(half, {{.file = write(linear())}});
  const auto weight = [](const StableDiffusion& from) -> const Tensor& {
    for (const auto& [name, tensor] : nn::named_parameters(from.unet)) {
      if (name == "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight") return *tensor;
    }
    throw std::runtime_error("no such weight");
  };
  const Tensor product = at::matmul(hashed_tensor("up", {64, 2}), hashed_tensor("down", {2, 64}));
  EXPECT_TRUE(
      weight(changed).equal((weight(half).to(at::kFloat) + 0.5 * product).to(at::kBFloat16)));
}

TEST_F(LoraFiles, ListWhatIsLeftAside) {
  Tensors tensors = linear();
  tensors["lora_unet_nowhere.lora_down.weight"] = at::ones({2, 4});
  tensors["bundle_emb.word.vectors"] = at::ones({4});
  std::string warnings;
  with_loras(model(), {{.file = write(tensors)}}, [&](LogLevel level, std::string_view text) {
    if (level == LogLevel::Warning) warnings += text;
  });
  expect_in(warnings, "2 of its entries");
  expect_in(warnings, "bundle_emb.word.vectors, lora_unet_nowhere");
}

TEST_F(LoraFiles, RefuseWhatIsNoAdapter) {
  expect_in(refused({{"model.diffusion_model.out.2.bias", at::ones({4})}}),
            "a UNet alone; expected a LoRA");
  expect_in(refused({{"unknown", at::ones({4})}}), "expected a LoRA");
  folder_.write("text.pt", "no tensors");
  expect_in(message_of<Error>([&] { with_loras(model(), {{.file = folder_ / "text.pt"}}); }),
            "text.pt");
  EXPECT_NE(message_of<Error>([&] { with_loras(model(), {{.file = folder_ / "none.pt"}}); }), "");
}

TEST_F(LoraFiles, RefuseWhatIsMadeForOtherModels) {
  const std::string key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k";
  const Tensors xl{{key + ".lora_down.weight", at::ones({2, 2048})},
                   {key + ".lora_up.weight", at::ones({64, 2})}};
  expect_in(refused(xl),
            "context has 2048 features (Stable Diffusion XL), and this model's has 32");
  const Tensors two{{key + ".lora_down.weight", at::ones({2, 1024})},
                    {key + ".lora_up.weight", at::ones({64, 2})}};
  expect_in(refused(two), "1024 features (Stable Diffusion 2)");
  expect_in(refused({{"lora_te2_text_model_x.lora_down.weight", at::ones({2, 4})}}),
            "none of its 1 modules is in this model: lora_te2_text_model_x; it is made for Stable "
            "Diffusion XL");
  const fs::path file = write({{"transformer.x.lora_A.weight", at::ones({2, 4})}},
                              {{"ss_base_model_version", "flux1"}});
  expect_in(message_of<Error>([&] { with_loras(model(), {{.file = file}}); }),
            "its base model is 'flux1'");
}

TEST_F(LoraFiles, RefuseNumbersThatAreNone) {
  const std::string key = kLinear;
  const auto with = [&](const std::string& part, const Tensor& tensor) {
    Tensors tensors = linear();
    tensors[key + part] = tensor;
    return refused(tensors);
  };
  const double infinity = std::numeric_limits<double>::infinity();
  expect_in(with(".lora_up.weight", at::full({64, 2}, NAN)), "NaN or infinity");
  expect_in(with(".lora_up.weight", at::ones({64, 2}, at::kLong)), "int64 [64, 2]");
  expect_in(with(".lora_up.weight", at::ones({0, 2})), "[0, 2]");
  expect_in(with(".alpha", at::ones({2})), "alpha is one number");
  expect_in(with(".alpha", at::scalar_tensor(infinity, at::kFloat)), "no finite number");
  expect_in(with(".alpha", at::scalar_tensor(NAN, at::kFloat)), "no finite number");
  expect_in(with(".alpha", at::scalar_tensor(1e30, at::kFloat)), "alpha is 1");
  expect_in(with(".lora_down.weight", at::full({2, 64}, 3e38)), "not all finite in float32");
  expect_in(with(".lora_B.weight", at::ones({64, 2})), "two spellings");
}

TEST_F(LoraFiles, RefuseShapesThatDoNotFit) {
  const std::string key = kLinear;
  const auto with = [&](const std::string& module, std::vector<int64_t> up,
                        std::vector<int64_t> down) {
    return refused({{module + ".lora_up.weight", at::ones(up)},
                    {module + ".lora_down.weight", at::ones(down)}});
  };
  expect_in(with(key, {64, 3}, {2, 64}), "[64, 3] and [2, 64]");
  expect_in(with(key, {64, 2}, {2, 63}), "the weight [64, 64]");
  expect_in(with(key, {32, 2}, {2, 64}), "[32, 2]");
  expect_in(with(key, {64}, {2, 64}), "[64]");
  expect_in(with(key, {1, 2, 64}, {2, 64}), "[1, 2, 64]");
  expect_in(with(kConv, {64, 2, 1, 1}, {2, 64, 1, 1}), "the weight [64, 64, 3, 3]");
  expect_in(with(kConv, {64, 2, 1, 1}, {2, 64, 9}), "[2, 64, 9]");
  expect_in(refused({{key + ".lora_up.weight", at::ones({64, 2})}}), "a factor of the update");
  expect_in(refused({{key + ".dora_scale", at::ones({64, 1})}}), "a factor of the update");
  Tensors dora = linear();
  dora[key + ".dora_scale"] = at::ones({3, 1});
  expect_in(refused(dora), "magnitudes of shape [3, 1]");
  Tensors twice = linear();
  twice["unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight"] =
      at::ones({2, 64});
  expect_in(refused(twice), "are both updates of unet.mid_block");
}

TEST_F(LoraFiles, RefuseFactorsWhoseProductIsHuge) {
  const std::string key = kLinear;
  const auto with = [&](std::initializer_list<std::pair<const char*, std::vector<int64_t>>> parts) {
    Tensors tensors;
    for (const auto& [part, shape] : parts) tensors[key + part] = at::ones(shape);
    return refused(tensors);
  };
  expect_in(
      with({{".lokr_w1_a", {1 << 20, 1}}, {".lokr_w1_b", {1, 1 << 20}}, {".lokr_w2", {1, 1}}}),
      "do not go together");
  expect_in(with({{".lokr_w1", {1 << 10, 1 << 10}}, {".lokr_w2", {1 << 10, 1 << 10}}}),
            "do not go together");
  expect_in(with({{".lokr_w1", {7, 8}}, {".lokr_w2", {8, 8}}}), "do not go together");
  expect_in(with({{".lokr_w1", {8, 8}}, {".lokr_w2", {8, 9}}}), "do not go together");
  expect_in(with({{".hada_w1_a", {1 << 20, 1}},
                  {".hada_w1_b", {1, 1 << 20}},
                  {".hada_w2_a", {64, 1}},
                  {".hada_w2_b", {1, 64}}}),
            "do not go together");
  expect_in(with({{".hada_w1_a", {64, 2}},
                  {".hada_w1_b", {3, 64}},
                  {".hada_w2_a", {64, 1}},
                  {".hada_w2_b", {1, 64}}}),
            "[64, 2] and [3, 64]");
  expect_in(with({{".lora_up.weight", {64, 2}},
                  {".lora_down.weight", {2, 64}},
                  {".lora_mid.weight", {2, 3}}}),
            "do not go together");
  expect_in(with({{".lora_up.weight", {64, 2}},
                  {".lora_down.weight", {2, 1 << 20}},
                  {".lora_mid.weight", {2, 2}}}),
            "do not go together");
}

class LoraChoices : public ::testing::Test {
 protected:
  LoraChoices() {
    fs::create_directory(folder_ / "more");
    folder_.write("style.safetensors", "");
    folder_.write("more/a b.pt", "");
    folder_.write("notes.txt", "");
  }
  static std::string refused(LoraFinder& finder, const std::string& text) {
    return message_of<Error>([&] { finder.from_text(text); });
  }
  TempDir folder_;
  LoraFinder finder_{{folder_ / "none", folder_.path()}};
};

TEST_F(LoraChoices, AreFilesOrNamesWithWeights) {
  const fs::path style = folder_ / "style.safetensors";
  using Choice = LoraChoice;
  EXPECT_EQ(finder_.from_text("style"), (Choice{.file = style}));
  EXPECT_EQ(finder_.from_text(style.string() + ":0.5"),
            (Choice{.file = style, .text_encoder = 0.5, .unet = 0.5}));
  EXPECT_EQ(finder_.from_text("a b:-1:2"),
            (Choice{.file = folder_ / "more/a b.pt", .text_encoder = -1, .unet = 2}));
  const auto tag = [&](std::vector<std::string> arguments) {
    return finder_.from_tag({.kind = "lora", .arguments = std::move(arguments)});
  };
  EXPECT_EQ(tag({"style"}), (Choice{.file = style}));
  EXPECT_EQ(tag({"style", "0.8"}), (Choice{.file = style, .text_encoder = 0.8, .unet = 0.8}));
  EXPECT_EQ(tag({"style", "0.8", "0.2"}),
            (Choice{.file = style, .text_encoder = 0.8, .unet = 0.2}));
  EXPECT_EQ(tag({"style", "te=0", "unet=0.2"}),
            (Choice{.file = style, .text_encoder = 0, .unet = 0.2}));
  EXPECT_EQ(loras_text({tag({"style", "0.5"}), tag({"a b", "1", "0.5"})}),
            "style: 0.5, a b: 1/0.5");
}

TEST_F(LoraChoices, RefuseWhatCannotBeMeant) {
  EXPECT_NE(refused(finder_, "stile").find("did you mean 'style'"), std::string::npos);
  EXPECT_NE(refused(finder_, "notes").find("unknown LoRA"), std::string::npos);
  EXPECT_NE(refused(finder_, "style:1000").find("at most 100"), std::string::npos);
  EXPECT_NE(refused(finder_, "style:x").find("unknown LoRA 'style:x'"), std::string::npos);
  EXPECT_NE(refused(finder_, "").find("needs a file"), std::string::npos);
  EXPECT_NE(refused(finder_, ":0.5").find("needs a file"), std::string::npos);
  const auto tag = [&](std::vector<std::string> arguments) {
    return message_of<Error>(
        [&] { finder_.from_tag({.kind = "lora", .arguments = std::move(arguments)}); });
  };
  EXPECT_NE(tag({"style", "x"}).find("not 'x'"), std::string::npos);
  EXPECT_NE(tag({"style", "nan"}).find("not 'nan'"), std::string::npos);
  EXPECT_NE(tag({"style", "lbw=IN"}).find("'IN' is none"), std::string::npos);
  EXPECT_NE(tag({"style", "1", "1", "8"}).find("more than a name"), std::string::npos);
  EXPECT_NE(tag({"../style"}).find("unknown LoRA"), std::string::npos);
  LoraFinder empty({folder_ / "none"});
  EXPECT_NE(refused(empty, "style").find("no files in"), std::string::npos);
}

}  // namespace
}  // namespace easel
