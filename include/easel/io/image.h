// Pictures of 8-bit samples, and their files (PNG with text, JPEG) through stb_image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace easel {

// Row-major interleaved samples; owns its pixels.
struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;             // 1 grey, 3 RGB, 4 RGBA
  std::vector<uint8_t> pixels;  // height * width * channels
};

// Keyword and value of PNG text chunks, in file order. Keywords are Latin-1, 1 to 79 bytes; values
// UTF-8 (written as tEXt where they are ASCII, else as iTXt; zTXt is read as well).
using PngText = std::vector<std::pair<std::string, std::string>>;

// A PNG file of `image` (1, 3 or 4 channels). Deterministic. Throws Error on a malformed image, a
// keyword or value that PNG cannot hold, or a value that is not UTF-8.
std::vector<std::byte> encode_png(const Image& image, const PngText& text = {});

// A baseline JPEG file; alpha is dropped. `quality` 1 to 100.
std::vector<std::byte> encode_jpeg(const Image& image, int quality = 95);

// Decodes PNG, JPEG, BMP, GIF (its first picture), PSD, PNM or, by its name, TGA into `channels`
// channels (1, 3 or 4): grey is repeated, alpha dropped or made opaque, 16-bit samples lose their
// lower half, CMYK becomes RGB. The decoded size is checked against
// `max_pixels` before anything is allocated. Throws Error, also for a truncated or damaged file.
Image read_image(const std::filesystem::path& path, int channels = 3,
                 int64_t max_pixels = int64_t{1} << 28);

// The same, turned the way that the file's EXIF orientation says it is to be shown.
Image read_upright_image(const std::filesystem::path& path, int channels = 3,
                         int64_t max_pixels = int64_t{1} << 28);

// The text chunks of a PNG file, CRCs of all chunks checked; a malformed chunk or file is an Error,
// and the decompressed text is capped at 16 MiB.
PngText read_png_text(const std::filesystem::path& path);

// Pictures of equal size in rows of `per_row`, `padding` black pixels around and between them, as
// torchvision's make_grid lays them out; a single picture is returned without a border and grey
// ones become RGB, as there. Throws Error where they differ in size or there is none.
Image make_grid(const std::vector<Image>& images, int per_row, int padding = 2);

}  // namespace easel
