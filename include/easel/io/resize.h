// Resizing pictures of 8-bit samples as Pillow does, bit for bit.
#pragma once

#include <cstdint>
#include <string_view>

#include <easel/io/image.h>

namespace easel {

enum class ResizeFilter { Bilinear, Bicubic, Lanczos };

// "bilinear", "bicubic" or "lanczos"; any other name is an Error that lists them.
ResizeFilter resize_filter_from_name(std::string_view name);

// `image` at width x height, equal to Pillow's Image.resize: the filter (triangle; Keys' cubic with
// a = -1/2; Lanczos with 3 lobes) is widened when it shrinks a side, columns are resampled before
// rows, and samples are rounded to 8 bits in between. Every channel by itself (alpha is not
// premultiplied). Throws Error on a malformed image or a size that is not positive.
Image resize(const Image& image, int width, int height, ResizeFilter interpolation);

}  // namespace easel
