#include "scratch.h"

#include <ATen/ATen.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace easel::ops::cpu {
namespace {

#ifdef __linux__
// Small pages would have to be found and cleared one by one, at every call.
void ask_for_large_pages(void* memory, size_t bytes) {
  constexpr size_t kLargePage = size_t{2} << 20;
  const auto begin = (reinterpret_cast<uintptr_t>(memory) + kLargePage - 1) / kLargePage;
  const auto end = (reinterpret_cast<uintptr_t>(memory) + bytes) / kLargePage;
  if (begin >= end) return;
  // Advice: where it is not taken, nothing is lost.
  (void)madvise(reinterpret_cast<void*>(begin * kLargePage), (end - begin) * kLargePage,
                MADV_HUGEPAGE);
}
#endif

}  // namespace

Tensor scratch(int64_t num_floats) {
  Tensor memory = at::empty({num_floats}, at::TensorOptions(at::kFloat).device(at::kCPU));
#ifdef __linux__
  ask_for_large_pages(memory.mutable_data_ptr(), memory.nbytes());
#endif
  return memory;
}

}  // namespace easel::ops::cpu
