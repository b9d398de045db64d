#include "picture_whole.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <easel/base/error.h>

#include "png_chunks.h"

namespace easel {
namespace {

// The bytes of a file in order; past its end is an Error.
class Cursor {
 public:
  Cursor(std::string_view file, std::string_view kind) : rest_(file), kind_(kind) {}

  void skip(uint64_t count) {
    if (count > rest_.size()) fail("the {} is truncated", kind_);
    rest_.remove_prefix(static_cast<size_t>(count));
  }
  uint8_t byte() {
    if (rest_.empty()) fail("the {} is truncated", kind_);
    const auto value = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  uint64_t little(int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= uint64_t{byte()} << (8 * i);
    return value;
  }
  uint64_t big(int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | byte();
    return value;
  }

 private:
  std::string_view rest_;
  std::string_view kind_;
};

void check_jpeg(std::string_view file) {
  // Neither marker can occur within the compressed data.
  const size_t last_scan = file.rfind("\xff\xda");
  if (last_scan == std::string_view::npos || file.find("\xff\xd9", last_scan) == file.npos) {
    fail("the JPEG is truncated: it has no end marker");
  }
}

// Uncompressed rows, which are all that stb_image reads; it takes zeros for what is missing.
void check_bmp(std::string_view file) {
  Cursor at(file, "BMP");
  at.skip(10);
  const uint64_t pixels = at.little(4);
  const uint64_t header = at.little(4);
  const bool old = header == 12;  // OS/2's
  const uint64_t width = at.little(old ? 2 : 4);
  // A height below 0 says that the rows go down.
  const auto height = static_cast<int32_t>(at.little(old ? 2 : 4));
  at.skip(2);
  const uint64_t row = (width * at.little(2) + 31) / 32 * 4;
  Cursor(file, "BMP").skip(pixels + row * static_cast<uint64_t>(std::abs(int64_t{height})));
}

// Source: netpbm's pgm(5) and ppm(5). stb_image leaves what is missing uninitialised.
void check_pnm(std::string_view file) {
  Cursor at(file, "PNM");
  const uint64_t samples = file.starts_with("P6") ? 3 : 1;
  at.skip(2);
  uint8_t next = at.byte();
  const auto is_space = [](uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  const auto number = [&] {
    while (is_space(next) || next == '#') {
      if (next == '#') {
        while (next != '\n' && next != '\r') next = at.byte();
      } else {
        next = at.byte();
      }
    }
    uint64_t value = 0;
    while (next >= '0' && next <= '9' && value < (uint64_t{1} << 32)) {
      value = value * 10 + (next - '0');
      next = at.byte();  // after the last digit, the one space before the samples
    }
    return value;
  };
  const uint64_t width = number();
  const uint64_t height = number();
  const uint64_t bytes = number() > 255 ? 2 : 1;
  constexpr uint64_t kMost = uint64_t{1} << 24;
  if (width > kMost || height > kMost) fail("the PNM is {}x{} pixels", width, height);
  at.skip(width * height * samples * bytes);
}

// Source: CompuServe, Graphics Interchange Format, version 89a.
void check_gif(std::string_view file) {
  Cursor at(file, "GIF");
  const auto skip_colors = [&](uint8_t flags) {
    if ((flags & 0x80) != 0) at.skip(uint64_t{3} << ((flags & 7) + 1));
  };
  const auto skip_blocks = [&] {
    while (const uint8_t length = at.byte()) at.skip(length);
  };
  at.skip(10);
  const uint8_t flags = at.byte();
  at.skip(2);
  skip_colors(flags);
  while (true) {
    switch (at.byte()) {
      case 0x21:  // an extension
        at.skip(1);
        skip_blocks();
        break;
      case 0x2c:  // the first picture
        at.skip(8);
        skip_colors(at.byte());
        at.skip(1);
        return skip_blocks();
      case 0x3b:
        fail("the GIF holds no picture");
      default:
        fail("the GIF is damaged");
    }
  }
}

// Source: Adobe Photoshop File Formats Specification.
void check_psd(std::string_view file) {
  Cursor at(file, "PSD");
  at.skip(12);
  const uint64_t channels = at.big(2);
  const uint64_t height = at.big(4);
  const uint64_t width = at.big(4);
  const uint64_t depth = at.big(2);
  at.skip(2);
  for (int section = 0; section < 3; ++section) at.skip(at.big(4));
  if (at.big(2) == 0) return at.skip(channels * height * width * (depth / 8));
  uint64_t packed = 0;
  for (uint64_t row = 0; row < channels * height; ++row) packed += at.big(2);
  at.skip(packed);
}

// Source: Truevision TGA File Format Specification, version 2.0.
void check_tga(std::string_view file) {
  Cursor at(file, "TGA");
  const uint8_t id_length = at.byte();
  const bool has_colors = at.byte() != 0;
  const uint8_t type = at.byte();
  at.skip(2);
  const uint64_t num_colors = at.little(2);
  const uint64_t color_bits = at.byte();
  at.skip(4);
  const uint64_t width = at.little(2);
  const uint64_t height = at.little(2);
  const uint64_t bytes = (uint64_t{at.byte()} + 7) / 8;
  at.skip(uint64_t{1} + id_length);
  if (has_colors) at.skip(num_colors * ((color_bits + 7) / 8));
  const bool packed = type >= 8;
  if (!packed) return at.skip(width * height * bytes);
  for (uint64_t done = 0; done < width * height;) {
    const uint8_t head = at.byte();
    const uint64_t count = uint64_t{head & 0x7fU} + 1;
    at.skip((head & 0x80) != 0 ? bytes : count * bytes);
    done += count;
  }
}

}  // namespace

PictureFormat picture_format(std::string_view file, std::string_view extension) {
  if (file.starts_with(kPngSignature)) return PictureFormat::Png;
  if (file.starts_with("\xff\xd8")) return PictureFormat::Jpeg;
  if (file.starts_with("BM")) return PictureFormat::Bmp;
  if (file.starts_with("P5") || file.starts_with("P6")) return PictureFormat::Pnm;
  if (file.starts_with("GIF8")) return PictureFormat::Gif;
  if (file.starts_with("8BPS")) return PictureFormat::Psd;
  std::string lower(extension);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  return lower == ".tga" ? PictureFormat::Tga : PictureFormat::Unknown;
}

void check_whole(std::string_view file, PictureFormat format) {
  switch (format) {
    case PictureFormat::Png:
      png_chunks(file);
      break;
    case PictureFormat::Jpeg:
      return check_jpeg(file);
    case PictureFormat::Bmp:
      return check_bmp(file);
    case PictureFormat::Pnm:
      return check_pnm(file);
    case PictureFormat::Gif:
      return check_gif(file);
    case PictureFormat::Psd:
      return check_psd(file);
    case PictureFormat::Tga:
      return check_tga(file);
    case PictureFormat::Unknown:
      break;
  }
}

}  // namespace easel
