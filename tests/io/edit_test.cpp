#include "easel/io/edit.h"

#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

namespace easel {
namespace {

// Pixel (x, y) is 10 y + x, channel c 100 c more.
Image picture(int width, int height, int channels) {
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<uint8_t>(10 * y + x + 100 * c));
      }
    }
  }
  return image;
}

using Pixels = std::vector<uint8_t>;

TEST(Crop, TakesARegion) {
  const Image part = crop(picture(5, 4, 1), {.left = 1, .top = 2, .width = 3, .height = 2});
  EXPECT_EQ(part.width, 3);
  EXPECT_EQ(part.pixels, (Pixels{21, 22, 23, 31, 32, 33}));
  EXPECT_EQ(crop(picture(2, 1, 3), {1, 0, 1, 1}).pixels, (Pixels{1, 101, 201}));
  for (const Region& outside : {Region{-1, 0, 2, 2}, Region{3, 0, 3, 2}, Region{0, 3, 1, 2},
                                Region{0, 0, 0, 1}, Region{2147483647, 0, 1, 1}}) {
    EXPECT_THROW(crop(picture(5, 4, 1), outside), Error);
  }
}

TEST(Extend, RepeatsTheEdges) {
  const Image wide = extend(picture(2, 2, 1), {.left = 1, .right = 2, .top = 0, .bottom = 1});
  EXPECT_EQ(wide.width, 5);
  EXPECT_EQ(wide.height, 3);
  EXPECT_EQ(wide.pixels, (Pixels{0, 0, 1, 1, 1, 10, 10, 11, 11, 11, 10, 10, 11, 11, 11}));
  EXPECT_THROW(extend(picture(2, 2, 1), {.left = -1, .right = 0, .top = 0, .bottom = 0}), Error);
}

TEST(Paste, PutsAPictureIntoAnother) {
  const Image made = paste(picture(3, 2, 1), picture(1, 1, 1), 2, 1);
  EXPECT_EQ(made.pixels, (Pixels{0, 1, 2, 10, 11, 0}));
  EXPECT_THROW(paste(picture(3, 2, 1), picture(2, 1, 1), 2, 1), Error);
  EXPECT_THROW(paste(picture(3, 2, 1), picture(1, 1, 3), 0, 0), Error);
}

TEST(Composite, MixesByTheMask) {
  Image under = picture(4, 1, 1);
  Image over = under;
  Image mask = under;
  under.pixels = {10, 10, 10, 255};
  over.pixels = {200, 200, 200, 0};
  mask.pixels = {0, 255, 51, 0};
  EXPECT_EQ(composite(under, over, mask).pixels, (Pixels{10, 200, 48, 255}));
  EXPECT_THROW(composite(under, over, picture(2, 1, 1)), Error);
  EXPECT_THROW(composite(picture(4, 1, 3), over, mask), Error);
  EXPECT_EQ(inverted(mask).pixels, (Pixels{255, 0, 204, 255}));
}

TEST(GaussianBlur, EqualsSciPys) {
  const TensorFile file =
      read_safetensors(std::filesystem::path(EASEL_TEST_DATA "/io/pictures.safetensors"));
  const Tensor& mask = file.tensors.at("blur/mask");
  const auto image_of = [](const Tensor& t) {
    const auto* first = t.const_data_ptr<uint8_t>();
    return Image{.width = static_cast<int>(t.size(1)),
                 .height = static_cast<int>(t.size(0)),
                 .channels = 1,
                 .pixels = {first, first + t.numel()}};
  };
  const Image source = image_of(mask);
  for (const auto& [name, sigma] :
       {std::pair{"blur/0.3", 0.3}, {"blur/1.0", 1.0}, {"blur/4.0", 4.0}, {"blur/20.0", 20.0}}) {
    EXPECT_EQ(gaussian_blur(source, sigma).pixels, image_of(file.tensors.at(name)).pixels) << name;
  }
  EXPECT_EQ(gaussian_blur(source, 0).pixels, source.pixels);
  EXPECT_THROW(gaussian_blur(source, -1), Error);
  EXPECT_THROW(gaussian_blur(source, std::numeric_limits<double>::quiet_NaN()), Error);
  EXPECT_EQ(gaussian_blur(picture(1, 1, 3), 5).pixels, picture(1, 1, 3).pixels);
}

TEST(Bounds, HoldWhatIsNotBlack) {
  Image mask = picture(5, 4, 1);
  std::fill(mask.pixels.begin(), mask.pixels.end(), uint8_t{0});
  EXPECT_TRUE(bounds(mask).empty());
  mask.pixels[1 * 5 + 3] = 1;
  mask.pixels[3 * 5 + 2] = 255;
  EXPECT_EQ(bounds(mask), (Region{.left = 2, .top = 1, .width = 2, .height = 3}));
}

TEST(Oriented, TurnsAndMirrors) {
  const Image image = picture(3, 2, 1);  // 0 1 2 / 10 11 12
  EXPECT_EQ(oriented(image, 1).pixels, image.pixels);
  EXPECT_EQ(oriented(image, 2).pixels, (Pixels{2, 1, 0, 12, 11, 10}));
  EXPECT_EQ(oriented(image, 3).pixels, (Pixels{12, 11, 10, 2, 1, 0}));
  EXPECT_EQ(oriented(image, 4).pixels, (Pixels{10, 11, 12, 0, 1, 2}));
  EXPECT_EQ(oriented(image, 5).pixels, (Pixels{0, 10, 1, 11, 2, 12}));
  EXPECT_EQ(oriented(image, 6).pixels, (Pixels{10, 0, 11, 1, 12, 2}));
  EXPECT_EQ(oriented(image, 7).pixels, (Pixels{12, 2, 11, 1, 10, 0}));
  EXPECT_EQ(oriented(image, 8).pixels, (Pixels{2, 12, 1, 11, 0, 10}));
  EXPECT_EQ(oriented(image, 6).width, 2);
  EXPECT_EQ(oriented(image, 9).pixels, image.pixels);
}

}  // namespace
}  // namespace easel
