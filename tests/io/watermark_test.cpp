#include <cmath>

#include <easel/base/error.h>
#include <easel/io/watermark.h>

namespace easel {
namespace {

const std::string kText = "StableDiffusionV1";

// As scripts/fixtures/watermark.py draws it.
Image picture(int width = 276, int height = 260) {
  Image image{.width = width, .height = height, .channels = 3, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int place = (x + 2 * y) % 480;
        const int tint = (x / 4 * (c + 1) + y / 4) % 5;
        image.pixels.push_back(static_cast<uint8_t>(70 + std::min(place, 480 - place) / 2 + tint));
      }
    }
  }
  return image;
}

// The package's decoder: of every 8 x 8 block's low-frequency Haar coefficients in U, where the
// largest lies between two multiples of 36; each bit is what most of its blocks say.
std::string read_back(const Image& image, size_t num_bytes) {
  std::vector<int> votes(8 * num_bytes, 0);
  size_t number = 0;
  for (int top = 0; top + 8 <= image.height; top += 8) {
    for (int left = 0; left + 8 <= image.width; left += 8) {
      double largest = 0;
      for (int i = 1; i < 16; ++i) {
        double sum = 0;
        for (int k = 0; k < 4; ++k) {
          const int x = left + 2 * (i % 4) + k % 2;
          const int y = top + 2 * (i / 4) + k / 2;
          const uint8_t* rgb = &image.pixels[static_cast<size_t>(3 * (y * image.width + x))];
          const double luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
          sum += std::round(0.492 * (rgb[2] - std::round(luma)) + 128);
        }
        largest = std::max(largest, sum / 2);
      }
      votes[number++ % votes.size()] += std::fmod(largest, 36) > 18 ? 1 : -1;
    }
  }
  std::string text(num_bytes, '\0');
  for (size_t bit = 0; bit < votes.size(); ++bit) {
    if (votes[bit] > 0) text[bit / 8] = static_cast<char>(text[bit / 8] | (0x80 >> bit % 8));
  }
  return text;
}

TEST(Watermark, IsThatOfInvisibleWatermark) {
  const Image theirs = read_image(std::filesystem::path(EASEL_TEST_DATA) / "watermark/marked.png");
  ASSERT_EQ(read_back(theirs, kText.size()), kText);
  const Image own = with_watermark(picture(), kText);
  ASSERT_EQ(own.pixels.size(), theirs.pixels.size());
  size_t num_different = 0;
  for (size_t i = 0; i < own.pixels.size(); ++i) {
    // A step of U is 2.03 steps of blue.
    const int difference = std::abs(int{own.pixels[i]} - int{theirs.pixels[i]});
    ASSERT_LE(difference, 3) << i;
    num_different += difference > 0 ? 1 : 0;
  }
  RecordProperty("different", std::to_string(num_different));
  EXPECT_LT(num_different, own.pixels.size() / 3);
}

TEST(Watermark, CanBeReadAndHardlySeen) {
  for (const std::string& text : {kText, std::string("easel"), std::string("\x00\xFF\x80", 3)}) {
    for (const auto& [width, height] :
         {std::pair(256, 256), std::pair(512, 129), std::pair(300, 301)}) {
      const Image plain = picture(width, height);
      const Image marked = with_watermark(plain, text);
      EXPECT_EQ(read_back(marked, text.size()), text);
      double error = 0;
      for (size_t i = 0; i < plain.pixels.size(); ++i) {
        error += std::pow(int{marked.pixels[i]} - int{plain.pixels[i]}, 2);
      }
      EXPECT_LT(error / static_cast<double>(plain.pixels.size()), 20);  // 35 dB
    }
  }
  EXPECT_NE(read_back(picture(), kText.size()), kText);
}

TEST(Watermark, RefusesWhatCouldNotBeRead) {
  EXPECT_THROW(with_watermark(picture(255, 256), kText), Error);
  EXPECT_THROW(with_watermark(picture(), ""), Error);
  EXPECT_THROW(with_watermark(picture(), std::string(137, 'a')), Error);
  EXPECT_NO_THROW(with_watermark(picture(), std::string(136, 'a')));
  Image grey{.width = 300, .height = 300, .channels = 1, .pixels = std::vector<uint8_t>(90000)};
  EXPECT_THROW(with_watermark(grey, kText), Error);
}

}  // namespace
}  // namespace easel
