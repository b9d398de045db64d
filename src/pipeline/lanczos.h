// Resizing by Lanczos's filter for files that know the diffusion layer too, where another
// Interpolation is meant than in io/resize.h.
#pragma once

#include <easel/io/image.h>

namespace easel {

Image resized_by_lanczos(const Image& image, int width, int height);

}  // namespace easel
