#include "easel/io/edit.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include <easel/base/error.h>

#include "image_check.h"

namespace easel {
namespace {

Image blank(int width, int height, int channels) {
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  image.pixels.resize(static_cast<size_t>(width) * static_cast<size_t>(height) *
                      static_cast<size_t>(channels));
  return image;
}

size_t offset(const Image& image, int x, int y) {
  return (static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x)) *
         static_cast<size_t>(image.channels);
}

// A picture whose pixel (x, y) is pixel source(x, y) of `image`, which gives an offset.
template <class Source>
Image gathered(const Image& image, int width, int height, Source source) {
  Image out = blank(width, height, image.channels);
  uint8_t* to = out.pixels.data();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      to = std::copy_n(image.pixels.data() + source(x, y), image.channels, to);
    }
  }
  return out;
}

// Index i of a line of `size` samples continued by its mirror image about its end samples.
int mirrored(int i, int size) {
  if (size == 1) return 0;
  const int period = 2 * (size - 1);
  i = std::abs(i) % period;
  return i < size ? i : period - i;
}

std::vector<double> gaussian(double sigma) {
  const int reach = static_cast<int>(2.5 * sigma + 0.5);
  std::vector<double> weights;
  double sum = 0;
  for (int i = -reach; i <= reach; ++i) {
    weights.push_back(std::exp(-0.5 * i * i / (sigma * sigma)));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

// Convolves lines of `size` samples that lie `step` apart; line k starts at start(k).
template <class Start>
void convolve(const std::vector<double>& in, std::vector<double>& out,
              const std::vector<double>& weights, int num_lines, int size, size_t step,
              Start start) {
  const int reach = static_cast<int>(weights.size() / 2);
  for (int line = 0; line < num_lines; ++line) {
    const size_t first = start(line);
    for (int i = 0; i < size; ++i) {
      double sum = 0;
      for (int k = -reach; k <= reach; ++k) {
        const auto at = static_cast<size_t>(mirrored(i + k, size));
        sum += weights[static_cast<size_t>(k + reach)] * in[first + at * step];
      }
      out[first + static_cast<size_t>(i) * step] = sum;
    }
  }
}

void check_same_size(const Image& a, const Image& b) {
  if (a.width == b.width && a.height == b.height) return;
  fail("the pictures are {}x{} and {}x{}; they must be of one size", a.width, a.height, b.width,
       b.height);
}

}  // namespace

Image crop(const Image& image, const Region& region) {
  check_image(image);
  if (region.empty() || region.left < 0 || region.top < 0 ||
      region.width > image.width - region.left || region.height > image.height - region.top) {
    fail("the region {}x{} at ({}, {}) does not lie in a picture of {}x{}", region.width,
         region.height, region.left, region.top, image.width, image.height);
  }
  return gathered(image, region.width, region.height,
                  [&](int x, int y) { return offset(image, region.left + x, region.top + y); });
}

Image extend(const Image& image, const Margins& margins) {
  check_image(image);
  constexpr int kMost = 1 << 20;
  for (const int margin : {margins.left, margins.right, margins.top, margins.bottom}) {
    if (margin < 0 || margin > kMost) fail("a margin of {} pixels; it is 0 to {}", margin, kMost);
  }
  return gathered(image, image.width + margins.left + margins.right,
                  image.height + margins.top + margins.bottom, [&](int x, int y) {
                    return offset(image, std::clamp(x - margins.left, 0, image.width - 1),
                                  std::clamp(y - margins.top, 0, image.height - 1));
                  });
}

Image paste(const Image& image, const Image& part, int left, int top) {
  check_image(image);
  check_image(part);
  if (left < 0 || top < 0 || part.width > image.width - left || part.height > image.height - top ||
      part.channels != image.channels) {
    fail("a picture of {}x{} with {} channels does not fit at ({}, {}) of one of {}x{} with {}",
         part.width, part.height, part.channels, left, top, image.width, image.height,
         image.channels);
  }
  Image out = image;
  const size_t row = static_cast<size_t>(part.width) * static_cast<size_t>(part.channels);
  for (int y = 0; y < part.height; ++y) {
    std::copy_n(part.pixels.data() + offset(part, 0, y), row,
                out.pixels.data() + offset(out, left, top + y));
  }
  return out;
}

Image composite(const Image& under, const Image& over, const Image& mask) {
  check_image(under);
  check_image(over);
  check_image(mask);
  check_same_size(under, over);
  check_same_size(under, mask);
  if (mask.channels != 1 || under.channels != over.channels) {
    fail("a composite needs two pictures of the same channels and a grey mask; got {}, {} and {}",
         under.channels, over.channels, mask.channels);
  }
  Image out = under;
  const auto channels = static_cast<size_t>(under.channels);
  for (size_t i = 0; i < out.pixels.size(); ++i) {
    const int share = mask.pixels[i / channels];
    const int sum = under.pixels[i] * (255 - share) + over.pixels[i] * share;
    out.pixels[i] = static_cast<uint8_t>((sum + 127) / 255);
  }
  return out;
}

Image inverted(const Image& image) {
  check_image(image);
  Image out = image;
  for (uint8_t& sample : out.pixels) sample = static_cast<uint8_t>(255 - sample);
  return out;
}

Image gaussian_blur(const Image& image, double sigma) {
  check_image(image);
  constexpr double kMost = 1000;
  if (!(sigma >= 0 && sigma <= kMost)) fail("a blur of {} pixels; it is 0 to {}", sigma, kMost);
  if (sigma == 0) return image;
  const std::vector<double> weights = gaussian(sigma);
  std::vector<double> samples(image.pixels.begin(), image.pixels.end());
  std::vector<double> rows(samples.size());
  const auto channels = static_cast<size_t>(image.channels);
  const size_t row = static_cast<size_t>(image.width) * channels;
  convolve(
      samples, rows, weights, image.height * image.channels, image.width, channels, [&](int line) {
        return static_cast<size_t>(line) / channels * row + static_cast<size_t>(line) % channels;
      });
  convolve(rows, samples, weights, static_cast<int>(row), image.height, row,
           [](int line) { return static_cast<size_t>(line); });
  Image out = image;
  for (size_t i = 0; i < samples.size(); ++i) {
    out.pixels[i] = static_cast<uint8_t>(std::clamp(samples[i] + 0.5, 0.0, 255.0));
  }
  return out;
}

Region bounds(const Image& grey) {
  check_image(grey);
  if (grey.channels != 1) fail("the bounds of a mask need a grey picture; got {}", grey.channels);
  int left = grey.width;
  int right = -1;
  int top = grey.height;
  int bottom = -1;
  for (int y = 0; y < grey.height; ++y) {
    for (int x = 0; x < grey.width; ++x) {
      if (grey.pixels[offset(grey, x, y)] == 0) continue;
      left = std::min(left, x);
      right = std::max(right, x);
      top = std::min(top, y);
      bottom = std::max(bottom, y);
    }
  }
  if (right < 0) return {};
  return {.left = left, .top = top, .width = right - left + 1, .height = bottom - top + 1};
}

Image oriented(const Image& image, int orientation) {
  check_image(image);
  if (orientation < 2 || orientation > 8) return image;
  const bool turned = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 ||
                          orientation == 8;  // shown x or y goes against the stored x
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const int width = turned ? image.height : image.width;
  const int height = turned ? image.width : image.height;
  return gathered(image, width, height, [&](int x, int y) {
    if (turned) std::swap(x, y);
    return offset(image, from_right ? image.width - 1 - x : x,
                  from_bottom ? image.height - 1 - y : y);
  });
}

}  // namespace easel
