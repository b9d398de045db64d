#include "easel/io/sheet.h"

#include <algorithm>

#include <gtest/gtest.h>

#include <easel/base/error.h>

namespace easel {
namespace {

Image flat(uint8_t value, int width = 64, int height = 32) {
  const size_t size = 3 * static_cast<size_t>(width) * static_cast<size_t>(height);
  return {
      .width = width, .height = height, .channels = 3, .pixels = std::vector<uint8_t>(size, value)};
}

uint8_t at(const Image& image, int x, int y) {
  return image.pixels[3 * (static_cast<size_t>(y) * static_cast<size_t>(image.width) +
                           static_cast<size_t>(x))];
}

bool has_ink(const Image& image, int left, int top, int right, int bottom) {
  for (int y = top; y < bottom; ++y) {
    for (int x = left; x < right; ++x) {
      if (at(image, x, y) == 0) return true;
    }
  }
  return false;
}

TEST(MakeSheet, WithoutWordsIsAGrid) {
  const Image sheet = make_sheet({flat(10), flat(20), flat(30), flat(40)}, {"", ""}, {"", ""});
  EXPECT_EQ(sheet.width, 2 * (64 + 8));
  EXPECT_EQ(sheet.height, 2 * (32 + 8));
  EXPECT_EQ(at(sheet, 63, 31), 10);
  EXPECT_EQ(at(sheet, 64, 31), 255);
  EXPECT_EQ(at(sheet, 72, 0), 20);
  EXPECT_EQ(at(sheet, 0, 40), 30);
  EXPECT_EQ(at(sheet, 135, 71), 40);
}

TEST(MakeSheet, HasWordsAboveAndBeside) {
  const Image sheet = make_sheet({flat(200), flat(200)}, {"left", ""}, {"row"});
  const int side = sheet.width - 2 * (64 + 8);
  const int top = sheet.height - (32 + 8);
  EXPECT_GT(side, 16);
  EXPECT_EQ(top, 24 + 8);
  EXPECT_TRUE(has_ink(sheet, side, 0, side + 64, top));
  EXPECT_FALSE(has_ink(sheet, side + 72, 0, sheet.width, top));
  EXPECT_TRUE(has_ink(sheet, 0, top, side, sheet.height));
  EXPECT_EQ(at(sheet, side, top), 200);
}

TEST(MakeSheet, WrapsLongWordsAndCutsEndlessOnes) {
  const int one = make_sheet({flat(9)}, {"a b"}, {""}).height;
  const int two = make_sheet({flat(9)}, {"several words"}, {""}).height;
  EXPECT_GT(two, one);
  const Image endless = make_sheet({flat(9)}, {std::string(100000, 'w')}, {std::string(9999, 'i')});
  EXPECT_LE(endless.height, 32 + 8 + 6 * 24 + 8);
  EXPECT_LE(endless.width, 3 * 64);
}

TEST(MakeSheet, ShowsOtherScriptsAsQuestionMarks) {
  const auto sheet = [](const char* text) { return make_sheet({flat(9)}, {text}, {""}).pixels; };
  EXPECT_EQ(sheet("\xe7\x8c\xab!"), sheet("?!"));
  EXPECT_EQ(sheet("\xff\x01"), sheet("??"));
}

TEST(MakeSheet, RefusesWhatDoesNotFit) {
  EXPECT_THROW(make_sheet({}, {}, {}), Error);
  EXPECT_THROW(make_sheet({flat(1)}, {"a", "b"}, {"c"}), Error);
  EXPECT_THROW(make_sheet({flat(1), flat(1, 32)}, {"a", "b"}, {"c"}), Error);
}

}  // namespace
}  // namespace easel
