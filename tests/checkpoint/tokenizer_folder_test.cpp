// Models with a SentencePiece tokenizer: loaded from a file with its config and from a diffusers
// folder, and converted between the two.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/file.h>
#include <easel/io/tensor_file.h>
#include <easel/nn/module.h>

#include "easel/checkpoint/convert.h"
#include "easel/checkpoint/stable_diffusion.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using easel::test::message_of;
using easel::test::TempDir;

const fs::path kModels = fs::path(EASEL_TEST_DATA) / "sentencepiece";
constexpr const char* kPrompt = "a red</s>circle <pad> \xF0\x9F\x98\x80";

LoadOptions no_vocabulary() {
  return {.config = {}, .default_config = {}, .vocabulary = {}, .vae = {}, .dtype = {}, .log = {}};
}

fs::path folder(const fs::path& path) {
  fs::create_directory(path);
  return path;
}

// Writes tiny.safetensors, tiny.yaml and tokenizer.model.
fs::path write_model(const fs::path& to, const std::string& tokenizer = "tokenizer.model",
                     int64_t vocab_size = 440) {
  const fs::path model = kModels / "unigram.model";
  fs::copy_file(model, to / "tokenizer.model");
  ModelConfig config = test::tiny_config();
  config.text_encoder.vocab_size = vocab_size;
  config.tokenizer = tokenizer;
  return test::write_tiny_model(
      to, test::tiny_model(SentencePieceTokenizer::from_file(model), at::kFloat, config));
}

void expect_same_model(const StableDiffusion& a, const StableDiffusion& b) {
  ASSERT_NE(a.tokenizer.sentencepiece(), nullptr);
  ASSERT_NE(b.tokenizer.sentencepiece(), nullptr);
  EXPECT_TRUE(*a.tokenizer.sentencepiece() == *b.tokenizer.sentencepiece());
  EXPECT_EQ(a.tokenizer.encode(kPrompt), b.tokenizer.encode(kPrompt));
  const auto expect_same = [](const auto& x, const auto& y) {
    const auto of_x = nn::named_parameters(x);
    const auto of_y = nn::named_parameters(y);
    ASSERT_EQ(of_x.size(), of_y.size());
    for (size_t i = 0; i < of_x.size(); ++i)
      EXPECT_TRUE(at::equal(*of_x[i].tensor, *of_y[i].tensor)) << of_x[i].name;
  };
  expect_same(a.text_encoder, b.text_encoder);
  expect_same(a.unet, b.unet);
  expect_same(a.autoencoder, b.autoencoder);
}

TEST(SentencePieceModel, LoadsWithTheTokenizerThatItsConfigNames) {
  const TempDir dir;
  const StableDiffusion model = load(write_model(dir.path()), no_vocabulary());
  EXPECT_EQ(model.config.tokenizer, "tokenizer.model");
  const auto tokenizer = SentencePieceTokenizer::from_file(kModels / "unigram.model");
  EXPECT_EQ(model.tokenizer.encode(kPrompt), tokenizer.encode(kPrompt));
  EXPECT_EQ(model.tokenizer.pad(), 0);
  const ModelConfig read = parse_model_config(compvis_config_text(model.config), "x.yaml");
  EXPECT_EQ(read.tokenizer, "tokenizer.model");
}

TEST(SentencePieceModel, WrongTokenizersAreErrors) {
  const TempDir dir;
  const auto error_of = [&](const fs::path& file) {
    return message_of<Error>([&] { load(file, no_vocabulary()); });
  };
  const std::string missing = error_of(write_model(folder(dir / "missing"), "other.model"));
  EXPECT_NE(missing.find("other.model' does not exist"), std::string::npos) << missing;
  const std::string small = error_of(write_model(folder(dir / "small"), "tokenizer.model", 439));
  EXPECT_NE(small.find("has 440 tokens, but the text encoder only 439"), std::string::npos)
      << small;
  const std::string no_model = error_of(write_model(folder(dir / "no_model"), "tiny.yaml"));
  EXPECT_NE(no_model.find("no SentencePiece model"), std::string::npos) << no_model;
}

