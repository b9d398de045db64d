#include "easel/io/resize.h"

#include <cstring>

#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/tensor_file.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::message_of;

// The source of scripts/fixtures/resize.py.
Image picture(int height, int width, int channels) {
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<uint8_t>(x * x + 31 * y * y + 7 * x * y + 59 * c));
      }
    }
  }
  return image;
}

class Resize : public testing::TestWithParam<std::string> {};

TEST_P(Resize, EqualsPillow) {
  const Tensor want =
      read_npy(std::filesystem::path(EASEL_TEST_DATA "/resize") / (GetParam() + ".npy"));
  const ResizeFilter interpolation = resize_filter_from_name(GetParam());
  std::vector<uint8_t> got;
  const auto add = [&](const Image& image) {
    got.insert(got.end(), image.pixels.begin(), image.pixels.end());
  };
  const std::vector<std::pair<int, int>> sizes = {{7, 5}, {41, 20}, {32, 9}, {45, 33},
                                                  {1, 1}, {31, 64}, {32, 20}};
  for (const auto& [width, height] : sizes) {
    const Image resized = resize(picture(20, 32, 3), width, height, interpolation);
    EXPECT_EQ(resized.width, width);
    EXPECT_EQ(resized.height, height);
    add(resized);
  }
  add(resize(picture(20, 32, 1), 13, 29, interpolation));
  ASSERT_EQ(static_cast<int64_t>(got.size()), want.numel());
  EXPECT_EQ(std::memcmp(got.data(), want.data_ptr<uint8_t>(), got.size()), 0);
}

INSTANTIATE_TEST_SUITE_P(Filters, Resize, testing::Values("bilinear", "bicubic", "lanczos"),
                         [](const auto& filter) { return filter.param; });

TEST(ResizeImage, TreatsEveryChannelByItself) {
  const Image four = resize(picture(20, 32, 4), 11, 7, ResizeFilter::Bicubic);
  const Image three = resize(picture(20, 32, 3), 11, 7, ResizeFilter::Bicubic);
  for (size_t i = 0; i < 77; ++i) {
    for (size_t c = 0; c < 3; ++c) {
      ASSERT_EQ(four.pixels[4 * i + c], three.pixels[3 * i + c]) << i;
    }
  }
}

TEST(ResizeImage, KeepsAConstantPicture) {
  Image grey = picture(9, 13, 3);
  std::fill(grey.pixels.begin(), grey.pixels.end(), uint8_t{201});
  for (const auto interpolation :
       {ResizeFilter::Bilinear, ResizeFilter::Bicubic, ResizeFilter::Lanczos}) {
    for (const int size : {1, 4, 100}) {
      for (const uint8_t sample : resize(grey, size, size + 1, interpolation).pixels) {
        ASSERT_EQ(sample, 201);
      }
    }
  }
}

TEST(ResizeImage, RefusesWhatIsNoSizeOrPicture) {
  EXPECT_NE(
      message_of<Error>([] { resize(picture(2, 2, 3), 0, 4, ResizeFilter::Bicubic); }).find("0x4"),
      std::string::npos);
  EXPECT_THROW(resize(picture(2, 2, 3), 4, -1, ResizeFilter::Bicubic), Error);
  EXPECT_THROW(resize(Image{}, 4, 4, ResizeFilter::Bicubic), Error);
  Image broken = picture(2, 2, 3);
  broken.pixels.pop_back();
  EXPECT_THROW(resize(broken, 4, 4, ResizeFilter::Bicubic), Error);
}

TEST(ResizeImage, NamesTheKnownFilters) {
  const std::string message = message_of<Error>([] { resize_filter_from_name("bicubik"); });
  EXPECT_NE(message.find("did you mean 'bicubic'"), std::string::npos) << message;
  EXPECT_NE(message.find("lanczos"), std::string::npos) << message;
}

}  // namespace
}  // namespace easel
