#include "easel/text/prompt.h"

#include <gtest/gtest.h>

#include "easel/base/error.h"
#include "tests/support/prompt_fixtures.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

// The whole prompt put together again is what the reference keeps of it.
TEST(Prompt, TagsAsA1111TakesThemOut) {
  for (const auto& row : test::prompt_rows("tags")) {
    const std::string text = row.at("text");
    const Prompt prompt = parse_prompt(text, Weighting::A1111, 10);
    std::map<std::string, std::vector<std::vector<std::string>>> tags;
    for (const PromptTag& tag : prompt.tags) tags[tag.kind].push_back(tag.arguments);
    EXPECT_EQ(tags, row.at("tags").get<decltype(tags)>()) << text;
    const Prompt rest = parse_prompt(row.at("rest").get<std::string>(), Weighting::A1111, 10);
    ASSERT_EQ(prompt.parts.size(), rest.parts.size()) << text;
    for (size_t i = 0; i < rest.parts.size(); ++i) {
      EXPECT_EQ(prompt.parts[i].schedule, rest.parts[i].schedule) << text;
    }
  }
}

TEST(Prompt, CompositionAsA1111SplitsIt) {
  size_t composed = 0;
  for (const auto& row : test::prompt_rows("composition")) {
    const std::string text = row.at("text");
    // The reference's rows have their tags still in them.
    if (!parse_prompt(text, Weighting::A1111, 10).tags.empty()) continue;
    const Prompt prompt = parse_prompt(text, Weighting::A1111, 10);
    const auto& wanted = row.at("parts");
    ASSERT_EQ(prompt.parts.size(), wanted.size()) << text;
    composed += wanted.size() > 1;
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(prompt.parts[i].weight, wanted[i][1].get<double>()) << text;
      EXPECT_EQ(prompt.parts[i].schedule, parse_schedule(wanted[i][0].get<std::string>(), 10))
          << text;
    }
  }
  EXPECT_GE(composed, 50u);
}

TEST(Prompt, PartsHaveTheirOwnSchedules) {
  const Prompt prompt = parse_prompt("a [b:c:.5] AND d :1.5", Weighting::A1111, 4);
  ASSERT_EQ(prompt.parts.size(), 2u);
  EXPECT_EQ(prompt.parts[0].schedule, (std::vector<ScheduledText>{{2, "a b"}, {4, "a c"}}));
  EXPECT_EQ(prompt.parts[1].schedule, (std::vector<ScheduledText>{{4, " d"}}));
  EXPECT_EQ(prompt.parts[1].weight, 1.5);
}

TEST(Prompt, OtherReadersKnowAdaptersAlone) {
  const std::string text = "a <lora:x:0.5> <b:c> AND [d:e:3]:2";
  for (const Weighting weighting : {Weighting::None, Weighting::Comfy}) {
    const Prompt prompt = parse_prompt(text, weighting, 10);
    ASSERT_EQ(prompt.parts.size(), 1u);
    EXPECT_EQ(prompt.parts[0].schedule,
              (std::vector<ScheduledText>{{10, "a  <b:c> AND [d:e:3]:2"}}));
    EXPECT_EQ(prompt.tags, (std::vector<PromptTag>{{"lora", {"x", "0.5"}}}));
  }
}

TEST(Prompt, ANegativePromptHasSchedulesAlone) {
  const std::string text = "a AND [b:c:3] :2 <lora:x:1>";
  const Prompt prompt = parse_negative_prompt(text, Weighting::A1111, 10);
  ASSERT_EQ(prompt.parts.size(), 1u);
  EXPECT_EQ(prompt.parts[0].schedule, (std::vector<ScheduledText>{{3, "a AND b :2 <lora:x:1>"},
                                                                  {10, "a AND c :2 <lora:x:1>"}}));
  EXPECT_TRUE(prompt.tags.empty());
  EXPECT_EQ(parse_negative_prompt(text, Weighting::None, 10).parts[0].schedule[0].text, text);
}

TEST(Prompt, SeesTheLanguageInALiteralText) {
  EXPECT_EQ(find_prompt_language("a (cat:1.2)"), "a weight");
  EXPECT_EQ(find_prompt_language("a (big cat: .5 ), x"), "a weight");
  EXPECT_EQ(find_prompt_language("[a:b:5] c"), "a schedule");
  EXPECT_EQ(find_prompt_language("a AND b"), "AND");
  EXPECT_EQ(find_prompt_language("a BREAK b"), "BREAK");
  for (const std::string text : {"", "a cat (sitting)", "[a], ((b))", "16:9 (wide)", "a sANDwich",
                                 "(ratio:wide)", "\\[x", ")(:", "\xff"}) {
    EXPECT_EQ(find_prompt_language(text), "") << text;
  }
  EXPECT_EQ(find_prompt_language(std::string(1000, '[')), "");
}

TEST(Prompt, RefusesHostilePrompts) {
  const auto refused = [](const std::string& text) {
    return test::message_of<Error>([&] { parse_prompt(text, Weighting::A1111, 10); });
  };
  std::string parts = "a";
  for (int i = 0; i < 64; ++i) parts += " AND a";
  EXPECT_NE(refused(parts).find("65 parts"), std::string::npos);
  EXPECT_NE(refused("a:1001").find("the weight 1001"), std::string::npos);
  EXPECT_NE(refused("a:" + std::string(400, '9')).find("at most 1000"), std::string::npos);
  EXPECT_NE(refused("a\xff").find("UTF-8"), std::string::npos);
  std::string open(kMaxPromptBytes, '<');
  EXPECT_EQ(parse_prompt(open, Weighting::A1111, 10).parts[0].schedule[0].text, open);
}

}  // namespace
}  // namespace easel
