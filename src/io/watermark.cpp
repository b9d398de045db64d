#include "easel/io/watermark.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include <easel/base/error.h>

#include "image_check.h"

namespace easel {
namespace {

constexpr int kBlock = 8;          // pixels a side
constexpr int kSide = kBlock / 2;  // low-frequency coefficients a side
constexpr double kQuantum = 36;    // the package's scale of the U channel
constexpr int64_t kMinPixels = 256 * 256;
constexpr int kFixedPoint = 1 << 14;  // of OpenCV's colour conversions

int rounded(int value) { return (value + kFixedPoint / 2) >> 14; }
uint8_t saturated(int value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); }

struct Yuv {
  uint8_t y, u, v;
};

// OpenCV's BGR2YUV and YUV2BGR, whose fixed-point factors these are.
Yuv to_yuv(const uint8_t* rgb) {
  const int y = rounded(4899 * rgb[0] + 9617 * rgb[1] + 1868 * rgb[2]);
  return {.y = saturated(y),
          .u = saturated(rounded((rgb[2] - y) * 8061 + 128 * kFixedPoint)),
          .v = saturated(rounded((rgb[0] - y) * 14369 + 128 * kFixedPoint))};
}

void to_rgb(Yuv yuv, uint8_t* rgb) {
  const int u = yuv.u - 128;
  const int v = yuv.v - 128;
  rgb[0] = saturated(yuv.y + rounded(18678 * v));
  rgb[1] = saturated(yuv.y + rounded(-6472 * u - 9519 * v));
  rgb[2] = saturated(yuv.y + rounded(33292 * u));
}

// One channel of 8 x 8 pixels.
using Block = std::array<std::array<int, kBlock>, kBlock>;

// The low-frequency coefficient of 2 x 2 pixels.
double coefficient(const Block& block, int row, int column) {
  const auto r = static_cast<size_t>(2 * row);
  const auto c = static_cast<size_t>(2 * column);
  return 0.5 * (block[r][c] + block[r][c + 1] + block[r + 1][c] + block[r + 1][c + 1]);
}

void write_bit(Block& block, bool bit) {
  int largest = 1;  // the first coefficient is the block's mean, which is left alone
  const auto at = [&](int i) { return coefficient(block, i / kSide, i % kSide); };
  for (int i = 2; i < kSide * kSide; ++i) {
    if (std::abs(at(i)) > std::abs(at(largest))) largest = i;
  }
  const double value = at(largest);
  const double place = (std::floor(value / kQuantum) + (bit ? 0.75 : 0.25)) * kQuantum;
  const double change = 0.5 * (place - value);
  for (int i = 0; i < kSide * kSide; ++i) {
    const auto r = static_cast<size_t>(2 * (i / kSide));
    const auto c = static_cast<size_t>(2 * (i % kSide));
    // The package gives its inverse transform the horizontal and vertical differences in the wrong
    // order, which mirrors every 2 x 2 pixels about their diagonal.
    std::swap(block[r][c + 1], block[r + 1][c]);
    if (i != largest) continue;
    for (const size_t row : {r, r + 1}) {
      for (const size_t column : {c, c + 1}) {
        block[row][column] =
            static_cast<int>(std::clamp(std::trunc(block[row][column] + change), 0.0, 255.0));
      }
    }
  }
}

bool bit_of(std::string_view text, int64_t i) {
  const auto bit = static_cast<size_t>(i) % (8 * text.size());
  return (static_cast<unsigned char>(text[bit / 8]) >> (7 - bit % 8) & 1) != 0;
}

}  // namespace

void check_watermark(std::string_view text, int64_t width, int64_t height) {
  if (text.empty()) fail_usage("the watermark is empty");
  if (width * height < kMinPixels) {
    fail_usage(
        "a picture of {}x{} is too small for a watermark that can be read again: it needs as many "
        "pixels as 256x256",
        width, height);
  }
  const int64_t blocks = (width / kBlock) * (height / kBlock);
  if (8 * static_cast<int64_t>(text.size()) > blocks) {
    fail_usage("a picture of {}x{} carries a watermark of at most {} bytes; got {}", width, height,
               blocks / 8, text.size());
  }
}

Image with_watermark(const Image& image, std::string_view text) {
  check_image(image);
  if (image.channels != 3) {
    fail("a watermark needs an RGB picture; got {} channels", image.channels);
  }
  check_watermark(text, image.width, image.height);
  Image marked = image;
  const auto pixel = [&](int x, int y) {
    return marked.pixels.data() +
           3 * (static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x));
  };
  int64_t number = 0;
  for (int top = 0; top + kBlock <= image.height; top += kBlock) {
    for (int left = 0; left + kBlock <= image.width; left += kBlock) {
      Block block{};
      const auto for_each = [&](const auto& visit) {
        for (int y = 0; y < kBlock; ++y) {
          for (int x = 0; x < kBlock; ++x) {
            visit(pixel(left + x, top + y), block[static_cast<size_t>(y)][static_cast<size_t>(x)]);
          }
        }
      };
      for_each([](const uint8_t* rgb, int& u) { u = to_yuv(rgb).u; });
      write_bit(block, bit_of(text, number++));
      for_each([](uint8_t* rgb, int u) {
        Yuv yuv = to_yuv(rgb);
        yuv.u = static_cast<uint8_t>(u);
        to_rgb(yuv, rgb);
      });
    }
  }
  return marked;
}

}  // namespace easel
