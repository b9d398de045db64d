#include "easel/io/image.h"

#include <algorithm>
#include <climits>
#include <cstdlib>

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::file_bytes;
using test::message_of;
using test::TempDir;

std::filesystem::path data(const std::string& name) {
  return std::filesystem::path(EASEL_TEST_DATA "/io") / name;
}

// The pictures of scripts/fixtures/io.py.
Image picture(int index, int height, int width, int channels) {
  Image image{.width = width, .height = height, .channels = channels, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<uint8_t>(40 * index + 7 * y + 3 * x + 50 * c));
      }
    }
  }
  return image;
}

std::string_view text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void expect_same(const Image& got, const Image& expected) {
  EXPECT_EQ(got.width, expected.width);
  EXPECT_EQ(got.height, expected.height);
  EXPECT_EQ(got.channels, expected.channels);
  EXPECT_TRUE(got.pixels == expected.pixels);
}

std::string refusal(const std::filesystem::path& path) {
  const std::string message = message_of<Error>([&] { read_image(path); });
  EXPECT_NE(message.find(path.string()), std::string::npos) << message;
  return message;
}

TEST(Png, RoundTripsPictures) {
  const TempDir dir;
  for (const int channels : {1, 3, 4}) {
    for (const auto& [height, width] : {std::pair{1, 1}, {5, 7}, {1, 300}, {300, 1}, {97, 131}}) {
      const Image image = picture(1, height, width, channels);
      const auto path = dir.write("a.png", text_of(encode_png(image)));
      expect_same(read_image(path, channels), image);
    }
  }
}

TEST(Png, RoundTripsNoiseAndFlatPictures) {
  const TempDir dir;
  Image image = picture(0, 300, 600, 3);
  uint32_t state = 1;
  for (uint8_t& value : image.pixels)
    value = static_cast<uint8_t>((state = state * 1664525 + 1) >> 24);
  expect_same(read_image(dir.write("noise.png", text_of(encode_png(image)))), image);
  std::fill(image.pixels.begin(), image.pixels.end(), uint8_t{200});
  const auto flat = encode_png(image);
  expect_same(read_image(dir.write("flat.png", text_of(flat))), image);
  EXPECT_LT(flat.size(), image.pixels.size() / 100);
}

TEST(Png, IsDeterministic) {
  const Image image = picture(0, 64, 64, 3);
  EXPECT_TRUE(encode_png(image, {{"a", "b"}}) == encode_png(image, {{"a", "b"}}));
}

TEST(Png, RefusesMalformedImages) {
  Image image = picture(0, 4, 4, 3);
  image.pixels.pop_back();
  EXPECT_THROW(encode_png(image), Error);
  EXPECT_THROW(encode_png(Image{}), Error);
  EXPECT_THROW(encode_png(picture(0, 4, 4, 2)), Error);
  EXPECT_THROW(encode_png(Image{.width = INT_MAX, .height = INT_MAX, .channels = 3, .pixels = {}}),
               Error);
  EXPECT_THROW(encode_png(Image{.width = -4, .height = -4, .channels = 1, .pixels = {16, 0}}),
               Error);
}

TEST(ReadImage, ReadsOtherProgramsPictures) {
  const Image rgb = picture(0, 5, 7, 3);
  expect_same(read_image(data("text.png")), rgb);
  expect_same(read_image(data("rgb.bmp")), rgb);
  expect_same(read_image(data("rgba.png"), 4), picture(0, 5, 7, 4));
  expect_same(read_image(data("rgba.png")), rgb);  // the alpha channel is dropped
  expect_same(read_image(data("grey.png"), 1), picture(0, 5, 7, 1));
  expect_same(read_image(data("grey16.png"), 1), picture(0, 5, 7, 1));  // the upper eight bits
  const Image grey_as_rgb = read_image(data("grey.png"));
  EXPECT_EQ(grey_as_rgb.pixels[3], grey_as_rgb.pixels[5]);
}

TEST(ReadImage, ReadsJpegAsPillowDoes) {
  const Image ours = read_image(data("smooth.jpg"));
  const Image pillows = read_image(data("smooth_decoded.png"));
  ASSERT_EQ(ours.pixels.size(), pillows.pixels.size());
  for (size_t i = 0; i < ours.pixels.size(); ++i) {
    EXPECT_LE(std::abs(ours.pixels[i] - pillows.pixels[i]), 2) << i;  // two inverse DCTs
  }
}

TEST(ReadImage, ChecksTheSizeBeforeDecoding) {
  const std::string message = message_of<Error>([&] { read_image(data("text.png"), 3, 34); });
  EXPECT_NE(message.find("more than the 34 pixels"), std::string::npos) << message;
  EXPECT_EQ(read_image(data("text.png"), 3, 35).width, 7);
}

TEST(ReadImage, RefusesAHugeClaim) {
  const TempDir dir;
  std::string bytes = file_bytes(data("text.png"));
  bytes.replace(16, 8, std::string("\x00\x00\x42\x68\x00\x00\x42\x68", 8));  // 17000x17000
  EXPECT_NE(
      refusal(dir.write("a.png", bytes)).find("17000x17000 is more than the 268435456 pixels"),
      std::string::npos);
  bytes.replace(16, 8, std::string("\x00\x0f\xff\xff\x00\x0f\xff\xff", 8));
  EXPECT_NE(refusal(dir.write("b.png", bytes)).find("more than can be decoded"), std::string::npos);
}