TEST(SentencePieceModel, ConvertsToAFolderAndBack) {
  const TempDir dir;
  const fs::path file = write_model(dir.path());
  const StableDiffusion model = load(file, no_vocabulary());
  convert(file, dir / "folder", {});
  const auto index = nlohmann::json::parse(read_text_file(dir / "folder" / "model_index.json"));
  EXPECT_EQ(index.at("tokenizer"), nlohmann::json({"transformers", "T5Tokenizer"}));
  for (const char* name : {"spiece.model", "tokenizer_config.json", "special_tokens_map.json"})
    EXPECT_TRUE(fs::exists(dir / "folder" / "tokenizer" / name)) << name;
  expect_same_model(load(dir / "folder", no_vocabulary()), model);

  convert(dir / "folder", dir / "back.ckpt", {});
  EXPECT_TRUE(fs::exists(dir / "back.tokenizer.model"));
  const StableDiffusion back = load(dir / "back.ckpt", no_vocabulary());
  EXPECT_EQ(back.config.tokenizer, "back.tokenizer.model");
  expect_same_model(back, model);

  convert(dir / "folder", dir / "again", {});
  expect_same_model(load(dir / "again", no_vocabulary()), model);
}

// Tokens that no model file can say keep their folder.
TEST(SentencePieceModel, ATokenizerWithTokensOfItsOwnStaysAFolder) {
  const TempDir dir;
  convert(write_model(dir.path(), "tokenizer.model", 500), dir / "folder", {});
  const fs::path config = dir / "folder" / "tokenizer" / "tokenizer_config.json";
  fs::remove(config);
  fs::remove(dir / "folder" / "tokenizer" / "special_tokens_map.json");
  dir.write(fs::relative(config, dir.path()).string(),
            R"({"tokenizer_class": "T5Tokenizer", "extra_ids": 7, "legacy": false})");
  const StableDiffusion model = load(dir / "folder", no_vocabulary());
  EXPECT_EQ(model.tokenizer.vocabulary_size(), 447);
  convert(dir / "folder", dir / "back.safetensors", {});
  EXPECT_TRUE(fs::is_directory(dir / "back.tokenizer"));
  expect_same_model(load(dir / "back.safetensors", no_vocabulary()), model);
  convert(dir / "back.safetensors", dir / "again", {});
  expect_same_model(load(dir / "again", no_vocabulary()), model);
}

TEST(SentencePieceModel, TheTokenizerGoesWithACopyOfTheConfig) {
  const TempDir dir;
  const fs::path file = write_model(dir.path());
  fs::create_directory(dir / "other");
  convert(file, dir / "other" / "copy.ckpt", {});
  expect_same_model(load(dir / "other" / "copy.ckpt", no_vocabulary()),
                    load(file, no_vocabulary()));
  // Another file is never replaced unasked, the same one may lie there.
  convert(file, dir / "other" / "copy2.ckpt", {});
  fs::remove(dir / "other" / "tokenizer.model");
  fs::copy_file(kModels / "bpe.model", dir / "other" / "tokenizer.model");
  EXPECT_THROW(convert(file, dir / "other" / "copy3.ckpt", {}), Error);
  EXPECT_FALSE(fs::exists(dir / "other" / "copy3.ckpt"));
}

TEST(SentencePieceModel, ATokenizerOutsideTheConfigsFolderIsNotCopied) {
  const TempDir dir;
  const fs::path file = write_model(folder(dir / "inner"), "../inner/tokenizer.model");
  load(file, no_vocabulary());
  fs::create_directory(dir / "other");
  EXPECT_THROW(convert(file, dir / "other" / "copy.ckpt", {}), Error);
}

}  // namespace
}  // namespace easel
