// Plain changes to pictures of 8-bit samples. Every function throws Error on a malformed image.
#pragma once

#include <cstdint>

#include <easel/io/image.h>

namespace easel {

struct Region {
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;

  bool empty() const { return width <= 0 || height <= 0; }
  bool operator==(const Region&) const = default;
};

struct Margins {
  int left = 0;
  int right = 0;
  int top = 0;
  int bottom = 0;

  bool any() const { return left > 0 || right > 0 || top > 0 || bottom > 0; }
};

// The part of `image` in `region`, which lies within it.
Image crop(const Image& image, const Region& region);

// `image` with its edge pixels repeated into the margins.
Image extend(const Image& image, const Margins& margins);

// `image` with `part`, of the same channels, at (left, top), where it fits whole.
Image paste(const Image& image, const Image& part, int left, int top);

// `under` where the grey `mask` is 0, `over` where it is 255, and the mix in between. All of one
// size; a sample whose mask is 0 is that of `under`, unchanged.
Image composite(const Image& under, const Image& over, const Image& mask);

// 255 - every sample.
Image inverted(const Image& image);

// Convolved with a Gaussian of standard deviation `sigma` pixels, cut off at int(2.5 sigma + 0.5)
// pixels, the picture mirrored about its edge pixels: OpenCV's GaussianBlur as A1111 calls it on a
// mask. 0 leaves it as it is.
Image gaussian_blur(const Image& image, double sigma);

// The smallest region that holds every sample of a grey picture above 0; empty where there is none.
Region bounds(const Image& grey);

// A picture as EXIF's orientation 1 to 8 says it is to be shown: 2, 4, 5 and 7 are mirrored, 3 is
// upside down, 6 is turned clockwise by 90 degrees, 8 counter-clockwise. Another number is 1.
Image oriented(const Image& image, int orientation);

}  // namespace easel
