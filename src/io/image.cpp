#include "easel/io/image.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>

#define STBI_NO_STDIO
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include <easel/base/error.h>
#include <easel/io/edit.h>
#include <easel/io/file.h>

#include "exif.h"
#include "image_check.h"
#include "path_text.h"
#include "picture_whole.h"
#include "sniff.h"

namespace easel {
namespace {

Image decode(std::string_view file, PictureFormat format, int channels, int64_t max_pixels) {
  if (channels != 1 && channels != 3 && channels != 4) {
    fail("{} channels asked for; a picture has 1, 3 or 4", channels);
  }
  if (file.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    fail("it has {} bytes, more than the 2 GiB that a picture may have", file.size());
  }
  const auto* const bytes = reinterpret_cast<const stbi_uc*>(file.data());
  const auto length = static_cast<int>(file.size());
  Image image{.width = 0, .height = 0, .channels = channels, .pixels = {}};
  int channels_in_file = 0;
  if (format == PictureFormat::Unknown ||
      stbi_info_from_memory(bytes, length, &image.width, &image.height, &channels_in_file) == 0) {
    // stb's reason is of no use here: it is that of the last format tried.
    if (format != PictureFormat::Unknown) {
      fail("its header is damaged, or its kind or size is more than can be decoded");
    }
    const std::string_view guess = guess_content(std::as_bytes(std::span(file)));
    fail("it is no picture that can be read (PNG, JPEG, BMP, GIF, PSD, PNM, TGA){}{}",
         guess.empty() ? "" : "; it seems to be ", guess);
  }
  if (int64_t{image.width} * image.height > max_pixels) {
    fail("its size {}x{} is more than the {} pixels that are allowed", image.width, image.height,
         max_pixels);
  }
  check_whole(file, format);
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(bytes, length, &image.width, &image.height, &channels_in_file,
                            channels),
      &stbi_image_free);
  if (!pixels) fail("the picture is damaged ({})", stbi_failure_reason());
  const size_t size = static_cast<size_t>(image.width) * static_cast<size_t>(image.height) *
                      static_cast<size_t>(channels);
  image.pixels.assign(pixels.get(), pixels.get() + size);
  return image;
}

// What `take` makes of the file's bytes and their format; errors name the file.
template <class Take>
Image read(const std::filesystem::path& path, Take take) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  try {
    const std::string_view bytes = as_text(file->bytes());
    return take(bytes, picture_format(bytes, path.extension().string()));
  } catch (const Error& error) {
    fail("cannot read the picture '{}': {}", path_text(path), error.what());
  }
}

// As torchvision does: a grid of grey pictures has three channels.
Image as_color(const Image& image) {
  if (image.channels != 1) return image;
  Image color{.width = image.width, .height = image.height, .channels = 3, .pixels = {}};
  color.pixels.reserve(image.pixels.size() * 3);
  for (const uint8_t value : image.pixels) color.pixels.insert(color.pixels.end(), 3, value);
  return color;
}

}  // namespace

Image read_image(const std::filesystem::path& path, int channels, int64_t max_pixels) {
  return read(path, [&](std::string_view file, PictureFormat format) {
    return decode(file, format, channels, max_pixels);
  });
}

Image read_upright_image(const std::filesystem::path& path, int channels, int64_t max_pixels) {
  return read(path, [&](std::string_view file, PictureFormat format) {
    const Image image = decode(file, format, channels, max_pixels);
    return oriented(image, exif_orientation(file));
  });
}

std::vector<std::byte> encode_jpeg(const Image& image, int quality) {
  constexpr int kMaxSize = 65535;
  check_image(image);
  if (quality < 1 || quality > 100) fail("a JPEG's quality is 1 to 100; got {}", quality);
  if (image.width > kMaxSize || image.height > kMaxSize) {
    fail("a JPEG is at most {} pixels wide and high; got {}x{}", kMaxSize, image.width,
         image.height);
  }
  std::vector<std::byte> out;
  const auto append = [](void* context, void* data, int size) {
    auto& bytes = *static_cast<std::vector<std::byte>*>(context);
    const auto* const first = static_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), first, first + size);
  };
  if (stbi_write_jpg_to_func(append, &out, image.width, image.height, image.channels,
                             image.pixels.data(), quality) == 0) {
    fail("cannot encode the JPEG: out of memory");
  }
  return out;
}

Image make_grid(const std::vector<Image>& images, int per_row, int padding) {
  if (images.empty()) fail("a grid needs at least one picture");
  if (per_row < 1) fail("a grid needs at least one picture in a row; got {}", per_row);
  if (padding < 0) fail("a grid's padding cannot be negative; got {}", padding);
  for (const Image& image : images) {
    check_image(image);
    if (image.width != images[0].width || image.height != images[0].height ||
        image.channels != images[0].channels) {
      fail("the pictures of a grid differ in size: {}x{} with {} channels, and {}x{} with {}",
           images[0].width, images[0].height, images[0].channels, image.width, image.height,
           image.channels);
    }
  }
  if (images.size() == 1) return as_color(images[0]);

  const auto count = static_cast<int64_t>(images.size());
  const int64_t columns = std::min<int64_t>(per_row, count);
  const int64_t rows = (count + columns - 1) / columns;
  const int64_t step_x = int64_t{images[0].width} + padding;
  const int64_t step_y = int64_t{images[0].height} + padding;
  constexpr int64_t kMaxSize = std::numeric_limits<int>::max();
  if (step_x > (kMaxSize - padding) / columns || step_y > (kMaxSize - padding) / rows) {
    fail("a grid of {} by {} pictures of {}x{} is too large", columns, rows, images[0].width,
         images[0].height);
  }
  Image grid{.width = static_cast<int>(step_x * columns + padding),
             .height = static_cast<int>(step_y * rows + padding),
             .channels = images[0].channels == 1 ? 3 : images[0].channels,
             .pixels = {}};
  const int64_t grid_row = int64_t{grid.width} * grid.channels;
  grid.pixels.assign(static_cast<size_t>(grid_row * grid.height), 0);
  for (int64_t i = 0; i < count; ++i) {
    const Image picture = as_color(images[static_cast<size_t>(i)]);
    const int64_t row_bytes = int64_t{picture.width} * picture.channels;
    const int64_t left = (i % columns * step_x + padding) * grid.channels;
    const int64_t top = i / columns * step_y + padding;
    for (int64_t y = 0; y < picture.height; ++y) {
      std::copy_n(picture.pixels.begin() + y * row_bytes, row_bytes,
                  grid.pixels.begin() + (top + y) * grid_row + left);
    }
  }
  return grid;
}

}  // namespace easel
