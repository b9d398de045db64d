#include <cstring>
#include <set>

#include <gtest/gtest.h>

#include <easel/base/utf8.h>
#include <easel/io/image.h>

#include "easel/capi/easel.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

using test::TempDir;

const std::filesystem::path& model_file() {
  static const TempDir folder;
  static const auto file = test::write_tiny_model(folder.path(), EASEL_CLIP_VOCABULARY);
  return file;
}

class CApi : public ::testing::Test {
 protected:
  CApi() {
    set("model", model_file().string());
    set("data", EASEL_DATA);
    set("device", "cpu");
    set("prompt", "a cat");
    set("steps", "2");
    set("W", "32");
    set("H", "48");
  }
  ~CApi() override {
    easel_pictures_free(pictures_);
    easel_close(model_);
    easel_options_free(options_);
  }
  void set(const char* name, const std::string& value) {
    const easel_status status = easel_options_set(options_, name, value.c_str());
    ASSERT_EQ(status.code, EASEL_OK) << status.message;
    EXPECT_STREQ(status.message, "");
  }
  easel_status draw() {
    easel_pictures_free(pictures_);
    pictures_ = nullptr;
    if (model_ == nullptr) {
      const easel_status status = easel_open(options_, &model_);
      if (status.code != EASEL_OK) return status;
    }
    return easel_draw(model_, options_, &pictures_);
  }
  void expect_fault(const easel_status& status, int code, const std::string& part) {
    EXPECT_EQ(status.code, code) << status.message;
    EXPECT_NE(std::string(status.message).find(part), std::string::npos) << status.message;
  }

  easel_options* options_ = easel_options_new();
  easel_model* model_ = nullptr;
  easel_pictures* pictures_ = nullptr;
  TempDir folder_;
};

TEST_F(CApi, KnowsItsVersion) {
  int major = 0, minor = 0, patch = 0;
  ASSERT_EQ(std::sscanf(easel_version(), "%d.%d.%d", &major, &minor, &patch), 3);
  EXPECT_EQ(easel_version_number(), static_cast<uint32_t>(major * 10000 + minor * 100 + patch));
}

TEST_F(CApi, ListsItsOptions) {
  std::set<std::string> names;
  for (size_t i = 0; easel_option_name(i) != nullptr; ++i) {
    EXPECT_TRUE(names.insert(easel_option_name(i)).second) << easel_option_name(i);
    EXPECT_STRNE(easel_option_help(i), "") << easel_option_name(i);
  }
  EXPECT_TRUE(names.contains("sampler") && names.contains("s-churn"));
  EXPECT_EQ(easel_option_help(names.size()), nullptr);
}

TEST_F(CApi, DrawsPicturesWithSeedsOfTheirOwn) {
  set("n", "2");
  set("seed", "7");
  ASSERT_EQ(draw().code, EASEL_OK);
  ASSERT_EQ(easel_pictures_count(pictures_), 2u);
  const easel_picture second = easel_pictures_get(pictures_, 1);
  EXPECT_EQ(second.width, 32);
  EXPECT_EQ(second.height, 48);
  EXPECT_EQ(second.seed, 8u);
  const std::vector<uint8_t> pixels(second.pixels, second.pixels + 3 * 32 * 48);
  EXPECT_EQ(easel_pictures_get(pictures_, 2).pixels, nullptr);

  set("n", "1");
  set("seed", "8");
  ASSERT_EQ(draw().code, EASEL_OK);
  const easel_picture alone = easel_pictures_get(pictures_, 0);
  int worst = 0;
  for (size_t i = 0; i < pixels.size(); ++i) {
    worst = std::max(worst, std::abs(pixels[i] - alone.pixels[i]));
  }
  EXPECT_LE(worst, 1);
}

