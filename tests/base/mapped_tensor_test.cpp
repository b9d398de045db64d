#include "easel/base/mapped_tensor.h"

#include <fstream>
#include <vector>

#include <ATen/ATen.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

constexpr int64_t kNumbers = 4 << 20;

// Of this process, in bytes.
int64_t resident() {
  int64_t total = 0;
  int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> total >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

// 0, 1, 2 ... in float32 in a file, which is gone by its name, mapped as MappedFile does.
std::shared_ptr<const void> mapped_numbers() {
  const Tensor numbers = at::arange(kNumbers, at::kFloat);
  const auto size = static_cast<size_t>(numbers.nbytes());
  const test::TempDir folder;
  const auto path =
      folder.write("numbers", {static_cast<const char*>(numbers.const_data_ptr()), size});
  const int file = open(path.c_str(), O_RDONLY);
  EXPECT_GE(file, 0);
  void* const memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  EXPECT_NE(memory, MAP_FAILED);
  close(file);
  return {memory, [size](const void* data) { munmap(const_cast<void*>(data), size); }};
}

TEST(MappedTensor, KeepsItsOwnerAndItsNumbers) {
  auto owner = mapped_numbers();
  const void* const data = owner.get();
  const std::weak_ptr<const void> watch = owner;
  Tensor numbers = mapped_tensor(std::move(owner), data, {kNumbers}, at::kFloat);
  const Tensor middle = numbers.narrow(0, 1000, 50);
  numbers.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_TRUE(at::equal(middle, at::arange(1000, 1050, at::kFloat)));
}

TEST(MappedTensor, TakesNoMemoryWhenLetGoOf) {
  auto owner = mapped_numbers();
  const void* const data = owner.get();
  const Tensor numbers = mapped_tensor(std::move(owner), data, {4, kNumbers / 4}, at::kFloat);
  const double sum = numbers.sum(at::kDouble).item<double>();
  const int64_t before = resident();
  let_go_of_pages(numbers[1]);
  EXPECT_LT(resident(), before - 3 * (1 << 20));  // a view: its quarter of the 16 MiB
  let_go_of_pages(numbers);
  EXPECT_LT(resident(), before - 14 * (1 << 20));
  EXPECT_EQ(numbers.sum(at::kDouble).item<double>(), sum);
}

TEST(MappedTensor, OthersAreLeftAlone) {
  const Tensor numbers = at::arange(kNumbers, at::kFloat);
  std::vector<float> outside(kNumbers, 3);
  const Tensor blob = at::from_blob(outside.data(), {kNumbers});
  let_go_of_pages(numbers);
  let_go_of_pages(blob);
  let_go_of_pages({});
  let_go_of_pages(at::empty({3}, at::kMeta));
  EXPECT_TRUE(at::equal(numbers, at::arange(kNumbers, at::kFloat)));
  EXPECT_EQ(blob.min().item<float>(), 3);
}

}  // namespace
}  // namespace easel
