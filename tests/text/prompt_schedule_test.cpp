#include "easel/text/prompt_schedule.h"

#include <gtest/gtest.h>

#include "easel/base/error.h"
#include "easel/text/prompt_weights.h"
#include "tests/support/prompt_fixtures.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using Schedule = std::vector<ScheduledText>;

TEST(PromptSchedule, AsA1111ReadsIt) {
  for (const auto& row : test::prompt_rows("schedules")) {
    const std::string text = row.at("text");
    Schedule wanted;
    for (const auto& entry : row.at("schedule")) wanted.push_back({entry[0], entry[1]});
    const Schedule got = parse_schedule(text, row.at("steps"));
    ASSERT_EQ(got.size(), wanted.size()) << text;
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].until, wanted[i].until) << text;
      EXPECT_EQ(got[i].text, wanted[i].text) << text;
    }
  }
}

// Brackets without partners around them: the reference's readings differ from run to run.
TEST(PromptSchedule, APairThatCanBeAScheduleIsOne) {
  EXPECT_EQ(parse_schedule("[[a:b:3]]] (", 10), (Schedule{{3, "[a]] ("}, {10, "[b]] ("}}));
  EXPECT_EQ(parse_schedule("a](][x|y]", 2), (Schedule{{1, "a](]x"}, {2, "a](]y"}}));
  EXPECT_EQ(parse_schedule("([a:b:1)]", 2), (Schedule{{2, "([a:b:1)]"}}));
}

TEST(PromptSchedule, FractionsCountTheStepsOfTheRun) {
  EXPECT_EQ(parse_schedule("[a:b:0.29]", 100), (Schedule{{28, "a"}, {100, "b"}}));  // 28.99...
  EXPECT_EQ(parse_schedule("[a:b:.5]", 7), (Schedule{{3, "a"}, {7, "b"}}));
  EXPECT_EQ(parse_schedule("[a:b:7]", 7), (Schedule{{7, "a"}}));
  EXPECT_EQ(parse_schedule("[a:b:-1e300]", 7), (Schedule{{7, "b"}}));
  EXPECT_EQ(parse_schedule("[a:b:1e300]", 7), (Schedule{{7, "a"}}));
}

TEST(PromptSchedule, IsSeenInAText) {
  EXPECT_TRUE(has_schedule("a [b|c]") && has_schedule("([a:b:3]:1.1)") && has_schedule("[a::.5]"));
  EXPECT_FALSE(has_schedule("a (b:1.2) [c]") || has_schedule("a|b [c|d]") || has_schedule(""));
}

TEST(PromptSchedule, RefusesHostilePrompts) {
  const auto refused = [](const std::string& text) {
    return test::message_of<Error>([&] { parse_schedule(text, 10); });
  };
  EXPECT_NE(refused(std::string(kMaxPromptDepth + 1, '[')).find("256 brackets"), std::string::npos);
  EXPECT_NE(refused(std::string(kMaxPromptBytes + 1, 'a')).find("65536"), std::string::npos);
  EXPECT_NE(refused("[a|\xff]").find("UTF-8"), std::string::npos);
  // As deep as allowed, and as many as fit, are quick.
  std::string deep = "x";
  for (size_t i = 0; i < kMaxPromptDepth; ++i) deep = "[" + deep + ":y:5]";
  EXPECT_EQ(parse_schedule(deep, 10).size(), 2u);
  std::string many;
  while (many.size() + 5 < kMaxPromptBytes) many += "[a|b]";
  EXPECT_EQ(parse_schedule(many, 50).size(), 50u);
  std::string crossed;
  while (crossed.size() + 4 < kMaxPromptBytes) crossed += "[(])";
  EXPECT_EQ(parse_schedule(crossed, 5), (Schedule{{5, crossed}}));
}

}  // namespace
}  // namespace easel
