#include "clip_picture.h"

#include <algorithm>
#include <array>

#include <ATen/ATen.h>

#include <easel/io/edit.h>
#include <easel/io/resize.h>
#include <easel/pipeline/decode.h>

namespace easel {
namespace {

// Of red, green and blue.
constexpr std::array<double, 3> kMean = {0.48145466, 0.4578275, 0.40821073};
constexpr std::array<double, 3> kStd = {0.26862954, 0.26130258, 0.27577711};

}  // namespace

Tensor clip_picture(const Image& image, int64_t side) {
  const auto size = static_cast<int>(side);
  const int shorter = std::min(image.width, image.height);
  const auto scaled = [&](int length) {
    return static_cast<int>(int64_t{size} * length / std::max(shorter, 1));
  };
  const Image small =
      resize(image, scaled(image.width), scaled(image.height), ResizeFilter::Bicubic);
  const Image middle = crop(small, {.left = (small.width - size) / 2,
                                    .top = (small.height - size) / 2,
                                    .width = size,
                                    .height = size});
  const auto per_channel = [&](const std::array<double, 3>& values) {
    return at::tensor(at::ArrayRef<double>(values), at::kFloat).view({1, 3, 1, 1});
  };
  const Tensor unit_1CHW = from_image(middle).add(1).div(2);
  return unit_1CHW.sub(per_channel(kMean)).div(per_channel(kStd));
}

}  // namespace easel
