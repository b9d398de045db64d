#include "easel/io/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <easel/base/error.h>

#include "image_check.h"

namespace easel {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"bilinear", "bicubic", "lanczos"};

double triangle(double x) { return std::max(0.0, 1 - std::abs(x)); }

double keys_cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double sinc(double x) {
  if (x == 0) return 1;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double lanczos3(double x) { return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0; }

struct Filter {
  double (*weight)(double);
  double support;  // it is 0 from here on
};

Filter filter_of(ResizeFilter interpolation) {
  switch (interpolation) {
    case ResizeFilter::Bilinear:
      return {triangle, 1};
    case ResizeFilter::Bicubic:
      return {keys_cubic, 2};
    case ResizeFilter::Lanczos:
      break;
  }
  return {lanczos3, 3};
}

// Weights are fixed-point numbers: 8 bits of a sample and 2 for weights beyond 1 leave 22.
constexpr int kFractionBits = 32 - 8 - 2;

// The samples first ... first + weights.size() - 1 of a line that make one new sample.
struct Taps {
  int first = 0;
  std::vector<int32_t> weights;
};

std::vector<Taps> taps(int from, int to, const Filter& filter) {
  const double scale = static_cast<double>(from) / to;
  const double widening = std::max(scale, 1.0);
  const double support = filter.support * widening;
  std::vector<Taps> all(static_cast<size_t>(to));
  std::vector<double> weights;
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int last = std::min(from, static_cast<int>(centre + support + 0.5));
    weights.clear();
    double sum = 0;
    for (int x = first; x < last; ++x) {
      weights.push_back(filter.weight((x - centre + 0.5) * (1 / widening)));
      sum += weights.back();
    }
    Taps& made = all[static_cast<size_t>(i)];
    made.first = first;
    for (const double weight : weights) {
      const double normalised = sum == 0 ? weight : weight / sum;
      const double fixed = normalised * (1 << kFractionBits);
      made.weights.push_back(static_cast<int32_t>(fixed + (fixed < 0 ? -0.5 : 0.5)));
    }
  }
  return all;
}

uint8_t to_sample(int32_t fixed) {
  return static_cast<uint8_t>(std::clamp(fixed >> kFractionBits, 0, 255));
}

constexpr int32_t kHalf = 1 << (kFractionBits - 1);

template <int kChannels>
void resample_row(const uint8_t* in, const std::vector<Taps>& columns, uint8_t* out) {
  for (const Taps& column : columns) {
    std::array<int32_t, kChannels> sums;
    sums.fill(kHalf);
    const uint8_t* sample = in + static_cast<ptrdiff_t>(column.first) * kChannels;
    for (const int32_t weight : column.weights) {
      for (size_t c = 0; c < kChannels; ++c) sums[c] += weight * *sample++;
    }
    for (const int32_t sum : sums) *out++ = to_sample(sum);
  }
}

Image resample_columns(const Image& image, int width, const Filter& filter) {
  const auto columns = taps(image.width, width, filter);
  Image out{width, image.height, image.channels, {}};
  const size_t in_row = static_cast<size_t>(image.width) * static_cast<size_t>(image.channels);
  const size_t out_row = static_cast<size_t>(width) * static_cast<size_t>(image.channels);
  out.pixels.resize(out_row * static_cast<size_t>(image.height));
  const auto row = image.channels == 1   ? resample_row<1>
                   : image.channels == 3 ? resample_row<3>
                                         : resample_row<4>;
  for (size_t y = 0; y < static_cast<size_t>(image.height); ++y) {
    row(image.pixels.data() + y * in_row, columns, out.pixels.data() + y * out_row);
  }
  return out;
}

Image resample_rows(const Image& image, int height, const Filter& filter) {
  const auto rows = taps(image.height, height, filter);
  Image out{image.width, height, image.channels, {}};
  const size_t row_size = static_cast<size_t>(image.width) * static_cast<size_t>(image.channels);
  out.pixels.resize(row_size * rows.size());
  std::vector<int32_t> sums(row_size);
  for (size_t y = 0; y < rows.size(); ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    const uint8_t* in = image.pixels.data() + static_cast<size_t>(rows[y].first) * row_size;
    for (const int32_t weight : rows[y].weights) {
      for (size_t i = 0; i < row_size; ++i) sums[i] += weight * in[i];
      in += row_size;
    }
    std::transform(sums.begin(), sums.end(), out.pixels.data() + y * row_size, to_sample);
  }
  return out;
}

}  // namespace

ResizeFilter resize_filter_from_name(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) fail_usage("{}", unknown_name("interpolation", name, kNames));
  return static_cast<ResizeFilter>(found - kNames.begin());
}

Image resize(const Image& image, int width, int height, ResizeFilter interpolation) {
  check_image(image);
  if (width <= 0 || height <= 0) {
    fail("a picture cannot be resized to {}x{}; both sides must be positive", width, height);
  }
  const Filter filter = filter_of(interpolation);
  // A side that keeps its size is not filtered.
  if (width == image.width && height == image.height) return image;
  if (height == image.height) return resample_columns(image, width, filter);
  if (width == image.width) return resample_rows(image, height, filter);
  return resample_rows(resample_columns(image, width, filter), height, filter);
}

}  // namespace easel
