// The container of a PNG file: signature, then chunks of a type, data and a CRC.
// Source: W3C Portable Network Graphics (PNG) Specification, third edition.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace easel {

constexpr std::string_view kPngSignature{"\x89PNG\r\n\x1a\n", 8};

struct PngChunk {
  std::string_view type;  // four letters
  std::string_view data;
};

// All chunks from IHDR to IEND, as views of `file`. Every length and CRC is checked; Error where
// the file is no PNG, truncated or damaged. What follows IEND is ignored.
std::vector<PngChunk> png_chunks(std::string_view file);

void append_png_chunk(std::vector<std::byte>& out, std::string_view type, std::string_view data);

// Whether `keyword` may head a text chunk: 1 to 79 printable Latin-1 characters, no space at an end
// and no two together.
bool is_png_keyword(std::string_view keyword);

}  // namespace easel
