// Work for LibTorch's threads.
#pragma once

#include <cstdint>
#include <functional>

namespace easel::ops::cpu {

// Hands out the next task, each number from 0 on once; negative when none is left.
using NextTask = std::function<int64_t()>;

// Runs `work` on as many threads as LibTorch is set to use, fewer if there are fewer tasks or if
// all `operations` together are not worth waking them. Each asks for tasks until none is left, so a
// slow core does less.
void parallel(int64_t num_tasks, int64_t operations,
              const std::function<void(const NextTask&)>& work);

int num_threads();

// How many parts of `b` it takes to hold `a`: what work is cut into.
constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace easel::ops::cpu
