#include "easel/io/jpeg_text.h"

#include <cstdint>
#include <optional>

#include <easel/base/utf8.h>
#include <easel/io/file.h>

#include "tiff.h"

namespace easel {
namespace {

constexpr std::string_view kUnicode{"UNICODE\0", 8};
constexpr std::string_view kAscii{"ASCII\0\0\0", 8};
constexpr uint32_t kExifFolder = 0x8769;
constexpr uint32_t kUserComment = 0x9286;
constexpr size_t kMaxSegment = 65533;

void put(std::string& out, uint32_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out += static_cast<char>(value >> shift & 0xFF);
  }
}

uint32_t code_point(std::string_view sequence) {
  const auto first = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return first;
  uint32_t value = first & (0x7F >> sequence.size());
  for (const char c : sequence.substr(1)) value = value << 6 | (static_cast<uint32_t>(c) & 0x3F);
  return value;
}

std::string utf16_of(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8_sequence_length(text);
    uint32_t value = length == 0 ? 0xFFFD : code_point(text.substr(0, length));
    if (value >= 0x10000) {
      value -= 0x10000;
      put(out, 0xD800 + (value >> 10), 2);
      value = 0xDC00 + (value & 0x3FF);
    }
    put(out, value, 2);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

void append_utf8(std::string& out, uint32_t value) {
  if (value < 0x80) {
    out += static_cast<char>(value);
    return;
  }
  const int more = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
  out += static_cast<char>((0xFF00 >> (more + 1) & 0xFF) | value >> (6 * more));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (value >> (6 * i) & 0x3F));
}

std::string utf8_of_utf16(const Tiff& tiff, size_t at, size_t end) {
  std::string text;
  for (; at + 2 <= end; at += 2) {
    uint32_t value = *tiff.number(at, 2);
    if (value == 0) break;
    if (value >= 0xD800 && value < 0xE000) {
      const uint32_t next = at + 4 <= end ? *tiff.number(at + 2, 2) : 0;
      const bool pair = value < 0xDC00 && next >= 0xDC00 && next < 0xE000;
      value = pair ? 0x10000 + ((value & 0x3FF) << 10) + (next & 0x3FF) : 0xFFFD;
      if (pair) at += 2;
    }
    append_utf8(text, value);
  }
  return text;
}

std::string comment_in(const Tiff& tiff) {
  const auto exif = tiff.find(tiff.first_folder(), kExifFolder);
  const auto entry = exif ? tiff.find(tiff.number(*exif + 8, 4), kUserComment) : std::nullopt;
  if (!entry) return {};
  const size_t length = tiff.number(*entry + 4, 4).value_or(0);
  const size_t start = tiff.number(*entry + 8, 4).value_or(0);
  const std::string_view bytes = tiff.bytes();
  if (start > bytes.size() || bytes.size() - start < length) return {};
  const std::string_view value = bytes.substr(start, length);
  if (value.starts_with(kUnicode)) return utf8_of_utf16(tiff, start + 8, start + length);
  const std::string text(value.substr(value.starts_with(kAscii) ? 8 : 0));
  return is_valid_utf8(text) ? text.substr(0, text.find('\0')) : std::string();
}

}  // namespace

std::vector<std::byte> with_jpeg_text(std::vector<std::byte> jpeg, std::string_view text) {
  const std::string comment = std::string(kUnicode) + utf16_of(text);
  std::string tiff = "MM";
  put(tiff, 42, 2);
  put(tiff, 8, 4);  // the first folder: one entry, which is the EXIF folder
  put(tiff, 1, 2);
  put(tiff, kExifFolder, 2);
  put(tiff, 4, 2);
  put(tiff, 1, 4);
  put(tiff, 26, 4);
  put(tiff, 0, 4);
  put(tiff, 1, 2);  // at 26: one entry, the comment, whose bytes stand at 44
  put(tiff, kUserComment, 2);
  put(tiff, 7, 2);
  put(tiff, static_cast<uint32_t>(comment.size()), 4);
  put(tiff, 44, 4);
  put(tiff, 0, 4);
  tiff += comment;
  if (text.empty() || kExifPrefix.size() + tiff.size() > kMaxSegment || jpeg.size() < 2)
    return jpeg;
  std::string segment = "\xff\xe1";
  put(segment, static_cast<uint32_t>(2 + kExifPrefix.size() + tiff.size()), 2);
  segment += std::string(kExifPrefix) + tiff;
  const auto* const first = reinterpret_cast<const std::byte*>(segment.data());
  jpeg.insert(jpeg.begin() + 2, first, first + segment.size());
  return jpeg;
}

std::string read_jpeg_text(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()),
                               file->bytes().size());
  if (!bytes.starts_with("\xff\xd8")) return {};
  const auto byte = [&](size_t i) { return size_t{static_cast<unsigned char>(bytes[i])}; };
  for (size_t at = 2; at + 4 <= bytes.size() && byte(at) == 0xFF;) {
    const size_t length = byte(at + 2) << 8 | byte(at + 3);
    if (byte(at + 1) == 0xDA || length < 2 || bytes.size() - at - 2 < length) return {};
    const std::string_view segment = bytes.substr(at + 4, length - 2);
    if (byte(at + 1) == 0xE1 && segment.starts_with(kExifPrefix)) {
      return comment_in(Tiff(segment.substr(kExifPrefix.size())));
    }
    at += 2 + length;
  }
  return {};
}

}  // namespace easel
