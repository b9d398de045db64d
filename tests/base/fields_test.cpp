#include "easel/base/fields.h"

#include <gtest/gtest.h>

#include "easel/base/utf8.h"

namespace easel {
namespace {

struct Sample {
  int64_t steps = 50;
  std::optional<double> eta;
  std::vector<std::string> names;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit(self.steps, FieldInfo{.name = "steps", .aliases = "ddim_steps"});
    visit(self.eta, FieldInfo{.name = "eta"});
    visit(self.names, FieldInfo{.name = "names"});
  }
};

TEST(Fields, AreVisitedInOrder) {
  const Sample sample;
  std::string seen;
  visit_fields(sample, [&](const auto& field, const FieldInfo& info) {
    seen += std::string(info.name) + "=" + field_text(field) + ";";
  });
  EXPECT_EQ(seen, "steps=50;eta=;names=;");
}

TEST(Fields, CanBeSetThroughTheList) {
  Sample sample;
  visit_fields(sample, [](auto& field, const FieldInfo&) { EXPECT_TRUE(parse_field("1", field)); });
  EXPECT_EQ(sample.steps, 1);
  EXPECT_EQ(sample.eta, 1.0);
  EXPECT_EQ(sample.names, std::vector<std::string>{"1"});
}

TEST(ParseField, TakesWholeNumbersOnlyWhole) {
  int64_t value = 7;
  for (const std::string_view bad :
       {"", " 1", "1 ", "1.0", "1e3", "x", "--1", "+-1", "0x10", "9223372036854775808", "+", "-"}) {
    EXPECT_FALSE(parse_field(bad, value)) << bad;
  }
  EXPECT_EQ(value, 7);
  EXPECT_TRUE(parse_field("-9223372036854775808", value));
  EXPECT_EQ(value, std::numeric_limits<int64_t>::min());
  EXPECT_TRUE(parse_field("+5", value));
  EXPECT_EQ(value, 5);
}

TEST(ParseField, TakesFiniteNumbers) {
  double value = 7;
  for (const std::string_view bad : {"", "nan", "inf", "-inf", "1e999", "1,5", "7.5x", "."}) {
    EXPECT_FALSE(parse_field(bad, value)) << bad;
  }
  EXPECT_EQ(value, 7);
  EXPECT_TRUE(parse_field("7.5", value));
  EXPECT_EQ(value, 7.5);
  EXPECT_TRUE(parse_field("-1e-3", value));
  EXPECT_EQ(value, -1e-3);
}

TEST(ParseField, TakesFlagsAndPaths) {
  bool flag = false;
  EXPECT_TRUE(parse_field("yes", flag));
  EXPECT_TRUE(flag);
  EXPECT_TRUE(parse_field("0", flag));
  EXPECT_FALSE(flag);
  EXPECT_FALSE(parse_field("2", flag));
  std::filesystem::path path;
  EXPECT_FALSE(parse_field("", path));
  EXPECT_TRUE(parse_field("a b/c", path));
  EXPECT_EQ(path, "a b/c");
}

TEST(FieldText, IsReadBackExactly) {
  for (const double value : {0.1, 1.0 / 3, 7.5, 1e-300, 12345678.9}) {
    double back = 0;
    ASSERT_TRUE(parse_field(field_text(value), back));
    EXPECT_EQ(back, value);
  }
  EXPECT_EQ(field_text(7.5), "7.5");
  EXPECT_EQ(field_text(true), "true");
}

TEST(SplitList, DropsSpacesAndEmptyParts) {
  EXPECT_EQ(split_list("a, b,,c"), (std::vector<std::string_view>{"a", "b", "c"}));
  EXPECT_TRUE(split_list("").empty());
}

TEST(Utf8, FollowsTheStandardsTable) {
  for (const std::string_view good : {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                      "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_valid_utf8(good));
  }
  for (const std::string_view bad : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
                                     "\xf4\x90\x80\x80", "\xff", "a\xe2\x82"}) {
    EXPECT_FALSE(is_valid_utf8(bad));
  }
}

}  // namespace
}  // namespace easel
