#include "easel/pipeline/upscale.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/checkpoint/upscaler.h>
#include <easel/io/resize.h>
#include <easel/pipeline/decode.h>

#include "tests/support/temp_dir.h"
#include "tests/support/upscalers.h"

namespace easel {
namespace {

Image picture(int width, int height) {
  Image image{.width = width, .height = height, .channels = 3, .pixels = {}};
  for (int i = 0; i < width * height * 3; ++i) {
    image.pixels.push_back(static_cast<uint8_t>((i * 37 + i / 50) % 256));
  }
  return image;
}

class Upscale : public ::testing::Test {
 protected:
  std::shared_ptr<const Upscaler> open(const std::string& name) const {
    return open_upscaler(cases_.write(name, folder_ / (name + ".safetensors")), "cpu");
  }
  static int worst(const Image& a, const Image& b) {
    EXPECT_EQ(a.width, b.width);
    EXPECT_EQ(a.height, b.height);
    int most = 0;
    for (size_t i = 0; i < a.pixels.size(); ++i) {
      most = std::max(most, std::abs(a.pixels[i] - b.pixels[i]));
    }
    return most;
  }

  test::TempDir folder_;
  test::UpscalerCases cases_;
};

TEST_F(Upscale, InSquaresIsAsAtOnce) {
  // Its reach of four pixels is within the squares' margins.
  const auto upscaler = open("compact_x2");
  const Image image = picture(90, 71);
  const Image whole = upscale(*upscaler, image, 0);
  EXPECT_EQ(whole.width, 180);
  EXPECT_EQ(whole.height, 142);
  int64_t squares = 0;
  for (const int64_t tile : {32, 45, 64, 200}) {
    squares = 0;
    const auto count = [&](int64_t done, int64_t all) {
      EXPECT_EQ(done, ++squares);
      EXPECT_LE(done, all);
    };
    EXPECT_LE(worst(upscale(*upscaler, image, tile, count), whole), 1) << tile;
    EXPECT_EQ(squares, ((90 + tile - 1) / tile) * ((71 + tile - 1) / tile));
  }
}

TEST_F(Upscale, GivesTheNetworksPicture) {
  const auto upscaler = open("first_x4");
  const Image image = to_image(cases_.x("first_x4")[0].mul(2).sub(1), PixelRounding::Nearest);
  const Image made = upscale(*upscaler, image, 0);
  const Tensor direct =
      load_upscaler(folder_ / "first_x4.safetensors").forward(from_image(image).add(1).div(2))[0];
  EXPECT_LE(worst(made, to_image(direct.mul(2).sub(1), PixelRounding::Nearest)), 1);
}

TEST_F(Upscale, ToASizeTakesAsManyTimesAsItNeeds) {
  const auto upscaler = open("compact_x2");
  const Image image = picture(10, 12);
  const Image twice = upscale(*upscaler, upscale(*upscaler, image));
  EXPECT_EQ(worst(upscale_to(*upscaler, image, 40, 48), twice), 0);
  EXPECT_EQ(
      worst(upscale_to(*upscaler, image, 30, 36), resize(twice, 30, 36, ResizeFilter::Lanczos)), 0);
  // Three times at most, also where that is not enough, and once where the size stays.
  EXPECT_EQ(upscale_to(*upscaler, image, 200, 240).width, 200);
  EXPECT_EQ(upscale_to(*open("compact_x1"), image, 30, 36).height, 36);
}

TEST_F(Upscale, RefusesWhatCannotBeMeant) {
  const auto upscaler = open("compact_x2");
  EXPECT_THROW(upscale(*upscaler, picture(8, 8), 31), Error);
  EXPECT_THROW(upscale(*upscaler, picture(8, 8), -1), Error);
  EXPECT_THROW(open_upscaler(folder_ / "none.pth", "cpu"), Error);
  EXPECT_THROW(open_upscaler(folder_ / "compact_x2.safetensors", "cpu", "int8"), Error);
  EXPECT_EQ(upscaler_scale(*upscaler), 2);
}

}  // namespace
}  // namespace easel
