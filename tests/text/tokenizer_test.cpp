#include "easel/text/tokenizer.h"

#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "easel/base/error.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using Ids = std::vector<int64_t>;
using test::message_of;

const std::string kData = EASEL_TEST_DATA;

// The placeholders of scripts/fixtures/adapters.py.
nlohmann::json reference() {
  return nlohmann::json::parse(std::ifstream(kData + "/adapters/placeholders.json"));
}

Tokenizer clip() { return ClipTokenizer::from_bpe_file(EASEL_CLIP_VOCABULARY); }

Tokenizer unigram() {
  return SentencePieceTokenizer::from_file(kData + "/sentencepiece/unigram.model");
}

TEST(Tokenizer, PlaceholdersInClipAsDiffusersLoadsThem) {
  const Tokenizer tokenizer =
      clip().with_placeholders({{"<s*>", {49408, 49409}}, {"<cat-toy>", {49410}}});
  const auto wanted = reference();
  const auto& captions = wanted.at("captions");
  ASSERT_GE(captions.size(), 10u);
  for (size_t i = 0; i < captions.size(); ++i) {
    const auto caption = captions[i].get<std::string>();
    EXPECT_EQ(tokenizer.encode(caption), wanted.at("clip")[i].get<Ids>()) << caption;
  }
}

TEST(Tokenizer, PlaceholdersInSentencePieceAsTransformersAddsThem) {
  const Tokenizer tokenizer = unigram().with_placeholders({{"<s*>", {440}}, {"<cat-toy>", {441}}});
  const auto wanted = reference();
  const auto& captions = wanted.at("captions");
  EXPECT_EQ(unigram().vocabulary_size(), wanted.at("sentencepiece").at("size"));
  for (size_t i = 0; i < captions.size(); ++i) {
    const auto caption = captions[i].get<std::string>();
    const Ids ids = wanted.at("sentencepiece").at("tokens")[i].get<Ids>();
    EXPECT_EQ(tokenizer.encode(caption, ids.size()), ids) << caption;
  }
}

TEST(Tokenizer, CutsPlaceholdersLikeOtherTokens) {
  const Tokenizer tokenizer = clip().with_placeholders({{"*", {50000, 50001, 50002}}});
  size_t num_cut = 0;
  EXPECT_EQ(tokenizer.encode("a *", 5, &num_cut), (Ids{49406, 320, 50000, 50001, 49407}));
  EXPECT_EQ(num_cut, 1u);
  EXPECT_EQ(tokenizer.encode("*", 2, &num_cut), (Ids{49406, 49407}));
  EXPECT_EQ(num_cut, 3u);
  const Tokenizer pieces = unigram().with_placeholders({{"*", {440, 441}}});
  EXPECT_EQ(pieces.encode("**", 4, &num_cut), (Ids{440, 441, 440, pieces.eos()}));
  EXPECT_EQ(num_cut, 1u);
}

TEST(Tokenizer, TheLongestPlaceholderStands) {
  const Tokenizer tokenizer =
      clip().with_placeholders({{"<a", {50000}}, {"<a>", {50001}}, {">", {50002}}});
  EXPECT_EQ(tokenizer.tokenize("<a> <a>>"), (Ids{50001, 50001, 50002}));
}

// As A1111's webui finds embeddings.
TEST(Tokenizer, FindsPlaceholdersByTheirTokens) {
  const Tokenizer plain = clip();
  const Tokenizer tokenizer = plain.with_placeholders(
      {{"bad", {50000}, true}, {"Bad-Hands 5", {50001, 50002}, true}, {"<s*>", {50003}}});
  const auto expect = [&](const std::string& text, const std::string& like) {
    // {0}, {1}, {2} stand for the placeholders in their order.
    Ids wanted;
    for (size_t begin = 0; begin <= like.size();) {
      const size_t at = std::min(like.find('{', begin), like.size());
      const Ids part = plain.tokenize(like.substr(begin, at - begin));
      wanted.insert(wanted.end(), part.begin(), part.end());
      if (at == like.size()) break;
      const Ids own[] = {{50000}, {50001, 50002}, {50003}};
      const Ids& tokens = own[like[at + 1] - '0'];
      wanted.insert(wanted.end(), tokens.begin(), tokens.end());
      begin = at + 3;
    }
    EXPECT_EQ(tokenizer.tokenize(text), wanted) << text;
  };
  expect("a BAD cat, badly bad-hands", "a {0} cat, badly {0}-hands");
  expect("bad-hands 5, bad-hands 6", "{1}, {0}-hands 6");
  expect("bad<s*>bad", "{0}{2}{0}");
  const Ids tokens = tokenizer.tokenize("bad-hands 5 bad");
  EXPECT_EQ(tokenizer.placeholder_length(tokens, 0), 2u);
  EXPECT_EQ(tokenizer.placeholder_length(tokens, 1), 0u);
  EXPECT_EQ(tokenizer.placeholder_length(tokens, 2), 1u);
  EXPECT_EQ(plain.placeholder_length(tokens, 0), 0u);
}

TEST(Tokenizer, DecodesPlaceholders) {
  const Tokenizer tokenizer = clip().with_placeholders({{"<my Cat>", {50000, 50001}}});
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("A photo of <my Cat> on grass")),
            "a photo of <my Cat> on grass");
  EXPECT_EQ(tokenizer.decode({50000, 50001}), "<my Cat>");
  EXPECT_NE(message_of<Error>([&] { tokenizer.decode({50001}); }).find("not in the vocabulary"),
            std::string::npos);
}

TEST(Tokenizer, WithoutPlaceholdersIsTheTokenizerInside) {
  const Tokenizer tokenizer = clip();
  for (const std::string text : {"a red circle", "", "<s*>"}) {
    EXPECT_EQ(tokenizer.encode(text, 8), tokenizer.clip()->encode(text, 8));
    EXPECT_EQ(tokenizer.with_placeholders({}).encode(text, 8), tokenizer.encode(text, 8));
  }
}

TEST(Tokenizer, RefusesPlaceholdersThatCannotBe) {
  const auto refused = [](std::vector<Placeholder> given) {
    return message_of<Error>([&] { clip().with_placeholders(std::move(given)); });
  };
  EXPECT_NE(refused({{"", {50000}}}).find("is empty"), std::string::npos);
  EXPECT_NE(refused({{"*", {50000}}, {"*", {50001}}}).find("twice"), std::string::npos);
  EXPECT_NE(refused({{"*", {}}}).find("tokens of its own, from 49408 on"), std::string::npos);
  EXPECT_NE(refused({{"*", {50000, 3}}}).find("tokens of its own"), std::string::npos);
}

}  // namespace
}  // namespace easel
