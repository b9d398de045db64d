#include "easel/text/prompt_weights.h"

#include <gtest/gtest.h>

#include "easel/base/error.h"
#include "tests/support/prompt_fixtures.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::message_of;

// The runs as A1111's webui lists them.
nlohmann::json listed(const std::vector<WeightedText>& runs) {
  nlohmann::json list = nlohmann::json::array();
  for (const WeightedText& run : runs) {
    list.push_back(nlohmann::json::array(
        {run.ends_chunk ? "BREAK" : run.text, run.ends_chunk ? -1.0 : run.weight}));
  }
  return list;
}

void expect_rows(const std::string& fixture, Weighting weighting) {
  for (const auto& row : test::prompt_rows(fixture)) {
    const std::string text = row.at("text");
    const nlohmann::json got = listed(parse_weights(text, weighting));
    nlohmann::json wanted = row.at("runs");
    if (wanted.empty()) wanted.push_back(nlohmann::json::array({"", 1.0}));
    ASSERT_EQ(got.size(), wanted.size()) << text << "\n" << got << "\n" << wanted;
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i][0], wanted[i][0]) << text;
      EXPECT_DOUBLE_EQ(got[i][1].get<double>(), wanted[i][1].get<double>()) << text;
    }
  }
}

TEST(PromptWeights, AsA1111ReadsThem) { expect_rows("weights", Weighting::A1111); }

TEST(PromptWeights, AsComfyReadsThem) { expect_rows("comfy", Weighting::Comfy); }

TEST(PromptWeights, NoneReadsEveryCharacterAsText) {
  const std::string text = "a (cat:1.2) [dog] \\( BREAK";
  EXPECT_EQ(parse_weights(text, Weighting::None), (std::vector<WeightedText>{{text, 1, false}}));
}

TEST(PromptWeights, BreakEndsAChunkAndIsNoText) {
  EXPECT_EQ(parse_weights("a BREAK b", Weighting::A1111),
            (std::vector<WeightedText>{{"a", 1, false}, {"", 1, true}, {"b", 1, false}}));
}

TEST(PromptWeights, RefusesHostilePrompts) {
  const auto refused = [](const std::string& text, Weighting weighting = Weighting::A1111) {
    return message_of<Error>([&] { parse_weights(text, weighting); });
  };
  const auto expect_in = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  expect_in(refused(std::string(kMaxPromptBytes + 1, 'a')), "at most 65536");
  expect_in(refused("\xff"), "UTF-8");
  expect_in(refused("(a:1001)"), "the weight 1001; at most 1000");
  expect_in(refused("(a:-1001)"), "at most 1000");
  expect_in(refused("(a:1.2.3)"), "'1.2.3' is no number");
  expect_in(refused("(a:.)"), "is no number");
  expect_in(refused("(a:9" + std::string(400, '9') + ")"), "is no number");
  expect_in(refused("((a:999):999)"), "at most 1000");
  std::string deep;
  for (size_t i = 0; i <= kMaxPromptDepth; ++i) deep += "(a";
  expect_in(refused(deep), "256 brackets");
  deep += std::string(kMaxPromptDepth + 1, ')');
  expect_in(refused(deep), "256 brackets");
  expect_in(refused(deep, Weighting::Comfy), "256 brackets");
  expect_in(refused("(a:1e4)", Weighting::Comfy), "at most 1000");
  EXPECT_EQ(refused(deep, Weighting::None), "");
  // Long and flat is quick.
  std::string flat;
  while (flat.size() + 8 < kMaxPromptBytes) flat += "(a:1.1) ";
  EXPECT_EQ(parse_weights(flat, Weighting::A1111).size(), flat.size() / 4);
}

TEST(PromptWeights, AreKnownByName) {
  for (const Weighting weighting : {Weighting::None, Weighting::A1111, Weighting::Comfy}) {
    EXPECT_EQ(weighting_from_name(weighting_name(weighting)), weighting);
  }
  EXPECT_NE(message_of<Error>([] { weighting_from_name("a111"); }).find("'a1111'"),
            std::string::npos);
}

}  // namespace
}  // namespace easel
