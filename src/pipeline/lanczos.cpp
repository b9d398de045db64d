#include "lanczos.h"

#include <easel/io/resize.h>

namespace easel {

Image resized_by_lanczos(const Image& image, int width, int height) {
  return resize(image, width, height, Interpolation::Lanczos);
}

}  // namespace easel
