// The invisible watermark that CompVis's programs put into their pictures.
#pragma once

#include <string_view>

#include <easel/io/image.h>

namespace easel {

// Throws Error (Usage) where a picture of this size cannot carry `text`: it has fewer than
// 256 x 256 pixels, which the package below does not read, or fewer blocks than the text has bits;
// or where the text is empty.
void check_watermark(std::string_view text, int64_t width, int64_t height);

// Writes the bytes of `text` into an RGB picture, where the package invisible-watermark (dwtDct)
// reads them back: bit by bit, over and over, into the largest of the low-frequency Haar
// coefficients of every 8 x 8 block of the U channel. CompVis's text is "StableDiffusionV1". The
// picture equals the package's but for the rounding of single samples; like there, strong colours
// can hide bits of it. Throws Error as check_watermark() does.
Image with_watermark(const Image& image, std::string_view text);

}  // namespace easel
