// Pictures from strangers: every kind that is read, against Pillow, and files that are damaged.
#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/image.h>
#include <easel/io/tensor_file.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::message_of;
using test::TempDir;

const TensorFile& fixture() {
  static const TensorFile file =
      read_safetensors(std::filesystem::path(EASEL_TEST_DATA "/io/pictures.safetensors"));
  return file;
}

std::string bytes_of(const std::string& name) {
  const Tensor& file = fixture().tensors.at(name + "/file");
  return {reinterpret_cast<const char*>(file.const_data_ptr<uint8_t>()),
          static_cast<size_t>(file.numel())};
}

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const auto& [name, tensor] : fixture().tensors) {
    if (name.ends_with("/file")) list.push_back(name.substr(0, name.size() - 5));
  }
  return list;
}

bool is_jpeg(const std::string& name) { return name.ends_with(".jpg"); }

std::string refusal(const std::filesystem::path& path) {
  const std::string message = message_of<Error>([&] { read_upright_image(path); });
  EXPECT_NE(message.find(path.string()), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

class StrangerPicture : public ::testing::TestWithParam<std::string> {
 protected:
  // A TGA may end with a signature that no picture needs.
  static bool is_tga() { return GetParam().ends_with(".tga"); }
};

TEST_P(StrangerPicture, IsReadAsPillowReadsIt) {
  const TempDir dir;
  const Image image = read_upright_image(dir.write(GetParam(), bytes_of(GetParam())));
  const Tensor& want = fixture().tensors.at(GetParam() + "/pixels");
  ASSERT_EQ(image.height, want.size(0));
  ASSERT_EQ(image.width, want.size(1));
  ASSERT_EQ(image.channels, 3);
  const auto* pixels = want.const_data_ptr<uint8_t>();
  // A JPEG's decoder has some freedom in its cosines, and Pillow's CMYK a rounding of its own.
  const int allowed = is_jpeg(GetParam()) ? 4 : 0;
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    ASSERT_LE(std::abs(image.pixels[i] - pixels[i]), allowed) << "sample " << i;
  }
}

TEST_P(StrangerPicture, IsRefusedWhereItIsTruncated) {
  const TempDir dir;
  const std::string whole = bytes_of(GetParam());
  // A GIF's later pictures are not read.
  const size_t end = GetParam().ends_with(".gif") ? whole.size() / 3 : whole.size();
  for (size_t size = 0; size < end; size += 1 + size / 16) {
    refusal(dir.write(GetParam(), whole.substr(0, size)));
  }
  if (end == whole.size())
    refusal(dir.write(GetParam(), whole.substr(0, end - (is_tga() ? 60 : 3))));
}

TEST_P(StrangerPicture, MayBeDamagedAnywhere) {
  const TempDir dir;
  const std::string whole = bytes_of(GetParam());
  uint32_t state = 1;
  for (int round = 0; round < 200; ++round) {
    std::string damaged = whole;
    for (int k = 0; k < 3; ++k) {
      state = state * 1664525 + 1013904223;
      damaged[state / 7 % damaged.size()] = static_cast<char>(state >> 24);
    }
    const auto path = dir.write(GetParam(), damaged);
    try {
      const Image image = read_upright_image(path, 3, 1 << 20);
      EXPECT_EQ(image.pixels.size(),
                static_cast<size_t>(image.width) * static_cast<size_t>(image.height) * 3);
    } catch (const Error&) {
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Pillow, StrangerPicture, ::testing::ValuesIn(names()),
                         [](const auto& given) {
                           std::string name = given.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST(StrangerFile, IsOneClearMessage) {
  const TempDir dir;
  EXPECT_NE(refusal(dir.write("empty.png", "")).find("no picture"), std::string::npos);
  EXPECT_NE(refusal(dir.write("junk.jpg", "this is no picture")).find("no picture"),
            std::string::npos);
  EXPECT_NE(refusal(dir.write("page.png", "<!DOCTYPE html><html></html>")).find("no picture"),
            std::string::npos);
  refusal(dir.write("webp.png", std::string("RIFF\x24\0\0\0WEBPVP8 ", 16)));
  refusal(dir.write("zeros.tga", std::string(64, '\0')));
  refusal(dir.write("short.tga", "ab"));
  EXPECT_THROW(read_upright_image(dir / "none.png"), Error);
  EXPECT_THROW(read_upright_image(dir.path()), Error);
}

TEST(StrangerFile, ATgaIsOneByItsNameAlone) {
  const TempDir dir;
  EXPECT_NO_THROW(read_upright_image(dir.write("A.TGA", bytes_of("a.tga"))));
  EXPECT_NE(refusal(dir.write("a.png", bytes_of("a.tga"))).find("no picture"), std::string::npos);
}

TEST(StrangerFile, HasACapOnItsSize) {
  const TempDir dir;
  const auto path = dir.write("a.png", bytes_of("turned6.png"));
  EXPECT_NO_THROW(read_upright_image(path, 3, 24 * 16));
  EXPECT_THROW(read_upright_image(path, 3, 24 * 16 - 1), Error);
}

TEST(StrangerExif, IsIgnoredWhereItIsMalformed) {
  const TempDir dir;
  const std::string whole = bytes_of("turned6.jpg");
  const Image upright = read_image(dir.write("a.jpg", whole));
  const size_t tiff = whole.find("Exif");
  ASSERT_NE(tiff, std::string::npos);
  const auto with = [&](size_t at, const std::string& bytes) {
    std::string changed = whole;
    changed.replace(tiff + 6 + at, bytes.size(), bytes);
    return read_upright_image(dir.write("b.jpg", changed));
  };
  EXPECT_EQ(with(0, "XX").pixels, upright.pixels);
  EXPECT_EQ(with(4, "\xff\xff\xff\xff").pixels, upright.pixels);
  EXPECT_EQ(with(4, std::string("\0\0\0\0", 4)).pixels, upright.pixels);
}

}  // namespace
}  // namespace easel
