#include "easel/base/error.h"

#include <array>

#include <gtest/gtest.h>

namespace easel {
namespace {

TEST(Error, CarriesItsKind) {
  try {
    fail_usage("width {} is not a multiple of 8", 513);
    FAIL() << "no exception";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    EXPECT_STREQ(error.what(), "width 513 is not a multiple of 8");
  }
}

TEST(UnknownName, SuggestsTheNearestAndListsNearestFirst) {
  constexpr std::array<std::string_view, 3> known{"ddim", "plms", "euler"};
  EXPECT_EQ(unknown_name("sampler", "eular", known),
            "unknown sampler 'eular'; did you mean 'euler'? Known: euler, plms, ddim");
}

TEST(UnknownName, SuggestsNothingFarAway) {
  constexpr std::array<std::string_view, 2> known{"ddim", "plms"};
  EXPECT_EQ(unknown_name("sampler", "banana", known),
            "unknown sampler 'banana'. Known: ddim, plms");
}

TEST(Printable, EscapesControlsAndInvalidUtf8) {
  EXPECT_EQ(printable("a\x1b[31m\nb"), "a\\x1b[31m\\nb");
  EXPECT_EQ(printable("\xff\xc3\xa9\xc0\x80"), "\\xff\xc3\xa9\\xc0\\x80");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");
}

TEST(Printable, CutsLongText) { EXPECT_EQ(printable("abcdef", 3), "abc..."); }

}  // namespace
}  // namespace easel
