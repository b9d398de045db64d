// x weight^T: blocks of the weight are packed for the second-level cache, and all rows of a task
// run over one.
#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

#include "float32.h"
#include "kernels.h"
#include "parallel.h"
#include "scratch.h"

namespace easel::ops::cpu {
namespace {

constexpr int64_t kMaxDepth = 1280;           // of a packed block
constexpr int64_t kBlockFloats = 128 * 1024;  // 512 KiB: half of a second-level cache
constexpr int64_t kMinRowsOfTask = 192;
constexpr int64_t kTasksPerThread = 3;

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const int64_t depth = weight.size(1);
  const int64_t columns = weight.size(0);
  const Tensor a = x.contiguous();
  const int64_t rows = a.numel() / depth;
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = columns;
  Tensor out = at::empty(shape, x.options());

  const int64_t width = panel_width();
  const int64_t panels = divide_up(columns, width);
  const int64_t block_depth = divide_up(depth, divide_up(depth, kMaxDepth));
  const int64_t threads = num_threads();
  const int64_t panels_of_task =
      std::clamp(kBlockFloats / (block_depth * width), int64_t{1}, divide_up(panels, threads));
  const int64_t column_tasks = divide_up(panels, panels_of_task);
  const int64_t row_tasks = std::clamp(divide_up(kTasksPerThread * threads, column_tasks),
                                       int64_t{1}, divide_up(rows, kMinRowsOfTask));
  const int64_t rows_of_task = divide_up(rows, row_tasks);

  const auto* a_data = a.const_data_ptr<float>();
  const auto* weight_data = weight.const_data_ptr<float>();
  const float* bias_data = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  auto* out_data = out.mutable_data_ptr<float>();
  parallel(column_tasks * row_tasks, 2 * rows * columns * depth, [&](const NextTask& next) {
    Tensor block = scratch(panels_of_task * block_depth * width);
    auto* packed = block.mutable_data_ptr<float>();
    for (int64_t task = next(); task >= 0; task = next()) {
      const int64_t column = task / row_tasks * panels_of_task * width;
      const int64_t row = task % row_tasks * rows_of_task;
      const int64_t num_columns = std::min(panels_of_task * width, columns - column);
      const int64_t num_rows = std::min(rows_of_task, rows - row);
      for (int64_t k = 0; k < depth && num_rows > 0; k += block_depth) {
        const int64_t num_deep = std::min(block_depth, depth - k);
        for (int64_t j = 0; j < num_columns; j += width) {
          pack_panel(weight_data + (column + j) * depth + k, depth,
                     std::min(width, num_columns - j), num_deep, packed + j * num_deep);
        }
        multiply({.a = a_data + row * depth + k,
                  .a_stride = depth,
                  .rows = num_rows,
                  .panels = packed,
                  .panel_stride = num_deep * width,
                  .depth = num_deep,
                  .c = out_data + row * columns + column,
                  .c_stride = columns,
                  .columns = num_columns,
                  .bias = k == 0 && bias_data != nullptr ? bias_data + column : nullptr,
                  .accumulate = k > 0});
      }
    }
  });
  return out;
}

}  // namespace easel::ops::cpu
