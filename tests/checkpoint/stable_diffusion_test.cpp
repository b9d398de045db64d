#include "easel/checkpoint/stable_diffusion.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/checkpoint/convert.h>
#include <easel/checkpoint/inspect.h>
#include <easel/io/tensor_file.h>
#include <easel/nn/module.h>

#include "tests/support/checkpoints.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

// A model in every form, written once for all tests of this file.
class Files : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder = new test::TempDir;
    config = read_model_config(test::checkpoint_data() / "v1.yaml");
    weights = test::compvis_model(config);
    fs::copy_file(test::checkpoint_data() / "v1.yaml", *folder / "model.yaml");
    write_torch_file(*folder / "model.ckpt", weights, true, IfExists::Refuse);
    convert(*folder / "model.ckpt", *folder / "diffusers", options());
  }
  static void TearDownTestSuite() { delete folder; }

  static ConvertOptions options() {
    ConvertOptions options;
    options.vocabulary = bpe();
    return options;
  }
  static LoadOptions load_options() {
    return {
        .config = {}, .default_config = {}, .vocabulary = bpe(), .vae = {}, .dtype = {}, .log = {}};
  }
  // A vocabulary of CLIP's size: pairs of ASCII characters, then triples.
  static fs::path bpe() {
    const fs::path path = *folder / "bpe.txt";
    if (fs::exists(path)) return path;
    std::string text = "#version: 0.2\n";
    int left = 48894;
    for (const bool triples : {false, true}) {
      for (char x = '!'; x <= '~'; ++x) {
        for (char y = '!'; y <= '~'; ++y) {
          if (!triples) text += fmt::format("{} {}\n", x, y), --left;
          for (char z = '!'; triples && z <= '~' && left > 0; ++z, --left) {
            text += fmt::format("{}{} {}\n", x, y, z);
          }
        }
      }
    }
    test::write_all(path, text);
    return path;
  }

  static std::string error_of(const fs::path& model, const LoadOptions& given) {
    try {
      load(model, given);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  static void expect_model(const Tensors& tensors, const std::string& what) {
    ASSERT_EQ(tensors.size(), weights.size()) << what;
    for (const auto& [name, tensor] : weights) {
      ASSERT_TRUE(tensors.contains(name)) << what << ": " << name;
      EXPECT_TRUE(at::equal(tensors.at(name), tensor)) << what << ": " << name;
    }
  }

  static inline test::TempDir* folder = nullptr;
  static inline ModelConfig config;
  static inline Tensors weights;
};

TEST_F(Files, ConversionsThereAndBackAreBitIdentical) {
  const fs::path safetensors = *folder / "back.safetensors";
  const fs::path ckpt = *folder / "back.ckpt";
  convert(*folder / "diffusers", safetensors, options());
  EXPECT_TRUE(fs::exists(*folder / "back.yaml"));
  expect_model(read_tensor_file(safetensors).tensors, "safetensors");
  fs::remove(*folder / "back.yaml");
  EXPECT_THROW(convert(safetensors, *folder / "again", options()), Error);  // no config
  ConvertOptions with_config = options();
  with_config.config = *folder / "model.yaml";
  convert(safetensors, ckpt, with_config);
  expect_model(read_tensor_file(ckpt).tensors, "ckpt");

  ConvertOptions one_file = with_config;
  one_file.layout = WeightLayout::Diffusers;
  convert(ckpt, *folder / "native.safetensors", one_file);
  EXPECT_TRUE(
      read_tensor_file(*folder / "native.safetensors").tensors.contains("unet.conv_in.weight"));
  one_file.layout = WeightLayout::CompVis;
  one_file.config = *folder / "model.yaml";
  convert(*folder / "native.safetensors", *folder / "third.safetensors", one_file);
  expect_model(read_tensor_file(*folder / "third.safetensors").tensors, "third");
}

TEST_F(Files, EveryFormLoadsAsTheSameModel) {
  const StableDiffusion from_file = load(*folder / "model.ckpt", load_options());
  const StableDiffusion from_folder = load(*folder / "diffusers", load_options());
  EXPECT_EQ(from_file.name, "model.ckpt");
  EXPECT_EQ(from_folder.name, "diffusers");
  EXPECT_EQ(compvis_config_text(from_file.config), compvis_config_text(from_folder.config));
  const auto a = nn::named_parameters(from_file.unet);
  const auto b = nn::named_parameters(from_folder.unet);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_TRUE(at::equal(*a[i].tensor, *b[i].tensor)) << a[i].name;
  EXPECT_EQ(from_file.tokenizer.encode("a b"), from_folder.tokenizer.encode("a b"));
}

TEST_F(Files, ParametersAreViewsOfTheFile) {
  LoadOptions given = load_options();
  const Tensors native = load_native(*folder / "model.ckpt", config, given);
  const StableDiffusion model = load(*folder / "model.ckpt", given);
  for (const auto& parameter : nn::named_parameters(model.unet)) {
    EXPECT_EQ(parameter.tensor->scalar_type(), at::kFloat);
    EXPECT_FALSE(parameter.tensor->is_meta());
    EXPECT_TRUE(parameter.tensor->is_contiguous());
  }
  given.dtype = at::kBFloat16;
  const StableDiffusion half = load(*folder / "model.ckpt", given);
  for (const auto& parameter : nn::named_parameters(half.autoencoder)) {
    EXPECT_EQ(parameter.tensor->scalar_type(), at::kBFloat16);
    EXPECT_TRUE(at::equal(*parameter.tensor, native.at("vae." + parameter.name).to(at::kBFloat16)));
  }
}

TEST_F(Files, ASeparateAutoencoderReplacesTheModels) {
  for (const bool bare : {false, true}) {
    Tensors vae;
    for (const auto& [name, tensor] : weights) {
      if (!name.starts_with("first_stage_model.")) continue;
      vae[bare ? name.substr(18) : name] = tensor + 1;
    }
    if (bare) vae["loss.logvar"] = at::zeros({1});
    const fs::path path = *folder / (bare ? "bare.safetensors" : "vae.safetensors");
    write_safetensors(path, vae, {}, IfExists::Refuse);
    LoadOptions given = load_options();
    given.vae = path;
    const Tensors native = load_native(*folder / "model.ckpt", config, given);
    EXPECT_TRUE(at::equal(native.at("vae.quant_conv.bias"),
                          weights.at("first_stage_model.quant_conv.bias") + 1));
    EXPECT_TRUE(
        at::equal(native.at("unet.conv_out.bias"), weights.at("model.diffusion_model.out.2.bias")));
  }
  LoadOptions given = load_options();
  given.vae = *folder / "diffusers" / "vae";
  EXPECT_EQ(load_native(*folder / "model.ckpt", config, given).size(),
            key_rules(config, WeightLayout::Diffusers).size());
  given.vae = *folder / "diffusers" / "unet";
  EXPECT_NE(error_of(*folder / "model.ckpt", given)
                .find("is a UNet alone; expected the weights of an autoencoder"),
            std::string::npos);
}

struct WrongKind {
  const char* name;
  std::vector<std::pair<const char*, std::vector<int64_t>>> tensors;
  const char* what;
};

TEST_F(Files, WrongKindsOfFileAreNamed) {
  const std::vector<WrongKind> kinds{
      {"lora", {{"lora_unet_down_blocks_0.lora_down.weight", {4, 4}}}, "a LoRA"},
      {"vae",
       {{"encoder.down.0.block.0.conv1.weight", {4, 4, 3, 3}}, {"decoder.conv_in.bias", {4}}},
       "an autoencoder (VAE) alone"},
      {"unet", {{"down_blocks.0.resnets.0.conv1.weight", {4, 4, 3, 3}}}, "a UNet alone"},
      {"prefixed_unet", {{"model.diffusion_model.out.2.bias", {4}}}, "a UNet alone"},
      {"clip", {{"text_model.final_layer_norm.bias", {4}}}, "a text encoder alone"},
      {"xl",
       {{"conditioner.embedders.0.x", {4}}, {"model.diffusion_model.out.2.bias", {4}}},
       "Stable Diffusion XL"},
      {"open_clip", {{"cond_stage_model.model.ln_final.bias", {4}}}, "a text encoder alone"},
      {"controlnet", {{"control_model.input_hint_block.0.bias", {4}}}, "a ControlNet"},
      {"embedding", {{"emb_params", {4, 768}}}, "a textual inversion embedding"},
      {"vq",
       {{"quantize.embedding.weight", {4, 4}}, {"encoder.down.0.x", {1}}},
       "(VQ) autoencoder"},
      {"other", {{"weight", {4}}}, "no model that is known here"},
  };
  for (const WrongKind& kind : kinds) {
    Tensors tensors;
    for (const auto& [name, shape] : kind.tensors) tensors[name] = at::zeros(shape);
    const fs::path path = *folder / (std::string(kind.name) + ".kind.safetensors");
    write_safetensors(path, tensors, {}, IfExists::Refuse);
    LoadOptions given = load_options();
    given.default_config = *folder / "model.yaml";
    const std::string error = error_of(path, given);
    EXPECT_NE(error.find(kind.what), std::string::npos) << kind.name << ": " << error;
    EXPECT_NE(inspect(path).info.kind, ModelKind::StableDiffusion);
  }
}

TEST_F(Files, AnotherWidthThanTheConfigsSaysSo) {
  LoadOptions given = load_options();
  given.config = fs::path(EASEL_SOURCE_DIR) / "configs" / "stable-diffusion" / "v1-inference.yaml";
  const std::string error = error_of(*folder / "model.ckpt", given);
  EXPECT_NE(error.find("another shape"), std::string::npos) << error;
  EXPECT_NE(error.find("takes a context of 32 features"), std::string::npos) << error;
}

TEST_F(Files, VerifyFindsNaNs) {
  Tensors bad = weights;
  bad["model.diffusion_model.out.2.bias"] = at::full({4}, NAN);
  write_safetensors(*folder / "nan.safetensors", bad, {}, IfExists::Refuse);
  ConvertOptions how = options();
  how.config = *folder / "model.yaml";
  const std::string error =
      test::message_of<Error>([&] { verify(*folder / "nan.safetensors", how); });
  EXPECT_NE(error.find("NaN or infinity: model.diffusion_model.out.2.bias"), std::string::npos)
      << error;
  EXPECT_TRUE(verify(*folder / "model.ckpt", how).fits_config);
}

TEST_F(Files, TruncatedFilesAreErrors) {
  const std::string whole = test::read_all(*folder / "model.ckpt");
  for (const size_t part :
       {size_t{0}, size_t{1}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    test::write_all(*folder / "cut.ckpt", whole.substr(0, part));
    LoadOptions given = load_options();
    given.config = *folder / "model.yaml";
    EXPECT_NE(error_of(*folder / "cut.ckpt", given), "no error") << part;
  }
  EXPECT_NE(error_of(*folder / "absent.ckpt", load_options()).find("no such file"),
            std::string::npos);
}

// A copy of the diffusers folder to damage.
fs::path copy_folder(const test::TempDir& folder, const std::string& name) {
  fs::copy(folder / "diffusers", folder / name, fs::copy_options::recursive);
  return folder / name;
}

TEST_F(Files, ShardedPickledAndHalfPrecisionFoldersLoad) {
  const fs::path copy = copy_folder(*folder, "sharded");
  const fs::path file = copy / "unet" / "diffusion_pytorch_model.safetensors";
  const Tensors tensors = read_tensor_file(file).tensors;
  Tensors shards[2];
  nlohmann::json index;
  size_t i = 0;
  for (const auto& [name, tensor] : tensors) {
    const size_t shard = i++ % 2;
    shards[shard][name] = tensor.clone();
    index["weight_map"][name] = fmt::format("part-{}.safetensors", shard);
  }
  fs::remove(file);
  for (size_t s : {0, 1}) {
    write_safetensors(copy / "unet" / fmt::format("part-{}.safetensors", s), shards[s], {},
                      IfExists::Refuse);
  }
  test::write_all(file.string() + ".index.json", index.dump());
  fs::remove(copy / "vae" / "diffusion_pytorch_model.safetensors");
  Tensors vae =
      read_tensor_file(*folder / "diffusers" / "vae" / "diffusion_pytorch_model.safetensors")
          .tensors;
  write_torch_file(copy / "vae" / "diffusion_pytorch_model.bin", vae, false, IfExists::Refuse);
  fs::rename(copy / "text_encoder" / "model.safetensors",
             copy / "text_encoder" / "model.fp16.safetensors");
  const Tensors native = load_native(copy, config, load_options());
  for (const auto& [name, tensor] : load_native(*folder / "diffusers", config, load_options())) {
    EXPECT_TRUE(at::equal(native.at(name), tensor)) << name;
  }
  for (const char* bad : {"../unet/part-0.safetensors", "/etc/passwd", "", "a/b"}) {
    index["weight_map"]["conv_in.bias"] = bad;
    test::write_all(file.string() + ".index.json", index.dump());
    EXPECT_NE(error_of(copy, load_options()).find("expected a plain file name"), std::string::npos)
        << bad;
  }
  index["weight_map"]["conv_in.bias"] = "part-0.safetensors";
  index["weight_map"]["conv_in.weight"] = "part-0.safetensors";
  test::write_all(file.string() + ".index.json", index.dump());
  EXPECT_NE(error_of(copy, load_options()).find("where the index says it is"), std::string::npos);
}

TEST_F(Files, DiffusersConfigsThatCannotBeHonouredAreErrors) {
  struct Change {
    const char *file, *key;
    nlohmann::json value;
  };
  const std::vector<Change> changes{
      {"unet/config.json", "only_cross_attention", true},
      {"unet/config.json", "act_fn", "gelu"},
      {"unet/config.json", "addition_embed_type", "text_time"},
      {"unet/config.json", "down_block_types", {"DownBlock2D", "AttnDownBlock2D", "DownBlock2D"}},
      {"unet/config.json", "attention_head_dim", {4, 7, 8}},
      {"unet/config.json", "novelty", 1},
      {"unet/config.json", "norm_num_groups", 7},
      {"vae/config.json", "shift_factor", 0.1},
      {"vae/config.json", "_class_name", "AutoencoderTiny"},
      {"text_encoder/config.json", "architectures", {"T5EncoderModel"}},
      {"text_encoder/config.json", "hidden_size", 48},
      {"scheduler/scheduler_config.json", "prediction_type", "flow"},
      {"scheduler/scheduler_config.json", "beta_schedule", "sigmoid"},
      {"scheduler/scheduler_config.json", "trained_betas", {0.1}},
      {"model_index.json", "_class_name", "StableDiffusionXLPipeline"},
  };
  const fs::path copy = copy_folder(*folder, "changed");
  for (const Change& change : changes) {
    const std::string before = test::read_all(copy / change.file);
    nlohmann::json json = nlohmann::json::parse(before);
    json[change.key] = change.value;
    test::write_all(copy / change.file, json.dump(2));
    const std::string error = error_of(copy, load_options());
    EXPECT_NE(error.find(change.key), std::string::npos) << change.key << ": " << error;
    test::write_all(copy / change.file, before);
  }
  EXPECT_EQ(error_of(copy, load_options()), "no error");
}

TEST_F(Files, DiffusersSchedulesAndHeadsAreTranslated) {
  const fs::path copy = copy_folder(*folder, "translated");
  const auto change = [&](const char* file, const char* key, const nlohmann::json& value) {
    nlohmann::json json = nlohmann::json::parse(test::read_all(copy / file));
    json[key] = value;
    test::write_all(copy / file, json.dump());  // compact: JSON without a blank behind a colon
  };
  change("scheduler/scheduler_config.json", "beta_schedule", "linear");
  change("scheduler/scheduler_config.json", "prediction_type", "v_prediction");
  change("scheduler/scheduler_config.json", "rescale_betas_zero_snr", true);
  change("unet/config.json", "attention_head_dim", {4, 8, 8});
  change("vae/config.json", "scaling_factor", 0.5);
  const ModelConfig got = read_diffusers_config(copy);
  EXPECT_EQ(got.schedule.beta_schedule, "sqrt_linear");
  EXPECT_TRUE(got.schedule.zero_terminal_snr);
  EXPECT_EQ(got.parameterization, Parameterization::V);
  EXPECT_EQ(got.unet.num_head_channels, 8);
  EXPECT_EQ(got.scale_factor, 0.5);
}

TEST_F(Files, NothingIsOverwrittenUnasked) {
  test::write_all(*folder / "there.safetensors", "precious");
  EXPECT_THROW(convert(*folder / "model.ckpt", *folder / "there.safetensors", options()), Error);
  EXPECT_EQ(test::read_all(*folder / "there.safetensors"), "precious");
  EXPECT_THROW(convert(*folder / "model.ckpt", *folder / "diffusers", options()), Error);
  EXPECT_THROW(convert(*folder / "model.ckpt", *folder / "model.ckpt", options()), Error);
  ConvertOptions force = options();
  force.if_exists = IfExists::Replace;
  convert(*folder / "model.ckpt", *folder / "there.safetensors", force);
  expect_model(read_tensor_file(*folder / "there.safetensors").tensors, "replaced");
  EXPECT_THROW(convert(*folder / "model.ckpt", *folder / "there.png", options()), Error);
}

TEST_F(Files, AFailedFolderLeavesNothing) {
  ConvertOptions how = options();
  how.vocabulary = *folder / "no-such-file";
  EXPECT_THROW(convert(*folder / "model.ckpt", *folder / "half", how), Error);
  EXPECT_FALSE(fs::exists(*folder / "half"));
  for (const auto& entry : fs::directory_iterator(folder->path())) {
    EXPECT_EQ(entry.path().filename().string().find(".half"), std::string::npos) << entry.path();
  }
}

TEST_F(Files, DtypesAndEmaAreConverted) {
  Tensors with_ema = weights;
  for (const auto& [name, tensor] : weights) {
    if (!name.starts_with("model.diffusion_model.")) continue;
    std::string flat = name.substr(6);
    std::erase(flat, '.');
    with_ema["model_ema." + flat] = tensor * 2;
  }
  with_ema["betas"] = at::ones({10});
  write_safetensors(*folder / "ema.safetensors", with_ema, {}, IfExists::Refuse);
  ConvertOptions how = options();
  how.use_ema = true;
  how.dtype = at::kHalf;
  convert(*folder / "ema.safetensors", *folder / "half.ckpt", how);
  const Tensors half = read_tensor_file(*folder / "half.ckpt").tensors;
  EXPECT_EQ(half.size(), weights.size() + 1);
  EXPECT_EQ(half.at("betas").scalar_type(), at::kFloat);
  const std::string name = "model.diffusion_model.out.2.weight";
  EXPECT_TRUE(at::equal(half.at(name), (weights.at(name) * 2).to(at::kHalf)));
}

TEST_F(Files, InspectTellsLayoutPartsAndHashes) {
  const CheckpointSummary summary = inspect(*folder / "model.ckpt");
  EXPECT_EQ(summary.info.kind, ModelKind::StableDiffusion);
  EXPECT_EQ(summary.info.layout, WeightLayout::CompVis);
  ASSERT_EQ(summary.files.size(), 1u);
  EXPECT_EQ(summary.files[0].short_hash, summary.files[0].sha256.substr(0, 10));
  const auto json = nlohmann::json::parse(summary_json(summary));
  EXPECT_EQ(json["layout"], "compvis");
  int64_t tensors = 0;
  for (const auto& group : json["groups"]) tensors += group["tensors"].get<int64_t>();
  EXPECT_EQ(tensors, static_cast<int64_t>(weights.size()));
  EXPECT_NE(summary_text(summary).find("a Stable Diffusion model"), std::string::npos);
  EXPECT_EQ(inspect(*folder / "diffusers").info.layout, WeightLayout::Diffusers);
}

TEST(Sha256, KnownAnswers) {
  test::TempDir folder;
  Tensors tensors{{"x", at::zeros({1})}};
  write_safetensors(folder / "x.safetensors", tensors, {}, IfExists::Refuse);
  const FileHashes hashes = inspect(folder / "x.safetensors").files.at(0);
  EXPECT_EQ(hashes.sha256.size(), 64u);
  // SHA-256 of no bytes: the file ends before the 1 MiB at which A1111's old hash starts.
  EXPECT_EQ(hashes.old_hash, "e3b0c442");
}

}  // namespace
}  // namespace easel
