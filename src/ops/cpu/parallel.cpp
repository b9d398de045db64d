// Compiled with OpenMP: without it at::parallel_for is a plain loop.
#include "parallel.h"

#include <algorithm>
#include <atomic>

#include <ATen/Parallel.h>

namespace easel::ops::cpu {

void parallel(int64_t num_tasks, int64_t operations,
              const std::function<void(const NextTask&)>& work) {
  std::atomic<int64_t> taken{0};
  const NextTask next = [&] {
    const int64_t task = taken.fetch_add(1, std::memory_order_relaxed);
    return task < num_tasks ? task : -1;
  };
  constexpr int64_t kOperationsOfThread = 500'000;  // some ten microseconds
  const int64_t workers =
      std::min({int64_t{num_threads()}, num_tasks, 1 + operations / kOperationsOfThread});
  at::parallel_for(0, workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) work(next);
  });
}

int num_threads() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

}  // namespace easel::ops::cpu
