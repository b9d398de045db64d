// What every function that takes an Image asks of it.
#pragma once

#include <easel/base/error.h>
#include <easel/io/image.h>

namespace easel {

// Throws Error unless the sizes are positive and the pixels as many as they say.
inline void check_image(const Image& image) {
  if (image.width <= 0 || image.height <= 0 ||
      (image.channels != 1 && image.channels != 3 && image.channels != 4)) {
    fail("a picture needs a positive size and 1, 3 or 4 channels; got {}x{} with {} channels",
         image.width, image.height, image.channels);
  }
  const size_t row = static_cast<size_t>(image.width) * static_cast<size_t>(image.channels);
  if (image.pixels.size() / row != static_cast<size_t>(image.height) ||
      image.pixels.size() % row != 0) {
    fail("a picture of {}x{} with {} channels needs {} times {} bytes of pixels; got {}",
         image.width, image.height, image.channels, row, image.height, image.pixels.size());
  }
}

}  // namespace easel
