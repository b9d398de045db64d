#include "easel/train/metrics.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include <easel/base/error.h>

#include "src/train/event_file.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::file_bytes;
using test::message_of;
using test::TempDir;
namespace fs = std::filesystem;

const double kNan = std::numeric_limits<double>::quiet_NaN();

MetricsOptions clocked(double& now, std::optional<int64_t> resume_step = std::nullopt) {
  return {.resume_step = resume_step, .tensorboard = true, .clock = [&now] { return now; }};
}

std::vector<nlohmann::json> lines(const TempDir& dir) {
  std::vector<nlohmann::json> all;
  std::istringstream text(file_bytes(dir / "metrics.jsonl"));
  for (std::string line; std::getline(text, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

std::vector<fs::path> event_files(const TempDir& dir) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(dir.path())) {
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The data of the records, every CRC checked.
std::vector<std::string> records(std::string_view file) {
  const auto number = [&](size_t at, auto value) {
    std::memcpy(&value, file.substr(at, sizeof(value)).data(), sizeof(value));
    return value;
  };
  const auto masked = [](std::string_view bytes) {
    const uint32_t crc = crc32c(bytes);
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
  };
  std::vector<std::string> all;
  while (!file.empty()) {
    const auto length = number(0, uint64_t{});
    EXPECT_EQ(number(8, uint32_t{}), masked(file.substr(0, 8)));
    if (length + 16 > file.size()) throw std::runtime_error("a record is cut off");
    all.emplace_back(file.substr(12, length));
    EXPECT_EQ(number(12 + length, uint32_t{}), masked(all.back()));
    file.remove_prefix(length + 16);
  }
  return all;
}

TEST(Crc32c, KnowsTheCheckValues) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);  // the catalogue's check value
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
}

TEST(EventFile, EqualsTensorBoardsOwn) {
  std::vector<std::byte> png(512);
  for (size_t i = 0; i < png.size(); ++i) png[i] = static_cast<std::byte>(i % 256);
  const auto scalars = [](double time, int64_t step, std::vector<Metric> metrics) {
    return tf_record(scalars_event(time, step, metrics));
  };
  const std::string first = tf_record(version_event(1700000000.25, 0)) +
                            scalars(1700000001.25, 0, {{"train/loss", 0}}) +
                            scalars(1700000002.25, 1, {{"train/loss", 1.5}, {"lr", 1e-4}}) +
                            scalars(1700000003.25, 300, {{"caf\u00e9", kNan}}) +
                            scalars(1700000004.25, 301, {{"train/loss", -2.75}}) +
                            tf_record(image_event(1700000005.25, 301, "samples", {2, 3, 3, png}));
  const std::string resumed = tf_record(version_event(1700000010.25, 301)) +
                              tf_record(session_start_event(1700000010.25, 301)) +
                              scalars(1700000011.25, 301, {{"train/loss", 4}});
  EXPECT_EQ(first, file_bytes(EASEL_TEST_DATA "/metrics/first.tfevents"));
  EXPECT_EQ(resumed, file_bytes(EASEL_TEST_DATA "/metrics/resumed.tfevents"));
}

TEST(MetricsWriter, WritesLinesAndEvents) {
  const TempDir dir;
  double now = 1700000000.5;
  MetricsWriter writer(dir.path(), clocked(now));
  now = 1700000001.5;
  const std::vector<Metric> metrics = {{"train/loss", 0.25}, {"lr", 1e-4}, {"bad", kNan}};
  writer.write(10, metrics);
  // Without closing: it is there already.
  EXPECT_EQ(file_bytes(dir / "metrics.jsonl"),
            "{\"step\":10,\"wall_time\":1700000001.5,\"train/loss\":0.25,\"lr\":0.0001,"
            "\"bad\":null}\n");
  const auto files = event_files(dir);
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].filename(), "events.out.tfevents.1700000000.easel");
  const auto events = records(file_bytes(files[0]));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0], version_event(1700000000.5, 0));
  EXPECT_EQ(events[1], scalars_event(1700000001.5, 10, metrics));
}

TEST(MetricsWriter, WritesPictures) {
  const TempDir dir;
  double now = 5;
  Image image{.width = 3, .height = 2, .channels = 3, .pixels = std::vector<uint8_t>(18, 77)};
  MetricsWriter writer(dir.path(), clocked(now));
  writer.write_image(4, "samples", image);
  const auto events = records(file_bytes(event_files(dir)[0]));
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1], image_event(5, 4, "samples", {2, 3, 3, encode_png(image)}));
  image.pixels.pop_back();
  EXPECT_THROW(writer.write_image(4, "samples", image), Error);
  EXPECT_EQ(records(file_bytes(event_files(dir)[0])).size(), 2u);
}

