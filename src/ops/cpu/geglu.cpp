#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

#include "float32.h"
#include "kernels.h"
#include "parallel.h"

namespace easel::ops::cpu {

Tensor geglu(const Tensor& x) {
  constexpr int64_t kRowsOfTask = 16;
  const int64_t half = x.size(-1) / 2;
  const int64_t rows = x.numel() / (2 * half);
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = half;
  Tensor y = at::empty(shape, x.options());
  const auto* x_data = x.const_data_ptr<float>();
  auto* y_data = y.mutable_data_ptr<float>();
  parallel((rows + kRowsOfTask - 1) / kRowsOfTask, 16 * x.numel(), [&](const NextTask& next) {
    for (int64_t task = next(); task >= 0; task = next()) {
      const int64_t row = task * kRowsOfTask;
      geglu(x_data + row * 2 * half, std::min(kRowsOfTask, rows - row), half, y_data + row * half);
    }
  });
  return y;
}

}  // namespace easel::ops::cpu
