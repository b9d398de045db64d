// Reading the text chunks of PNG files.
#include <array>
#include <string>

#include <zlib.h>

#include <easel/base/error.h>
#include <easel/base/utf8.h>
#include <easel/io/file.h>
#include <easel/io/image.h>

#include "path_text.h"
#include "png_chunks.h"
#include "sniff.h"

namespace easel {
namespace {

constexpr size_t kMaxTextBytes = 16 << 20;

std::string utf8_of_latin1(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      result += c;
    } else {
      result += static_cast<char>(0xC0 | byte >> 6);
      result += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return result;
}

// Takes the front of `text` up to a NUL, and both from `text`.
std::string_view take_field(std::string_view& text, std::string_view chunk_type) {
  const size_t end = text.find('\0');
  if (end == std::string_view::npos) {
    fail("the PNG is malformed: a {} chunk lacks a terminator", chunk_type);
  }
  const std::string_view field = text.substr(0, end);
  text.remove_prefix(end + 1);
  return field;
}

std::string inflate_text(std::string_view compressed, size_t max_bytes) {
  z_stream stream{};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  if (inflateInit(&stream) != Z_OK) fail("cannot read the PNG's text: out of memory");
  std::string text;
  std::array<char, 1 << 14> block;
  int status = Z_OK;
  while (status == Z_OK && text.size() <= max_bytes) {
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = static_cast<uInt>(block.size());
    status = inflate(&stream, Z_NO_FLUSH);
    text.append(block.data(), block.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (text.size() > max_bytes) {
    fail("the PNG's text is larger than the {} bytes that are allowed", kMaxTextBytes);
  }
  if (status != Z_STREAM_END) fail("the PNG is malformed: its compressed text is damaged");
  return text;
}

std::pair<std::string, std::string> read_chunk(const PngChunk& chunk, size_t max_bytes) {
  std::string_view data = chunk.data;
  const std::string_view keyword = take_field(data, chunk.type);
  if (!is_png_keyword(keyword)) {
    fail("the PNG is malformed: '{}' cannot be the keyword of a text", printable(keyword));
  }
  const auto take_byte = [&] {
    if (data.empty()) fail("the PNG is malformed: a {} chunk is too short", chunk.type);
    const char byte = data.front();
    data.remove_prefix(1);
    return byte;
  };
  const auto check_method = [&] {
    if (take_byte() != 0)
      fail("the PNG is malformed: unknown compression in a {} chunk", chunk.type);
  };

  std::string value;
  if (chunk.type == "tEXt") {
    value = utf8_of_latin1(data);
  } else if (chunk.type == "zTXt") {
    check_method();
    value = utf8_of_latin1(inflate_text(data, max_bytes));
  } else {
    const char compressed = take_byte();
    check_method();
    take_field(data, chunk.type);  // the language
    take_field(data, chunk.type);  // the keyword in that language
    if (compressed != 0 && compressed != 1) {
      fail("the PNG is malformed: unknown compression in an iTXt chunk");
    }
    value = compressed == 1 ? inflate_text(data, max_bytes) : std::string(data);
    if (!is_valid_utf8(value)) {
      fail("the PNG is malformed: the text '{}' is not valid UTF-8", printable(keyword));
    }
  }
  if (value.find('\0') != std::string::npos) {
    fail("the PNG is malformed: the text '{}' holds a NUL character", printable(keyword));
  }
  if (value.size() > max_bytes) {
    fail("the PNG's text is larger than the {} bytes that are allowed", kMaxTextBytes);
  }
  return {std::string(keyword), std::move(value)};
}

}  // namespace

PngText read_png_text(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  try {
    PngText text;
    size_t bytes_left = kMaxTextBytes;
    for (const PngChunk& chunk : png_chunks(as_text(file->bytes()))) {
      if (chunk.type != "tEXt" && chunk.type != "zTXt" && chunk.type != "iTXt") continue;
      text.push_back(read_chunk(chunk, bytes_left));
      bytes_left -= text.back().second.size();
    }
    return text;
  } catch (const Error& error) {
    fail("cannot read the text of '{}': {}", path_text(path), error.what());
  }
}

}  // namespace easel
