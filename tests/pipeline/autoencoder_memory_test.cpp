#include "src/pipeline/autoencoder_memory.h"

#include <fstream>

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "src/pipeline/free_memory.h"

namespace easel {
namespace {

// What the work was called with, and how often the log said that memory is short.
struct Seen {
  std::vector<int64_t> strips;
  int said = 0;
};

template <class Whole>
Seen run(const AutoencoderMemory& memory, VaeTiling tiling, const Whole& whole) {
  Seen seen;
  const auto log = [&](LogLevel, std::string_view line) {
    seen.said += line.find("memory is short") != std::string_view::npos ? 1 : 0;
  };
  memory.run(tiling, log, [&](int64_t strip) {
    seen.strips.push_back(strip);
    if (strip == 0) whole();
    return strip;
  });
  return seen;
}

AutoencoderMemory memory_for(int64_t side, at::Device device = at::kCPU) {
  return {AutoencoderConfig{}, {1, 3, side, side}, at::kFloat, device};
}

TEST(AutoencoderMemory, WorksAsAWholeWhileThereIsEnough) {
  const Seen seen = run(memory_for(64), VaeTiling::Auto, [] {});
  EXPECT_EQ(seen.strips, std::vector<int64_t>{0});
  EXPECT_EQ(seen.said, 0);
  // 512 x 512 at three times 256 and 128 channels of four bytes.
  EXPECT_EQ(memory_for(512).needed(), int64_t{512} * 512 * 896 * 4);
}

TEST(AutoencoderMemory, WorksInStripsWhereThereIsTooLittle) {
  const Seen seen = run(memory_for(1 << 16), VaeTiling::Auto, [] {});  // ten terabytes
  ASSERT_EQ(seen.strips.size(), 1u);
  EXPECT_GT(seen.strips[0], 0);
  EXPECT_EQ(seen.said, 1);
}

TEST(AutoencoderMemory, TriesAgainInStripsWhereMemoryRunsOut) {
  const auto gpu = [] { TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory"); };
  const auto cpu = [] { throw std::bad_alloc(); };
  const auto refused = [] { TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory"); };
  for (const std::function<void()>& fails : std::vector<std::function<void()>>{gpu, cpu, refused}) {
    const Seen seen = run(memory_for(64), VaeTiling::Auto, fails);
    ASSERT_EQ(seen.strips.size(), 2u);
    EXPECT_GT(seen.strips[1], 0);
    EXPECT_EQ(seen.said, 1);
    EXPECT_ANY_THROW(run(memory_for(64), VaeTiling::Off, fails));
  }
  const auto mistake = [] { TORCH_CHECK(false, "shapes do not match"); };
  EXPECT_THROW(run(memory_for(64), VaeTiling::Auto, mistake), c10::Error);
}

TEST(AutoencoderMemory, DoesAsItIsTold) {
  const auto never = [] { FAIL() << "worked as a whole"; };
  EXPECT_EQ(run(memory_for(64), VaeTiling::On, never).said, 0);
  EXPECT_EQ(run(memory_for(1 << 16), VaeTiling::Off, [] {}).strips, std::vector<int64_t>{0});
  // A GPU is asked for its memory by trying.
  EXPECT_EQ(run(memory_for(1 << 16, at::kCUDA), VaeTiling::Auto, [] {}).strips,
            std::vector<int64_t>{0});
}

TEST(FreeMemory, IsPlausible) {
  if (!std::ifstream("/proc/meminfo")) GTEST_SKIP() << "no Linux";
  const auto free = free_memory();
  ASSERT_TRUE(free);
  EXPECT_GT(*free, int64_t{1} << 20);
  EXPECT_LT(*free, int64_t{1} << 46);
}

}  // namespace
}  // namespace easel
