// A picture as CLIP's vision transformer looks at it.
#pragma once

#include <easel/base/tensor.h>
#include <easel/io/image.h>

namespace easel {

// transformers' CLIPImageProcessor: the shorter side becomes `size`, the middle is kept, channels
// are normalised. [1, 3, size, size], float32 on the CPU.
Tensor clip_picture(const Image& image, int64_t size);

}  // namespace easel
