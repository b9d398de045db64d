#include "easel/nn/circular_padding.h"

#include <array>

#include <ATen/ATen.h>

namespace easel::nn {
namespace {

thread_local bool horizontal_now = false;
thread_local bool vertical_now = false;

Tensor padded(const Tensor& x_BCHW, int64_t dim, int64_t width, bool circular) {
  if (!circular) {
    std::array<int64_t, 4> widths{};
    widths[dim == 3 ? 0 : 2] = widths[dim == 3 ? 1 : 3] = width;
    return at::constant_pad_nd(x_BCHW, widths);
  }
  const int64_t size = x_BCHW.size(dim);
  TORCH_CHECK(width <= size, "circular padding of ", width, " on a side of ", size);
  return at::cat({x_BCHW.narrow(dim, size - width, width), x_BCHW, x_BCHW.narrow(dim, 0, width)},
                 dim);
}

}  // namespace

CircularPadding::CircularPadding(bool horizontal, bool vertical)
    : horizontal_before_(horizontal_now), vertical_before_(vertical_now) {
  horizontal_now = horizontal;
  vertical_now = vertical;
}

CircularPadding::~CircularPadding() {
  horizontal_now = horizontal_before_;
  vertical_now = vertical_before_;
}

bool CircularPadding::is_horizontal() { return horizontal_now; }
bool CircularPadding::is_vertical() { return vertical_now; }

Tensor pad_columns(const Tensor& x_BCHW, int64_t width) {
  return padded(x_BCHW, 3, width, horizontal_now);
}

Tensor pad_rows(const Tensor& x_BCHW, int64_t width) {
  return padded(x_BCHW, 2, width, vertical_now);
}

}  // namespace easel::nn
