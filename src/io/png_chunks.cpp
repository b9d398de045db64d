#include "png_chunks.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include <zlib.h>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr size_t kMaxChunkBytes = 0x7FFFFFFF;

std::array<char, 4> big_endian(uint32_t number) {
  return {static_cast<char>(number >> 24), static_cast<char>(number >> 16),
          static_cast<char>(number >> 8), static_cast<char>(number)};
}

uint32_t read_big_endian(std::string_view bytes) {
  uint32_t number = 0;
  for (const char byte : bytes.substr(0, 4)) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

uint32_t crc_of(std::string_view type, std::string_view data) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<const Bytef*>(text.data());
  };
  const uLong crc = crc32_z(crc32_z(0, nullptr, 0), bytes(type), type.size());
  return static_cast<uint32_t>(data.empty() ? crc : crc32_z(crc, bytes(data), data.size()));
}

}  // namespace

std::vector<PngChunk> png_chunks(std::string_view file) {
  if (!file.starts_with(kPngSignature)) fail("it is no PNG picture");
  size_t position = kPngSignature.size();
  std::vector<PngChunk> chunks;
  for (;;) {
    const std::string_view rest = file.substr(position);
    if (rest.size() < 12) fail("the PNG is truncated at byte {}", position);
    const uint32_t length = read_big_endian(rest);
    if (length > kMaxChunkBytes || length > rest.size() - 12) {
      fail("the PNG is truncated or damaged: the chunk at byte {} claims {} bytes, {} are left",
           position, length, rest.size() - 12);
    }
    const PngChunk chunk{.type = rest.substr(4, 4), .data = rest.substr(8, length)};
    if (crc_of(chunk.type, chunk.data) != read_big_endian(rest.substr(8 + length))) {
      fail("the PNG is damaged: the checksum of the {} chunk at byte {} is wrong",
           printable(chunk.type), position);
    }
    if (chunks.empty() && (chunk.type != "IHDR" || length != 13)) {
      fail("the PNG does not begin with its header chunk");
    }
    chunks.push_back(chunk);
    if (chunk.type == "IEND") return chunks;
    position += 12 + size_t{length};
  }
}

void append_png_chunk(std::vector<std::byte>& out, std::string_view type, std::string_view data) {
  if (data.size() > kMaxChunkBytes) {
    fail("a PNG chunk of {} bytes is longer than the {} that the format allows", data.size(),
         kMaxChunkBytes);
  }
  const auto append = [&](auto bytes) {
    const auto* const first = reinterpret_cast<const std::byte*>(bytes.data());
    out.insert(out.end(), first, first + bytes.size());
  };
  append(big_endian(static_cast<uint32_t>(data.size())));
  append(type);
  append(data);
  append(big_endian(crc_of(type, data)));
}

bool is_png_keyword(std::string_view keyword) {
  const bool printable_characters = std::all_of(keyword.begin(), keyword.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return (byte >= 32 && byte <= 126) || byte >= 161;
  });
  return !keyword.empty() && keyword.size() <= 79 && printable_characters &&
         keyword.front() != ' ' && keyword.back() != ' ' &&
         keyword.find("  ") == std::string_view::npos;
}

}  // namespace easel
