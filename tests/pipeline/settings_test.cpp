#include "easel/pipeline/settings.h"

#include <limits>

#include <gtest/gtest.h>

#include <easel/base/error.h>

namespace easel {
namespace {

std::string message_of(const PictureSettings& settings) {
  try {
    check(settings);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::Usage);
    return error.what();
  }
  return {};
}

TEST(PictureSettings, TheDefaultsAreFine) { EXPECT_EQ(message_of({}), ""); }

TEST(PictureSettings, NamesTheNearestSizes) {
  PictureSettings settings;
  settings.width = 500;
  EXPECT_NE(message_of(settings).find("496 and 504"), std::string::npos);
  for (const int64_t size : {int64_t{0}, int64_t{-8}, int64_t{4}, int64_t{1} << 40}) {
    settings.width = size;
    EXPECT_NE(message_of(settings), "") << size;
  }
}

TEST(PictureSettings, RefusesScalesThatAreNone) {
  PictureSettings settings;
  for (const double scale :
       {-1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    settings.scale = scale;
    EXPECT_NE(message_of(settings), "") << scale;
  }
  settings.scale = 0;
  EXPECT_EQ(message_of(settings), "");
}

TEST(PictureSettings, ResolvesTheSamplersDefaults) {
  PictureSettings settings;
  EXPECT_EQ(resolved_sampler(settings).sampler, "ddim");
  EXPECT_EQ(resolved_sampler(settings).eta, 0);
  settings.sampler = "Euler-A";
  EXPECT_EQ(resolved_sampler(settings).sampler, "euler_a");
  EXPECT_EQ(resolved_sampler(settings).eta, 1);
  settings.schedule = "karras";
  EXPECT_EQ(resolved_sampler(settings).schedule, "karras");
  settings.schedule = "14.6,7.2,0";
  EXPECT_EQ(resolved_sampler(settings).schedule, "14.6,7.2,0");
  settings.schedule = "kaaras";
  EXPECT_THROW(resolved_sampler(settings), Error);
}

TEST(PictureSettings, ListsEverySampler) {
  const std::string table = sampler_table();
  for (const std::string name : {"ddim", "plms", "dpm_solver", "euler_a", "karras"}) {
    EXPECT_NE(table.find(name), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace easel