TEST_F(CApi, SavesAndStartsFromPictures) {
  ASSERT_EQ(draw().code, EASEL_OK);
  const std::string file = folder_ / "out.png";
  EXPECT_EQ(easel_pictures_save(pictures_, 0, file.c_str(), 0).code, EASEL_OK);
  const easel_picture picture = easel_pictures_get(pictures_, 0);
  const Image read = read_image(file);
  ASSERT_EQ(read.pixels.size(), size_t{3} * 32 * 48);
  EXPECT_EQ(std::memcmp(read.pixels.data(), picture.pixels, read.pixels.size()), 0);
  expect_fault(easel_pictures_save(pictures_, 0, file.c_str(), 0), EASEL_FAILED, "out.png");
  EXPECT_EQ(easel_pictures_save(pictures_, 0, file.c_str(), 1).code, EASEL_OK);
  expect_fault(easel_pictures_save(pictures_, 0, "x.gif", 0), EASEL_USAGE, ".png");
  expect_fault(easel_pictures_save(pictures_, 1, file.c_str(), 1), EASEL_USAGE, "numbered from 0");

  set("init-img", file);
  set("strength", "0.01");
  ASSERT_EQ(draw().code, EASEL_OK);
  const easel_picture again = easel_pictures_get(pictures_, 0);
  EXPECT_EQ(again.width, 32);
  EXPECT_EQ(again.height, 48);
}

TEST_F(CApi, ReturnsWhatIsWrong) {
  expect_fault(easel_options_set(options_, "stepz", "2"), EASEL_USAGE, "did you mean 'steps'");
  expect_fault(easel_options_set(options_, "steps", "2.5"), EASEL_USAGE, "a whole number");
  expect_fault(easel_options_set(nullptr, "steps", "2"), EASEL_USAGE, "options is NULL");
  expect_fault(easel_options_set(options_, "steps", nullptr), EASEL_USAGE, "value is NULL");
  expect_fault(easel_draw(nullptr, options_, &pictures_), EASEL_USAGE, "model is NULL");
  expect_fault(easel_open(options_, nullptr), EASEL_USAGE, "model is NULL");
  EXPECT_EQ(easel_pictures_count(nullptr), 0u);
  set("mask", "mask.png");
  expect_fault(draw(), EASEL_USAGE, "needs 'init-img'");
  set("n", "0");
  expect_fault(draw(), EASEL_USAGE, "'n' is 0");
  easel_close(model_);
  model_ = nullptr;
  set("model", "/nowhere");
  expect_fault(draw(), EASEL_FAILED, "/nowhere");
  EXPECT_EQ(model_, nullptr);
}

TEST_F(CApi, CutsMessagesBetweenCharacters) {
  for (std::string path : {"/", "/x"}) {
    for (int i = 0; i < 1000; ++i) path += "\xc3\xa9";
    set("model", path);
    const easel_status status = easel_open(options_, &model_);
    EXPECT_EQ(status.code, EASEL_FAILED);
    EXPECT_GE(std::strlen(status.message), sizeof status.message - 2);
    EXPECT_TRUE(is_valid_utf8(status.message)) << status.message;
  }
}

TEST_F(CApi, CallsBackAndCanBeCancelled) {
  struct Seen {
    std::vector<int64_t> steps;
    int64_t last = 0;
    std::vector<std::string> lines;
  } seen;
  easel_options_on_step(
      options_,
      [](void* user, int64_t step, int64_t) {
        auto& record = *static_cast<Seen*>(user);
        record.steps.push_back(step);
        return step == record.last ? 1 : 0;
      },
      &seen);
  easel_options_on_log(
      options_,
      [](void* user, int, const char* line) { static_cast<Seen*>(user)->lines.emplace_back(line); },
      &seen);
  std::string words;
  for (int i = 0; i < 200; ++i) words += "cat ";
  set("prompt", words);
  EXPECT_EQ(draw().code, EASEL_OK);
  EXPECT_EQ(seen.steps, (std::vector<int64_t>{1, 2}));
  EXPECT_FALSE(seen.lines.empty()) << "a prompt that is cut is told about";
  seen.last = 1;
  seen.steps.clear();
  expect_fault(draw(), EASEL_CANCELLED, "cancelled");
  EXPECT_EQ(seen.steps.size(), 1u);
  EXPECT_EQ(pictures_, nullptr);
}

}  // namespace
}  // namespace easel
