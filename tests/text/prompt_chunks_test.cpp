#include "easel/text/prompt_chunks.h"

#include <gtest/gtest.h>

#include "easel/base/error.h"
#include "tests/support/prompt_fixtures.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using Ids = std::vector<int64_t>;
using test::message_of;

const Tokenizer& clip() {
  static const Tokenizer tokenizer = ClipTokenizer::from_bpe_file(EASEL_CLIP_VOCABULARY);
  return tokenizer;
}

Tokenizer pieces() {
  return SentencePieceTokenizer::from_file(std::string(EASEL_TEST_DATA) +
                                           "/sentencepiece/unigram.model");
}

void expect_rows(const std::string& fixture, Weighting weighting) {
  size_t most = 0;
  for (const auto& row : test::prompt_rows(fixture)) {
    const std::string text = row.at("text");
    const auto& wanted = row.at("chunks");
    const std::vector<TokenChunk> got = make_chunks(clip(), text, weighting, 77);
    ASSERT_EQ(got.size(), wanted.size()) << text;
    most = std::max(most, got.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].tokens, wanted[i][0].get<Ids>()) << i << ": " << text;
      EXPECT_EQ(got[i].weights, wanted[i][1].get<std::vector<double>>()) << i << ": " << text;
    }
  }
  EXPECT_GE(most, 4u);
}

TEST(PromptChunks, AsA1111MakesThem) { expect_rows("chunks", Weighting::A1111); }

TEST(PromptChunks, AsComfyMakesThem) { expect_rows("comfy_chunks", Weighting::Comfy); }

TEST(PromptChunks, NoneCutsAsTheEncoderDoes) {
  std::string text = "(";
  for (int i = 0; i < 100; ++i) text += "cat ";
  size_t num_cut = 0;
  const auto chunks = make_chunks(clip(), text, Weighting::None, 77, &num_cut);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].tokens, clip().encode(text));
  EXPECT_EQ(chunks[0].weights, std::vector<double>(77, 1.0));
  EXPECT_EQ(num_cut, 26u);
  make_chunks(clip(), text, Weighting::A1111, 77, &num_cut);
  EXPECT_EQ(num_cut, 0u);
}

TEST(PromptChunks, WeightsFollowTheirTokensInSentencePieceToo) {
  const Tokenizer tokenizer = pieces();
  const Ids red = tokenizer.tokenize("red");
  const auto chunks = make_chunks(tokenizer, "(red:1.5)", Weighting::A1111, 8);
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].tokens, tokenizer.encode("red", 8));
  std::vector<double> weights(8, 1.0);
  for (size_t i = 0; i < red.size(); ++i) weights[i] = 1.5;
  EXPECT_EQ(chunks[0].weights, weights);

  std::string text;
  for (int i = 0; i < 9; ++i) text += "red ";
  const auto many = make_chunks(tokenizer, text, Weighting::A1111, 8);
  EXPECT_EQ(many.size(), (9 * red.size() + 6) / 7);
  Ids tokens;
  for (const TokenChunk& chunk : many) {
    ASSERT_EQ(chunk.tokens.size(), 8u);
    for (const int64_t token : chunk.tokens) {
      if (token != tokenizer.eos() && token != tokenizer.pad()) tokens.push_back(token);
    }
  }
  EXPECT_EQ(tokens, tokenizer.tokenize(text));
  EXPECT_EQ(empty_chunk(tokenizer, 8).tokens, tokenizer.encode("", 8));
}

// An embedding of four vectors.
Tokenizer with_embedding() {
  return clip().with_placeholders({{"my Style", {50000, 50001, 50002, 50003}, true}});
}

TEST(PromptChunks, AnEmbeddingStaysInOneChunk) {
  std::string text;
  for (int i = 0; i < 73; ++i) text += "cat ";
  const auto chunks = make_chunks(with_embedding(), text + "(my style:1.2)", Weighting::A1111, 77);
  ASSERT_EQ(chunks.size(), 2u);
  EXPECT_EQ(chunks[0].tokens[74], clip().eos());
  EXPECT_EQ(Ids(chunks[1].tokens.begin(), chunks[1].tokens.begin() + 6),
            (Ids{49406, 50000, 50001, 50002, 50003, 49407}));
  EXPECT_EQ(chunks[1].weights[4], 1.2);
  EXPECT_EQ(chunks[1].weights[5], 1.0);
}

TEST(PromptChunks, ComfyNamesEmbeddings) {
  const Tokenizer tokenizer = clip().with_placeholders({{"style-2", {50000, 50001}, true}});
  const auto chunks = make_chunks(tokenizer, "(embedding:style-2:1.3)", Weighting::Comfy, 77);
  EXPECT_EQ(chunks[0].tokens[1], 50000);
  EXPECT_EQ(chunks[0].weights[2], 1.3);
  EXPECT_NE(message_of<Error>([&] {
              make_chunks(tokenizer, "embedding:other", Weighting::Comfy, 77);
            }).find("--embeddings"),
            std::string::npos);
}

TEST(PromptChunks, RefusesHostilePrompts) {
  std::string text;
  for (size_t i = 0; i <= kMaxPromptChunks; ++i) text += "BREAK ";
  for (const auto& [prompt, weighting] :
       {std::pair{text, Weighting::A1111}, {std::string(60000, '!'), Weighting::Comfy}}) {
    EXPECT_NE(message_of<Error>([&, by = weighting, what = prompt] {
                make_chunks(clip(), what, by, 3);
              }).find("more than 32 chunks of 1 tokens"),
              std::string::npos);
  }
  EXPECT_NE(
      message_of<Error>([&] { make_chunks(clip(), "a", Weighting::A1111, 2); }).find("too few"),
      std::string::npos);
}

}  // namespace
}  // namespace easel
