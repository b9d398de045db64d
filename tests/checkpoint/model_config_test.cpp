#include "easel/checkpoint/model_config.h"

#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/checkpoint/convert.h>

#include "tests/support/checkpoints.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

const std::filesystem::path kConfigs =
    std::filesystem::path(EASEL_SOURCE_DIR) / "configs" / "stable-diffusion";

std::string v1_text() { return test::read_all(kConfigs / "v1-inference.yaml"); }

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// The message of the Usage error that the text gives.
std::string error_of(const std::string& text) {
  try {
    parse_model_config(text, "x.yaml");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    return error.what();
  }
  return "no error";
}

void expect_error(const std::string& from, const std::string& to,
                  std::initializer_list<const char*> pieces) {
  const std::string error = error_of(replaced(v1_text(), from, to));
  for (const char* piece : pieces) {
    EXPECT_NE(error.find(piece), std::string::npos) << "'" << piece << "' in: " << error;
  }
}

TEST(ModelConfig, V1) {
  const ModelConfig config = read_model_config(kConfigs / "v1-inference.yaml");
  EXPECT_EQ(config.unet.model_channels, 320);
  EXPECT_EQ(config.unet.num_heads, 8);
  EXPECT_EQ(config.unet.context_dim, 768);
  EXPECT_EQ(config.unet.num_res_blocks, (std::vector<int64_t>{2, 2, 2, 2}));
  EXPECT_FALSE(config.unet.legacy);
  EXPECT_EQ(config.autoencoder.ch_mult, (std::vector<int64_t>{1, 2, 4, 4}));
  EXPECT_EQ(config.text_encoder.hidden_size, 768);
  EXPECT_DOUBLE_EQ(config.scale_factor, 0.18215);
  EXPECT_DOUBLE_EQ(config.schedule.linear_start, 0.00085);
  EXPECT_EQ(config.conditioning_key, ConditioningKey::CrossAttention);
  int64_t parameters = 0;
  for (const KeyRule& rule : key_rules(config, WeightLayout::CompVis)) {
    int64_t count = 1;
    for (const int64_t size : rule.shape) count *= size;
    parameters += count;
  }
  EXPECT_EQ(parameters, 859'520'964 + 83'653'863 + 123'060'480);
}

TEST(ModelConfig, Inpainting) {
  const ModelConfig config = read_model_config(kConfigs / "v1-inpainting-inference.yaml");
  EXPECT_EQ(config.unet.in_channels, 9);
  EXPECT_EQ(config.conditioning_key, ConditioningKey::Hybrid);
}

TEST(ModelConfig, ConstructorDefaultsAreCompvis) {
  std::string text = v1_text();
  for (const char* line : {"    linear_start: 0.00085\n", "    linear_end: 0.0120\n",
                           "    timesteps: 1000\n", "    scale_factor: 0.18215\n",
                           "        legacy: false\n", "        channel_mult: [1, 2, 4, 4]\n"}) {
    text = replaced(text, line, "");
  }
  const ModelConfig config = parse_model_config(text, "x");
  EXPECT_DOUBLE_EQ(config.schedule.linear_start, 1e-4);
  EXPECT_DOUBLE_EQ(config.schedule.linear_end, 2e-2);
  EXPECT_DOUBLE_EQ(config.scale_factor, 1.0);
  EXPECT_TRUE(config.unet.legacy);
  EXPECT_EQ(config.unet.channel_mult, (std::vector<int64_t>{1, 2, 4, 8}));
}

TEST(ModelConfig, ValuesAreRead) {
  std::string text = replaced(v1_text(), "num_res_blocks: 2\n", "num_res_blocks: [1, 2, 3, 1]\n");
  text = replaced(text, "use_ema: false",
                  "use_ema: True\n    parameterization: \"v\"\n    beta_schedule: cosine\n"
                  "    zero_terminal_snr: true");
  text = replaced(text, "num_heads: 8",
                  "num_head_channels: 64\n        use_linear_in_transformer: true");
  const ModelConfig config = parse_model_config(text, "x");
  EXPECT_EQ(config.unet.num_res_blocks, (std::vector<int64_t>{1, 2, 3, 1}));
  EXPECT_EQ(config.unet.num_heads, -1);
  EXPECT_EQ(config.unet.num_head_channels, 64);
  EXPECT_TRUE(config.unet.use_linear_in_transformer);
  EXPECT_EQ(config.parameterization, Parameterization::V);
  EXPECT_EQ(config.schedule.beta_schedule, "cosine");
  EXPECT_TRUE(config.schedule.zero_terminal_snr);
  EXPECT_TRUE(config.use_ema);
}

TEST(ModelConfig, UnknownKeysAreNamedWithLineAndNearest) {
  expect_error(
      "        num_heads: 8\n", "        num_head: 8\n",
      {"x.yaml:26", "model.params.unet_config.params", "'num_head'", "did you mean 'num_heads'?"});
  expect_error("    scale_factor", "    scale_faktor",
               {"scale_faktor", "did you mean 'scale_factor'?"});
  expect_error("          double_z", "          doublez", {"ddconfig", "doublez"});
  expect_error("model:", "modell: 1\nmodel:", {"modell", "did you mean 'model'?"});
}

