// Convolutions whose maps continue at the opposite edge, so that the pictures of a network tile
// without a seam (PyTorch's padding_mode="circular").
//
// It is a property of the calling thread, not of the module, as training mode is
// (nn/training_mode.h).
#pragma once

#include <easel/base/tensor.h>

namespace easel::nn {

// While the object lives, convolutions on this thread that pad take what they pad from the opposite
// edge: left and right where `horizontal`, top and bottom where `vertical`. They nest: what was
// before comes back.
class CircularPadding {
 public:
  CircularPadding(bool horizontal, bool vertical);
  ~CircularPadding();
  CircularPadding(const CircularPadding&) = delete;
  CircularPadding& operator=(const CircularPadding&) = delete;

  static bool is_horizontal();
  static bool is_vertical();

 private:
  bool horizontal_before_, vertical_before_;
};

// x_BCHW with `width` more columns, or rows, at both sides, from the opposite ones; zeros where
// the direction is not circular.
Tensor pad_columns(const Tensor& x_BCHW, int64_t width);
Tensor pad_rows(const Tensor& x_BCHW, int64_t width);

}  // namespace easel::nn
