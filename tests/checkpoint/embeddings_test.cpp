#include "easel/checkpoint/embeddings.h"

#include <limits>

#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::message_of;
using test::TempDir;

// What they do to a prompt is seen in tests/pipeline/prompt_context_test.cpp.
TEST(Embeddings, AreReadFromAFolderInTheOrderOfTheirNames) {
  const fs::path folder = std::string(EASEL_TEST_DATA) + "/prompts/embeddings";
  const auto embeddings = read_embeddings({folder});
  std::vector<std::string> names, placeholders;
  std::vector<int64_t> sizes;
  for (const Embedding& embedding : embeddings) {
    names.push_back(embedding.name);
    placeholders.push_back(embedding.placeholder);
    sizes.push_back(embedding.vectors_ND.size(0));
    EXPECT_EQ(embedding.vectors_ND.size(1), 32) << embedding.name;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"mystyle", "oldstyle", "one", "plainstyle"}));
  EXPECT_EQ(placeholders, (std::vector<std::string>{"", "", "<s*>", ""}));
  EXPECT_EQ(sizes, (std::vector<int64_t>{2, 2, 1, 3}));
}

class EmbeddingFiles : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::map<std::string, Tensor>& tensors) {
    write_safetensors(folder_ / name, tensors, {}, IfExists::Replace);
    return folder_ / name;
  }
  static std::string refused(const std::vector<fs::path>& paths) {
    return message_of<Error>([&] { read_embeddings(paths); });
  }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }

  TempDir folder_;
};

TEST_F(EmbeddingFiles, MayHoldSeveralWords) {
  const auto embeddings = read_embeddings(
      {write("words.safetensors", {{"<a>", at::ones({8})}, {"<b>", at::ones({2, 8})}})});
  ASSERT_EQ(embeddings.size(), 2u);
  EXPECT_EQ(embeddings[0].name, "");
  EXPECT_EQ(embeddings[1].placeholder, "<b>");
  EXPECT_EQ(embeddings[1].vectors_ND.size(0), 2);
}

TEST_F(EmbeddingFiles, RefuseWhatIsNone) {
  expect_in(refused({folder_ / "none.pt"}), "no such file");
  expect_in(refused({folder_.path()}), "no embeddings in this folder");
  folder_.write("text.pt", "no tensors");
  expect_in(refused({folder_ / "text.pt"}), "text.pt");
  expect_in(refused({write("a.safetensors", {{"w", at::ones({2, 8, 3, 3})}})}), "[2, 8, 3, 3]");
  expect_in(refused({write("a.safetensors", {{"w", at::ones({2, 8}, at::kLong)}})}), "int64");
  expect_in(refused({write("a.safetensors", {{"w", at::ones({0, 8})}})}), "[0, 8]");
  expect_in(refused({write("a.safetensors", {{"w", at::ones({5000, 8})}})}), "5000 vectors");
  expect_in(refused({write("a.safetensors",
                           {{"w", at::full({8}, std::numeric_limits<float>::infinity())}})}),
            "finite");
  expect_in(refused({write("a.safetensors",
                           {{"clip_g", at::ones({1, 1280})}, {"clip_l", at::ones({1, 768})}})}),
            "SDXL");
  fs::create_directory(folder_ / "more");
  const fs::path first = write("a.safetensors", {{"emb_params", at::ones({8})}});
  const fs::path second = write("more/a.safetensors", {{"emb_params", at::ones({8})}});
  expect_in(refused({first, second}), "two embeddings have the name 'a'");
}

TEST_F(EmbeddingFiles, AreForOneWidth) {
  const auto embeddings =
      read_embeddings({write("big.safetensors", {{"emb_params", at::ones({3, 1024})}})});
  const std::string message = message_of<Error>([&] { check_embeddings(embeddings, {}); });
  expect_in(message, "width 1024 (those of Stable Diffusion 2)");
  expect_in(message, "width 768 (those of Stable Diffusion 1)");
  ClipTextConfig wide;
  wide.hidden_size = 1024;
  EXPECT_EQ(message_of<Error>([&] { check_embeddings(embeddings, wide); }), "");
}

TEST_F(EmbeddingFiles, FitIntoAChunk) {
  const auto embeddings =
      read_embeddings({write("long.safetensors", {{"emb_params", at::ones({6, 8})}})});
  const Tokenizer tokenizer = SentencePieceTokenizer::from_file(std::string(EASEL_TEST_DATA) +
                                                                "/sentencepiece/unigram.model");
  EXPECT_EQ(with_embeddings(tokenizer, embeddings, 1000, 6).tokenize("long").size(), 6u);
  expect_in(message_of<Error>([&] { with_embeddings(tokenizer, embeddings, 1000, 5); }),
            "6 vectors, and the text encoder takes 5");
}

}  // namespace
}  // namespace easel
