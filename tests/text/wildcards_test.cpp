#include <map>
#include <set>

#include <easel/base/error.h>
#include <easel/text/wildcards.h>

namespace easel {
namespace {

const std::map<std::string, std::vector<std::string>> kFiles = {
    {"colour", {"red", "green", "blue"}},
    {"animals/small", {"a {tiny|little} mouse"}},
    {"loop", {"__loop__"}},
    {"doubling", {"__doubling____doubling__"}},
    {"empty", {}}};

std::string expand(std::string_view prompt, uint64_t seed = 1) {
  return expand_wildcards(prompt, seed, [](const std::string& name) {
    const auto file = kFiles.find(name);
    if (file == kFiles.end()) fail_usage("no wildcard {}", name);
    return file->second;
  });
}

// What a prompt becomes over many seeds, and how often.
std::map<std::string, int> results(std::string_view prompt, int num = 1000) {
  std::map<std::string, int> counts;
  for (int seed = 0; seed < num; ++seed) ++counts[expand(prompt, static_cast<uint64_t>(seed))];
  return counts;
}

TEST(Wildcards, OtherTextStaysAsItIs) {
  for (const char* text :
       {"a red fox", "", "snake_case _ __ ____", "(a:1.2) [b|c] \\(d\\)", "open { brace",
        "closed } brace", "__no name__", "a | b", "\xE8\xB5\xA4"}) {
    EXPECT_EQ(expand(text), text);
  }
  EXPECT_EQ(expand("\\{a\\|b\\}"), "{a|b}");
}

TEST(Wildcards, TakeEveryChoiceEquallyOften) {
  const auto counts = results("a {red|green|blue} car");
  ASSERT_EQ(counts.size(), 3u);
  for (const auto& [text, count] : counts) {
    EXPECT_GT(count, 270) << text;
    EXPECT_LT(count, 400) << text;
  }
  EXPECT_EQ(results("__colour__").size(), 3u);
  EXPECT_EQ(results("{a|}"),
            (std::map<std::string, int>{{"", results("{a|}")[""]}, {"a", results("{a|}")["a"]}}));
}

TEST(Wildcards, FollowWeights) {
  auto counts = results("{3::a|b}");
  EXPECT_NEAR(counts["a"], 750, 60);
  EXPECT_NEAR(counts["b"], 250, 60);
  EXPECT_EQ(results("{0::a|b}").size(), 1u);
  EXPECT_EQ(expand("{a::b}"), "a::b");
}

TEST(Wildcards, TakeSeveralDifferentOnes) {
  const auto pairs = results("{2$$a|b|c}");
  EXPECT_EQ(pairs.size(), 6u);
  for (const auto& [text, count] : pairs) EXPECT_NE(text[0], text[3]) << text;
  std::set<std::string> seen;
  for (const auto& [text, count] : results("{1-2$$ and $$x|y}")) seen.insert(text);
  EXPECT_EQ(seen, (std::set<std::string>{"x", "y", "x and y", "y and x"}));
  EXPECT_EQ(expand("{9$$a}"), "a");  // no more than there are
  EXPECT_EQ(expand("{0$$a|b}"), "");
  EXPECT_EQ(expand("{cost: 5$$|cost: 5$$}"), "cost: 5$$");
}

TEST(Wildcards, HoldEachOther) {
  const auto counts = results("{{a|b}|c} __animals/small__");
  std::set<std::string> seen;
  for (const auto& [text, count] : counts) seen.insert(text);
  EXPECT_EQ(seen.size(), 6u);
  EXPECT_TRUE(seen.contains("b a tiny mouse"));
  EXPECT_NEAR(results("{{a|b}|c}")["c"], 500, 60);
}

// Settings are kept with the text that came of it, but a manifest's resume makes them again.
TEST(Wildcards, GoByTheSeedAlone) {
  const std::string text = "{a|b|c|d} {e|f|g|h} __colour__";
  EXPECT_EQ(expand(text, 42), expand(text, 42));
  EXPECT_EQ(expand(text, 42), "c e blue");
  EXPECT_GT(results(text, 200).size(), 30u);
}

TEST(Wildcards, RefuseWhatNeverEnds) {
  EXPECT_THROW(expand("__loop__"), Error);
  EXPECT_THROW(expand("__doubling__"), Error);
  EXPECT_THROW(expand("__empty__"), Error);
  EXPECT_THROW(expand("__other__"), Error);
  EXPECT_THROW(expand("{-1::a|b}"), Error);
  EXPECT_THROW(expand("{3-2$$a|b}"), Error);
  EXPECT_THROW(expand(std::string(100, '{') + "a" + std::string(100, '}')), Error);
}

}  // namespace
}  // namespace easel
