#include "easel/pipeline/settings.h"

#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/diffusion/sampler.h>

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

TEST(PictureSettings, ASamplersNameMayNameTheScheduleToo) {
  PictureSettings settings;
  settings.sampler = "DPM++ 2M Karras";
  EXPECT_EQ(resolved_sampler(settings).sampler, "dpmpp_2m");
  EXPECT_EQ(resolved_sampler(settings).schedule, "karras");
  settings.schedule = "exponential";
  EXPECT_EQ(resolved_sampler(settings).schedule, "exponential");
  settings.sampler = "DPM++ 2M Karas";
  EXPECT_NE(message_of(settings).find("unknown sampler"), std::string::npos);
}

TEST(PictureSettings, RefusesTuningThatASamplerHasNot) {
  const auto refusal = [](const char* sampler, auto change) {
    PictureSettings settings;
    settings.sampler = sampler;
    change(settings.tuning);
    return message_of(settings);
  };
  const auto says = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  says(refusal("plms", [](SamplerTuning& tuning) { tuning.s_churn = 1; }), "euler, heun");
  says(refusal("plms", [](SamplerTuning& tuning) { tuning.s_tmax = 1; }), "euler, heun");
  says(refusal("euler", [](SamplerTuning& tuning) { tuning.order = 2; }), "unipc");
  says(refusal("unipc", [](SamplerTuning& tuning) { tuning.order = 4; }), "orders 1 to 3");
  says(refusal("unipc", [](SamplerTuning& tuning) { tuning.solver = "heun"; }), "bh1,bh2");
  says(refusal("euler", [](SamplerTuning& tuning) { tuning.rtol = 0.1; }), "dpm_adaptive");
  says(refusal("euler", [](SamplerTuning& tuning) { tuning.clip_denoised = true; }), "ddpm");
  says(refusal("euler", [](SamplerTuning& tuning) { tuning.guidance_rescale = 2; }), "0 to 1");
  for (const char* interval : {"0.5", "0.5,0.2", "0,2", "0.1,x", "-1,1", "0,0.5,1", ","}) {
    says(refusal("euler", [&](SamplerTuning& tuning) { tuning.guidance_interval = interval; }),
         "guidance-interval");
  }
  for (const char* scales : {"x", "7,-1", "7;5"}) {
    says(refusal("euler", [&](SamplerTuning& tuning) { tuning.guidance_schedule = scales; }),
         "guidance-schedule");
  }
  PictureSettings one;
  one.sampler = "unipc";
  one.steps = 1;
  says(message_of(one), "at least 2");
  EXPECT_EQ(refusal("euler", [](SamplerTuning& tuning) { tuning.s_churn = 3; }), "");
  EXPECT_EQ(refusal("unipc", [](SamplerTuning& tuning) { tuning.solver = "bh2"; }), "");
}

TEST(PictureSettings, ListsEverySampler) {
  const std::string table = sampler_table();
  for (const SamplerInfo& sampler : samplers()) {
    EXPECT_NE(table.find(fmt::format("\n  {} ", sampler.name)), std::string::npos) << sampler.name;
  }
  for (const char* part : {"karras", "DPMSolverMultistepScheduler", "arXiv 2302.04867", "bh1, bh2",
                           "needs 2 steps", "1-4"}) {
    EXPECT_NE(table.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace easel
