#include "exif.h"

#include <cstdint>

#include "png_chunks.h"

namespace easel {
namespace {

constexpr int kUpright = 1;

uint32_t number(std::string_view bytes, bool big_endian) {
  uint32_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<uint8_t>(bytes[big_endian ? i : bytes.size() - 1 - i]);
    value = value << 8 | byte;
  }
  return value;
}

// `tiff` begins with its byte order.
int orientation_in(std::string_view tiff) {
  const bool big_endian = tiff.starts_with(std::string_view("MM\0*", 4));
  if (!big_endian && !tiff.starts_with(std::string_view("II*\0", 4))) return kUpright;
  const auto read = [&](size_t at, size_t size) {
    return number(tiff.substr(at, size), big_endian);
  };
  if (tiff.size() < 8) return kUpright;
  const size_t first = read(4, 4);
  if (first > tiff.size() || tiff.size() - first < 2) return kUpright;
  const size_t count = read(first, 2);
  constexpr size_t kEntryBytes = 12;
  constexpr uint32_t kTag = 0x112;
  constexpr uint32_t kShort = 3;
  for (size_t i = 0; i < count; ++i) {
    const size_t entry = first + 2 + i * kEntryBytes;
    if (entry + kEntryBytes > tiff.size()) return kUpright;
    if (read(entry, 2) != kTag) continue;
    const uint32_t value = read(entry + 8, 2);
    const bool valid = read(entry + 2, 2) == kShort && value >= 1 && value <= 8;
    return valid ? static_cast<int>(value) : kUpright;
  }
  return kUpright;
}

int orientation_of_jpeg(std::string_view file) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  size_t at = 2;
  while (at + 4 <= file.size() && file[at] == '\xff') {
    const auto marker = static_cast<uint8_t>(file[at + 1]);
    if (marker == 0xff) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) break;  // the picture itself, or its end
    const size_t length = number(file.substr(at + 2, 2), true);
    if (length < 2 || length > file.size() - at - 2) break;
    const std::string_view data = file.substr(at + 4, length - 2);
    if (marker == 0xe1 && data.starts_with(kExif)) return orientation_in(data.substr(kExif.size()));
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
