#include "easel/pipeline/machine.h"

#include <algorithm>

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "src/pipeline/cuda_driver.h"

namespace easel {
namespace {

// A machine with nothing to complain about.
Machine good_machine() {
  return {.libtorch = "2.11.0",
          .libtorch_folder = "/opt/torch/lib",
          .libtorch_cuda = 13000,
          .cudnn = 91002,
          .usable_gpus = 1,
          .gpu_on_bus = true,
          .driver = "580.65.06",
          .driver_cuda = 13000,
          .driver_error = {},
          .gpus = {{.name = "H100", .major = 9, .minor = 0, .memory_bytes = 80'000'000'000}},
          .processor = "EPYC",
          .instructions = {"avx2", "avx512_bf16"},
          .cores = 16,
          .threads = 16,
          .memory_bytes = 64'000'000'000,
          .free_bytes = 32'000'000'000};
}

Finding finding_of(const Machine& machine, const std::string& topic) {
  for (const Finding& finding : examine(machine)) {
    if (finding.topic == topic) return finding;
  }
  ADD_FAILURE() << "nothing about " << topic;
  return {};
}

void expect_in(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
}

TEST(Machine, IsDescribedWithoutAdviceWhereAllIsWell) {
  const Machine machine = good_machine();
  for (const Finding& finding : examine(machine)) {
    EXPECT_EQ(finding.fix, "") << finding.topic;
    EXPECT_FALSE(finding.prevents) << finding.topic;
  }
  EXPECT_EQ(finding_of(machine, "LibTorch").found,
            "2.11.0, for CUDA 13.0 and cuDNN 9.10.2, in /opt/torch/lib");
  EXPECT_EQ(finding_of(machine, "GPU").found,
            "H100 (80.0 GB, compute capability 9.0); driver 580.65.06; CUDA up to 13.0");
  expect_in(finding_of(machine, "Processor").found, "EPYC, avx2 avx512_bf16, 16 of 16 cores");
  EXPECT_EQ(finding_of(machine, "Memory").found, "32.0 GB of 64.0 GB free");
}

TEST(Machine, WithoutAGpuNeedsNone) {
  Machine machine = good_machine();
  machine.usable_gpus = 0;
  machine.gpu_on_bus = false;
  machine.driver = machine.driver_error = "";
  machine.driver_cuda = 0;
  machine.gpus.clear();
  EXPECT_EQ(finding_of(machine, "GPU").fix, "");
  expect_in(finding_of(machine, "GPU").found, "on the processor");
}

TEST(Machine, SaysWhyAGpuCannotBeUsed) {
  Machine machine = good_machine();
  machine.usable_gpus = 0;
  expect_in(finding_of(machine, "GPU").fix, "CUDA_VISIBLE_DEVICES");
  machine.driver_error = "no CUDA-capable device is detected";
  expect_in(finding_of(machine, "GPU").fix, "answers 'no CUDA-capable device is detected'");
  machine.driver_cuda = 12040;
  expect_in(finding_of(machine, "GPU").fix, "serves CUDA 12.4 and LibTorch needs 13.0");
  machine.libtorch_cuda = 0;
  expect_in(finding_of(machine, "GPU").fix, "built without CUDA");
  expect_in(finding_of(machine, "LibTorch").found, "without CUDA");
  machine.driver_cuda = 0;
  machine.gpus.clear();
  expect_in(finding_of(machine, "GPU").fix, "--gpus all");
  machine.driver = "";
  expect_in(finding_of(machine, "GPU").fix, "nvidia-driver");
}

TEST(Machine, SaysWhatIsScarce) {
  Machine machine = good_machine();
  machine.threads = 1;
  expect_in(finding_of(machine, "Processor").fix, "OMP_NUM_THREADS");
  machine.instructions = {"f16c"};
  expect_in(finding_of(machine, "Processor").fix, "AVX2");
  machine.free_bytes = 5'000'000'000;
  expect_in(finding_of(machine, "Memory").fix, "--dtype bfloat16");
  machine.free_bytes = 1'000'000'000;
  expect_in(finding_of(machine, "Memory").fix, "smaller pictures");
  machine.gpus[0].memory_bytes = 2'000'000'000;
  expect_in(finding_of(machine, "GPU").fix, "float16");
}

TEST(Machine, ThatThisIsHasWhatIsNeeded) {
  const Machine machine = look_at_machine();
  EXPECT_FALSE(machine.libtorch.empty());
  EXPECT_TRUE(machine.libtorch_folder.starts_with("/")) << machine.libtorch_folder;
  EXPECT_GE(machine.cores, 1);
  EXPECT_GE(machine.threads, 1);
  EXPECT_FALSE(machine.instructions.empty());
  EXPECT_GT(machine.memory_bytes, 0);
  EXPECT_GT(machine.free_bytes, 0);
  EXPECT_LE(machine.free_bytes, machine.memory_bytes);
  EXPECT_LE(machine.usable_gpus, static_cast<int64_t>(machine.gpus.size()));
}

TEST(Numbers, AreTriedOnTheProcessor) {
  const std::vector<NumberSpeed> speeds = try_numbers("cpu");
  ASSERT_EQ(speeds.size(), 3u);
  for (const NumberSpeed& speed : speeds) {
    EXPECT_EQ(speed.error, "") << speed.dtype;
    EXPECT_GT(speed.gigaflops, 0) << speed.dtype;
  }
  EXPECT_THROW(try_numbers("cuda:99"), Error);
  const Finding finding = examine("cpu", {{.dtype = "float32", .gigaflops = 33.4, .error = {}},
                                          {.dtype = "float16", .gigaflops = 0, .error = "not so"}});
  EXPECT_EQ(finding.found,
            "billions of operations a second on cpu: float32 33.4, float16 does not work");
  EXPECT_EQ(finding.fix, "float16: not so");
  EXPECT_FALSE(finding.prevents);
}

TEST(DriverVersion, IsFoundInTheKernelsText) {
  EXPECT_EQ(driver_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 "
                           "07:05:28 UTC 2025\nGCC version:  gcc version 12.2.0\n"),
            "580.65.06");
  EXPECT_EQ(driver_version("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  "
                           "Release Build"),
            "570.124.06");
  EXPECT_EQ(driver_version(""), "");
  EXPECT_EQ(driver_version("no version here\n12.2"), "");
}

}  // namespace
}  // namespace easel