TEST(ReadImage, RefusesWhatIsNoPicture) {
  const TempDir dir;
  EXPECT_NE(refusal(dir.write("a.png", "")).find("it seems to be empty"), std::string::npos);
  EXPECT_NE(refusal(dir.write("b.png", "<!DOCTYPE html>")).find("an HTML page"), std::string::npos);
  EXPECT_NE(refusal(data("rgb.webp")).find("a WebP picture"), std::string::npos);
  EXPECT_NE(refusal(dir.write("c.png", std::string(100, '\x05'))).find("no picture"),
            std::string::npos);
  EXPECT_NE(refusal(dir / "none.png").find("No such file"), std::string::npos);
  EXPECT_NE(refusal(dir.path()).find("it is a folder"), std::string::npos);
  EXPECT_THROW(read_image(data("text.png"), 2), Error);
}

TEST(ReadImage, RefusesEveryTruncation) {
  const TempDir dir;
  for (const char* name : {"text.png", "smooth.jpg"}) {
    const std::string whole = file_bytes(data(name));
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_THROW(read_image(dir.write("t", whole.substr(0, size))), Error) << name << " " << size;
    }
  }
}

TEST(ReadImage, RefusesADamagedPng) {
  const TempDir dir;
  const std::string whole = file_bytes(data("text.png"));
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_THROW(read_image(dir.write("t", damaged)), Error) << i;
  }
}

TEST(ReadImage, SurvivesADamagedJpeg) {
  const TempDir dir;
  const std::string whole = file_bytes(data("smooth.jpg"));
  size_t refused = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    const auto path = dir.write("t", damaged);
    if (!message_of<Error>([&] { read_image(path); }).empty()) ++refused;
  }
  EXPECT_GT(refused, 0u);  // the compressed data itself carries no checksum
}

TEST(Jpeg, RoundTripsWithinItsLoss) {
  const TempDir dir;
  Image image = picture(0, 33, 47, 3);
  for (uint8_t& value : image.pixels) value /= 2;
  const Image got = read_image(dir.write("a.jpg", text_of(encode_jpeg(image, 100))));
  ASSERT_EQ(got.pixels.size(), image.pixels.size());
  for (size_t i = 0; i < got.pixels.size(); ++i) {
    EXPECT_LE(std::abs(got.pixels[i] - image.pixels[i]), 4) << i;
  }
  EXPECT_LT(encode_jpeg(image, 10).size(), encode_jpeg(image, 95).size());
}

TEST(Jpeg, DropsAlphaAndTakesGrey) {
  const TempDir dir;
  EXPECT_TRUE(encode_jpeg(picture(0, 8, 8, 4)) == encode_jpeg(picture(0, 8, 8, 3)));
  const Image grey =
      read_image(dir.write("a.jpg", text_of(encode_jpeg(picture(0, 8, 8, 1), 100))), 1);
  EXPECT_NEAR(grey.pixels[9], picture(0, 8, 8, 1).pixels[9], 3);
}

TEST(Jpeg, RefusesWhatItCannotHold) {
  EXPECT_THROW(encode_jpeg(picture(0, 8, 8, 3), 0), Error);
  EXPECT_THROW(encode_jpeg(picture(0, 8, 8, 3), 101), Error);
  EXPECT_THROW(encode_jpeg(picture(0, 65536, 1, 1)), Error);
  EXPECT_THROW(encode_jpeg(Image{}), Error);
}

std::vector<Image> pictures(int count, int channels = 3) {
  std::vector<Image> images;
  for (int i = 0; i < count; ++i) images.push_back(picture(i, 4, 6, channels));
  return images;
}

TEST(Grid, IsTorchvisions) {
  expect_same(make_grid(pictures(5), 3), read_image(data("grid_5_3.png")));
  expect_same(make_grid(pictures(2), 3), read_image(data("grid_2_3.png")));
  expect_same(make_grid(pictures(1), 3), read_image(data("grid_1_3.png")));
}

TEST(Grid, TakesOtherPaddingsAndChannels) {
  const Image none = make_grid(pictures(4), 2, 0);
  EXPECT_EQ(none.width, 12);
  EXPECT_EQ(none.height, 8);
  const Image grey = make_grid(pictures(3, 1), 2);
  EXPECT_EQ(grey.channels, 3);
  EXPECT_EQ(grey.pixels[(2 * 18 + 2) * 3 + 1], picture(0, 4, 6, 1).pixels[0]);
  EXPECT_EQ(make_grid(pictures(3, 4), 2).channels, 4);
}

TEST(Grid, RefusesWhatMakesNone) {
  EXPECT_THROW(make_grid({}, 3), Error);
  EXPECT_THROW(make_grid(pictures(2), 0), Error);
  EXPECT_THROW(make_grid(pictures(2), 2, -1), Error);
  EXPECT_THROW(make_grid({picture(0, 4, 4, 3), picture(0, 4, 5, 3)}, 2), Error);
  EXPECT_THROW(make_grid({picture(0, 4, 4, 3), picture(0, 4, 4, 4)}, 2), Error);
  EXPECT_THROW(make_grid(pictures(2), 2, INT_MAX), Error);
}

}  // namespace
}  // namespace easel
