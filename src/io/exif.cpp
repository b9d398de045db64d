#include "exif.h"

#include <cstdint>

#include "png_chunks.h"
#include "tiff.h"

namespace easel {
namespace {

constexpr int kUpright = 1;

// `block` begins with its byte order.
int orientation_in(std::string_view block) {
  constexpr uint32_t kTag = 0x112;
  constexpr uint32_t kShort = 3;
  if (!block.starts_with(std::string_view("MM\0*", 4)) &&
      !block.starts_with(std::string_view("II*\0", 4))) {
    return kUpright;
  }
  const Tiff tiff(block);
  const auto entry = tiff.find(tiff.first_folder(), kTag);
  if (!entry || tiff.number(*entry + 2, 2) != kShort) return kUpright;
  const uint32_t value = tiff.number(*entry + 8, 2).value_or(0);
  return value >= 1 && value <= 8 ? static_cast<int>(value) : kUpright;
}

int orientation_of_jpeg(std::string_view file) {
  size_t at = 2;
  while (at + 4 <= file.size() && file[at] == '\xff') {
    const auto marker = static_cast<uint8_t>(file[at + 1]);
    if (marker == 0xff) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) break;  // the picture itself, or its end
    const size_t length =
        size_t{static_cast<uint8_t>(file[at + 2])} << 8 | static_cast<uint8_t>(file[at + 3]);
    if (length < 2 || length > file.size() - at - 2) break;
    const std::string_view data = file.substr(at + 4, length - 2);
    if (marker == 0xe1 && data.starts_with(kExifPrefix)) {
      return orientation_in(data.substr(kExifPrefix.size()));
    }
    at += 2 + length;
  }
  return kUpright;
}

}  // namespace

int exif_orientation(std::string_view file) {
  if (file.starts_with("\xff\xd8")) return orientation_of_jpeg(file);
  if (!file.starts_with(kPngSignature)) return kUpright;
  for (const PngChunk& chunk : png_chunks(file)) {
    if (chunk.type == "eXIf") return orientation_in(chunk.data);
  }
  return kUpright;
}

}  // namespace easel
