#include "easel/train/lr_schedule.h"

#include <filesystem>
#include <limits>

#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "src/train/lr_schedule_params.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::message_of;

const std::vector<LrCycle> kCycles = {
    {10, 100, 0.01, 1.0, 0.1}, {0, 301, 0.2, 0.5, 0.05}, {25, 57, 0.0, 0.3, 0.0}};
const LrCycle kV1{10000, 10000000000000, 1e-6, 1.0, 1.0};
const LrCycle kCosine{100, 1000, 0.001, 1.5, 0.05};

// Every row (step, multiplier) of CompVis's own schedule, to the last bits of a double.
void expect_compvis(const std::string& name, const LrScheduleOptions& options) {
  check_lr_schedule(options);
  const Tensor rows =
      read_npy(std::filesystem::path(EASEL_TEST_DATA "/lr_schedules") / (name + ".npy"));
  ASSERT_GT(rows.size(0), 100);
  const double* row = rows.data_ptr<double>();
  for (int64_t i = 0; i < rows.size(0); ++i, row += 2) {
    ASSERT_NEAR(lr_multiplier(options, static_cast<int64_t>(row[0])), row[1], 1e-15)
        << name << " at step " << row[0];
  }
}

TEST(LrSchedule, IsCompVissLinearOne) {
  expect_compvis("linear_v1", {LrScheduleKind::Linear, {kV1}});
  expect_compvis("linear_cycles", {LrScheduleKind::Linear, kCycles});
}

TEST(LrSchedule, IsCompVissCosine) {
  expect_compvis("cosine", {LrScheduleKind::Cosine, {kCosine}});
  expect_compvis("cosine_cycles", {LrScheduleKind::CosineCycles, kCycles});
}

TEST(LrSchedule, ConstantIsOne) {
  const LrScheduleOptions constant;
  check_lr_schedule(constant);
  for (const int64_t step : {int64_t{0}, int64_t{1}, std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(lr_multiplier(constant, step), 1);
  }
}

TEST(LrSchedule, KeepsItsEndAfterTheLastCycle) {
  for (const auto kind : {LrScheduleKind::Linear, LrScheduleKind::CosineCycles}) {
    const LrScheduleOptions options{kind, {kCycles[0], kCycles[1]}};
    EXPECT_DOUBLE_EQ(lr_multiplier(options, 401), 0.05);
    EXPECT_DOUBLE_EQ(lr_multiplier(options, 402), 0.05);
    EXPECT_DOUBLE_EQ(lr_multiplier(options, std::numeric_limits<int64_t>::max()), 0.05);
  }
}

TEST(LrSchedule, AWarmUpLongerThanALinearCycleIsCutShort) {
  const LrScheduleOptions options{LrScheduleKind::Linear, {{20, 10, 0.0, 1.0, 0.0}}};
  check_lr_schedule(options);
  EXPECT_DOUBLE_EQ(lr_multiplier(options, 10), 0.5);
}

TEST(LrSchedule, RefusesNumbersThatMakeNoSense) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refused = [](LrScheduleOptions options) {
    return message_of<Error>([&] { check_lr_schedule(options); });
  };
  EXPECT_NE(refused({LrScheduleKind::Linear, {}}), "");
  EXPECT_NE(refused({LrScheduleKind::Constant, {kV1}}), "");
  EXPECT_NE(refused({LrScheduleKind::Cosine, {kV1, kV1}}), "");
  EXPECT_NE(refused({LrScheduleKind::Linear, {{0, 0, 0, 1, 1}}}), "");
  EXPECT_NE(refused({LrScheduleKind::Linear, {{-1, 10, 0, 1, 1}}}), "");
  EXPECT_NE(refused({LrScheduleKind::Linear, {{0, 10, 0, nan, 1}}}), "");
  EXPECT_NE(refused({LrScheduleKind::Linear, {{0, 10, 0, 1, -0.5}}}), "");
  EXPECT_NE(refused({LrScheduleKind::Cosine, {{10, 10, 0, 1, 0}}}), "");
  const LrCycle huge{0, int64_t{1} << 60, 0, 1, 1};
  EXPECT_EQ(refused({LrScheduleKind::Linear, {huge}}), "");
  EXPECT_NE(refused({LrScheduleKind::Linear, {huge, kV1}}), "");
}

TEST(LrSchedule, IsFoundByItsTarget) {
  EXPECT_EQ(lr_schedule_kind("ldm.lr_scheduler.LambdaLinearScheduler"), LrScheduleKind::Linear);
  EXPECT_EQ(lr_schedule_kind("ldm.lr_scheduler.LambdaWarmUpCosineScheduler"),
            LrScheduleKind::Cosine);
  EXPECT_EQ(lr_schedule_kind("ldm.lr_scheduler.LambdaWarmUpCosineScheduler2"),
            LrScheduleKind::CosineCycles);
  const std::string message =
      message_of<Error>([] { lr_schedule_kind("ldm.lr_scheduler.LambdaLinearSchedule"); });
  EXPECT_NE(message.find("did you mean 'ldm.lr_scheduler.LambdaLinearScheduler'"),
            std::string::npos)
      << message;
}

LrScheduleOptions read(LrScheduleKind kind, const std::string& yaml) {
  ConfigMap params = ConfigMap::parse(yaml, "a.yaml");
  LrScheduleOptions options{kind, {}};
  read_lr_schedule_params(params, options);
  params.finish();
  return options;
}

TEST(LrScheduleParams, AreReadUnderCompVissNames) {
  const auto v1 = read(LrScheduleKind::Linear,
                       "warm_up_steps: [ 10000 ]\ncycle_lengths: [ 10000000000000 ]\n"
                       "f_start: [ 1.e-6 ]\nf_max: [ 1. ]\nf_min: [ 1. ]\n");
  ASSERT_EQ(v1.cycles.size(), 1u);
  EXPECT_EQ(v1.cycles[0].warm_up_steps, 10000);
  EXPECT_EQ(v1.cycles[0].cycle_length, 10000000000000);
  EXPECT_EQ(v1.cycles[0].f_start, 1e-6);
  EXPECT_EQ(v1.cycles[0].f_min, 1);

  const auto cosine = read(LrScheduleKind::Cosine,
                           "warm_up_steps: 100\nmax_decay_steps: 1000\nlr_start: 0.001\n"
                           "lr_max: 1.5\nlr_min: 0.05\nverbosity_interval: 0\n");
  expect_compvis("cosine", cosine);
}

TEST(LrScheduleParams, NameTheLineAndKeyThatIsWrong) {
  const std::string yaml =
      "warm_up_steps: [1, 2]\ncycle_lengths: [10, 20]\nf_start: [0, 0]\nf_max: [1, 1]\n";
  const auto refused = [&](const std::string& rest) {
    return message_of<Error>([&] { read(LrScheduleKind::Linear, yaml + rest); });
  };
  EXPECT_EQ(refused("f_min: [1, 1]\n"), "");
  EXPECT_NE(refused("").find("f_min"), std::string::npos);
  EXPECT_NE(refused("f_min: [1]\n").find("a.yaml:5"), std::string::npos);
  EXPECT_NE(refused("f_min: [1, x]\n").find("list of numbers"), std::string::npos);
  EXPECT_NE(refused("f_min: [1, -1]\n"), "");
  EXPECT_NE(refused("f_min: [1, 1]\nf_mid: [1, 1]\n").find("f_mid"), std::string::npos);
}

}  // namespace
}  // namespace easel