TEST(ModelConfig, UnsupportedTargetsSayWhatTheyAre) {
  expect_error("FrozenCLIPEmbedder", "FrozenOpenCLIPEmbedder2",
               {"OpenCLIP bigG/14", "not supported"});
  expect_error("ldm.models.autoencoder.AutoencoderKL", "ldm.models.autoencoder.VQModelInterface",
               {"vector-quantised", "not supported"});
  expect_error("ddpm.LatentDiffusion", "ddpm.LatentDifusion", {"unknown target", "did you mean"});
  expect_error("ldm.models.diffusion.ddpm.LatentDiffusion", "ldm.models.autoencoder.AutoencoderKL",
               {"the KL autoencoder", "not a latent diffusion model"});
}

TEST(ModelConfig, ValuesThatCannotBeHonouredAreErrors) {
  const std::string at = "        use_checkpoint: true\n";
  for (const char* line :
       {"dims: 3", "n_embed: 8192", "num_classes: sequential", "adm_in_channels: 2816"}) {
    expect_error(
        at, at + "        " + line + "\n",
        {std::string(line).substr(0, std::string(line).find(':')).c_str(), "not supported"});
  }
  expect_error("    use_ema: false", "    parameterization: epsi", {"parameterization", "epsi"});
  expect_error("    use_ema: false", "    beta_schedule: quadratic", {"beta_schedule"});
  expect_error("crossattn", "adm", {"conditioning_key", "concat, hybrid, hybrid-adm, crossattn"});
  expect_error("          dropout", "          attn_type: linear\n          dropout",
               {"attn_type", "linear"});
}

TEST(ModelConfig, ValuesThatChangeNothingAreAccepted) {
  const std::string at = "        use_checkpoint: true\n";
  parse_model_config(replaced(v1_text(), at,
                              at + "        dims: 2\n        use_fp16: False\n"
                                   "        n_embed: null\n"),
                     "x");
}

TEST(ModelConfig, WrongTypesAreErrors) {
  expect_error("model_channels: 320", "model_channels: many",
               {"x.yaml:22", "got 'many'", "an integer"});
  expect_error("model_channels: 320", "model_channels: \"320\"", {"an integer"});
  expect_error("model_channels: 320", "model_channels: 320.5", {"an integer"});
  expect_error("model_channels: 320", "model_channels: -320", {"an integer from 1"});
  expect_error("model_channels: 320", "model_channels: 99999999999999999999", {"an integer"});
  expect_error("model_channels: 320", "model_channels: [320]", {"got a list"});
  expect_error("model_channels: 320", "model_channels:", {"got null"});
  expect_error("scale_factor: 0.18215", "scale_factor: .nan", {"a number"});
  expect_error("legacy: false", "legacy: 3", {"true or false"});
  expect_error("channel_mult: [1, 2, 4, 4]", "channel_mult: 4", {"a list of integers"});
  expect_error("        model_channels: 320\n", "",
               {"'model.params.unet_config.params.model_channels' is missing"});
}

TEST(ModelConfig, PartsMustFitTogether) {
  expect_error("context_dim: 768", "context_dim: 1024", {"context_dim 1024", "hidden_size 768"});
  expect_error("in_channels: 4", "in_channels: 9", {"in_channels 9", "hybrid"});
  expect_error("embed_dim: 4", "embed_dim: 8", {"embed_dim 8"});
  expect_error("num_heads: 8", "dropout: 0.0", {"num_heads", "num_head_channels"});
  expect_error("    channels: 4", "    channels: 3", {"channels"});
}

TEST(ModelConfig, BrokenFilesAreErrors) {
  EXPECT_NE(error_of("").find("nothing"), std::string::npos);
  EXPECT_NE(error_of("[1, 2]").find("a list"), std::string::npos);
  EXPECT_NE(error_of("model: {").find("no valid YAML"), std::string::npos);
  EXPECT_NE(error_of("model:\n\tparams: 1").find("no valid YAML"), std::string::npos);
  EXPECT_NE(error_of("model: 1").find("expected a mapping"), std::string::npos);
  EXPECT_NE(error_of("model: &a [*a]").find("expected a mapping"), std::string::npos);
  expect_error("    timesteps: 1000\n", "    timesteps: 1000\n    timesteps: 999\n",
               {"x.yaml:8", "'model.params.timesteps'", "second time"});
}

TEST(ModelConfig, HostileYamlIsAnError) {
  EXPECT_NE(error_of(std::string(100000, '[')), "no error");
  EXPECT_NE(error_of("model: " + std::string(100000, '{')), "no error");
  std::string bomb = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i) {
    bomb += fmt::format("a{}: &a{} [*a{}, *a{}]\n", i, i, i - 1, i - 1);
  }
  EXPECT_NE(error_of(bomb), "no error");
  test::TempDir folder;
  test::write_all(folder / "huge.yaml", std::string(2 << 20, '#'));
  EXPECT_THROW(read_model_config(folder / "huge.yaml"), Error);
  EXPECT_THROW(read_model_config(folder / "absent.yaml"), Error);
}

TEST(ModelConfig, TextIsReadBackAsTheSame) {
  for (const char* name :
       {"v1", "plain", "plain-new-order", "resblock-updown", "legacy-head-channels"}) {
    ModelConfig config = read_model_config(test::checkpoint_data() / (std::string(name) + ".yaml"));
    config.schedule.zero_terminal_snr = std::string_view(name) == "plain";
    const std::string text = compvis_config_text(config);
    EXPECT_EQ(compvis_config_text(parse_model_config(text, "x")), text);
  }
}

}  // namespace
}  // namespace easel