TEST(MetricsWriter, ResumesWithoutDoublingSteps) {
  const TempDir dir;
  double now = 100;
  {
    MetricsWriter writer(dir.path(), clocked(now));
    for (int64_t step = 1; step <= 5; ++step) {
      writer.write(step, std::vector<Metric>{{"loss", static_cast<double>(step)}});
    }
  }
  // What a crash in the middle of a write leaves, and a line that is none of ours.
  std::ofstream(dir / "metrics.jsonl", std::ios::app) << "garbage\n{\"step\": 6, \"lo";
  std::vector<std::string> log;
  {
    MetricsWriter writer(dir.path(), clocked(now, 3),
                         [&](LogLevel, std::string_view line) { log.emplace_back(line); });
    writer.write(4, std::vector<Metric>{{"loss", 40}});
  }
  const auto all = lines(dir);
  ASSERT_EQ(all.size(), 4u);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i].at("step"), i + 1);
  EXPECT_EQ(all[2].at("loss"), 3);
  EXPECT_EQ(all[3].at("loss"), 40);
  ASSERT_EQ(log.size(), 1u);
  EXPECT_NE(log[0].find("1 lines"), std::string::npos) << log[0];

  // The clock stood still, and yet the second file sorts behind the first.
  const auto files = event_files(dir);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(records(file_bytes(files[0])).size(), 6u);
  const auto events = records(file_bytes(files[1]));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0], version_event(100, 4));
  EXPECT_EQ(events[1], session_start_event(100, 4));
}

TEST(MetricsWriter, ResumesInAFolderWithoutMetrics) {
  const TempDir dir;
  MetricsWriter writer(dir / "a/b", {.resume_step = 7, .tensorboard = false});
  writer.write(8, std::vector<Metric>{{"loss", 1}});
  EXPECT_TRUE(fs::exists(dir / "a/b/metrics.jsonl"));
  EXPECT_EQ(dir.count(), 1u);
  EXPECT_TRUE(event_files(dir).empty());
}

TEST(MetricsWriter, RefusesToMixTwoRuns) {
  const TempDir dir;
  { MetricsWriter writer(dir.path()); }
  const std::string message = message_of<Error>([&] { MetricsWriter writer(dir.path()); });
  EXPECT_NE(message.find("metrics.jsonl"), std::string::npos);
  EXPECT_NE(message.find("resume"), std::string::npos);
}

TEST(MetricsWriter, RefusesNamesAndStepsThatMakeNoSense) {
  const TempDir dir;
  MetricsWriter writer(dir.path());
  for (const char* name : {"", "step", "wall_time", "caf\xE9"}) {
    EXPECT_THROW(writer.write(1, std::vector<Metric>{{name, 1}}), Error) << name;
  }
  EXPECT_THROW(writer.write(1, std::vector<Metric>{{"a", 1}, {"a", 2}}), Error);
  EXPECT_THROW(writer.write(-1, std::vector<Metric>{{"a", 1}}), Error);
  EXPECT_EQ(file_bytes(dir / "metrics.jsonl"), "");
}

TEST(MetricsWriter, SaysWhatCannotBeWritten) {
  const TempDir dir;
  const fs::path file = dir.write("file", "x");
  EXPECT_THROW(MetricsWriter(file / "run"), Error);
}

TEST(MetricsWriter, LeavesNoHalfOfALineOnAFullDisk) {
  const TempDir dir;
  double now = 1;
  MetricsWriter writer(dir.path(), clocked(now));
  const std::vector<Metric> metrics = {{"loss", 0.5}};
  writer.write(1, metrics);
  const std::string before = file_bytes(dir / "metrics.jsonl");

  // A limit on the size of files stops a write in the middle, as a full disk does.
  struct rlimit old {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit low = old;
  low.rlim_cur = before.size() + 5;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &low), 0);
  const std::string message = message_of<Error>([&] { writer.write(2, metrics); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, old_handler);

  EXPECT_NE(message.find("metrics.jsonl"), std::string::npos) << message;
  EXPECT_EQ(file_bytes(dir / "metrics.jsonl"), before);
  writer.write(3, metrics);
  EXPECT_EQ(lines(dir).back().at("step"), 3);
}

}  // namespace
}  // namespace easel
