#include <gtest/gtest.h>
#include <zlib.h>

#include <easel/base/error.h>
#include <easel/io/image.h>

#include "src/io/png_chunks.h"
#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using namespace std::string_literals;
using test::file_bytes;
using test::message_of;
using test::TempDir;

const Image kPixel{.width = 1, .height = 1, .channels = 1, .pixels = {7}};

std::string repeated(const std::string& piece, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += piece;
  return text;
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string deflated(const std::string& text) {
  uLongf size = compressBound(text.size());
  std::string out(size, '\0');
  compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
           text.size());
  out.resize(size);
  return out;
}

// A picture with one chunk of these bytes before its end.
std::string with_chunk(const std::string& type, const std::string& chunk_data) {
  std::vector<std::byte> chunk;
  append_png_chunk(chunk, type, chunk_data);
  std::string png = text_of(encode_png(kPixel));
  return png.insert(png.size() - 12, text_of(chunk));
}

PngText read(const std::string& bytes) {
  const TempDir dir;
  return read_png_text(dir.write("a.png", bytes));
}

void expect_refused(const std::string& bytes, const std::string& expected) {
  const std::string message = message_of<Error>([&] { read(bytes); });
  EXPECT_NE(message.find(expected), std::string::npos)
      << "expected: " << expected << "\ngot: " << message;
}

TEST(PngText, ReadsPillows) {
  const PngText expected{
      {"parameters", "a red cube\nSteps: 20, Seed: 42"},  {"latin", "caf\xc3\xa9"},
      {"unicode", "\xe7\x8c\xab \xf0\x9f\x90\x88"},       {"packed", std::string(1000, 'x')},
      {"packed unicode", repeated("\xe7\x8c\xab", 1000)},
  };
  EXPECT_EQ(read_png_text(EASEL_TEST_DATA "/io/text.png"), expected);
}

TEST(PngText, RoundTrips) {
  const PngText text{{"parameters", "a red cube\nSteps: 20"},
                     {"easel", "{\"prompt\": \"\xe7\x8c\xab\"}"},
                     {"empty", ""},
                     {"parameters", "again"},
                     {"a", std::string(1 << 20, 'z')}};
  EXPECT_EQ(read(text_of(encode_png(kPixel, text))), text);
  EXPECT_TRUE(read(text_of(encode_png(kPixel))).empty());
}

TEST(PngText, ChoosesTheChunkByTheValue) {
  const std::string ascii = text_of(encode_png(kPixel, {{"k", "v"}}));
  EXPECT_NE(ascii.find("tEXtk\0v"s), std::string::npos);
  const std::string unicode = text_of(encode_png(kPixel, {{"k", "\xc3\xa9"}}));
  EXPECT_NE(unicode.find("iTXtk\0\0\0\0\0\xc3\xa9"s), std::string::npos);
}

TEST(PngText, WriteRefusesBadKeywordsAndValues) {
  for (const std::string& keyword :
       {""s, " a"s, "a "s, "a  b"s, "a\nb"s, "a\0b"s, "\x80"s, std::string(80, 'k')}) {
    EXPECT_THROW(encode_png(kPixel, {{keyword, "v"}}), Error) << keyword;
  }
  EXPECT_THROW(encode_png(kPixel, {{"k", "a\0b"s}}), Error);
  EXPECT_THROW(encode_png(kPixel, {{"k", "\xff"}}), Error);
  EXPECT_NO_THROW(encode_png(kPixel, {{std::string(79, 'k'), "v"}}));
}

TEST(PngText, RefusesWhatIsNoPng) {
  expect_refused("", "no PNG");
  expect_refused(file_bytes(EASEL_TEST_DATA "/io/smooth.jpg"), "no PNG");
}

TEST(PngText, RefusesEveryTruncation) {
  const std::string whole = file_bytes(EASEL_TEST_DATA "/io/text.png");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(read(whole.substr(0, size)), Error) << size;
  }
}

TEST(PngText, RefusesEveryDamagedByte) {
  const std::string whole = file_bytes(EASEL_TEST_DATA "/io/text.png");
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    EXPECT_THROW(read(damaged), Error) << i;
  }
}

TEST(PngText, RefusesAWrongFirstChunk) {
  const std::string png = text_of(encode_png(kPixel));
  expect_refused(png.substr(0, 8) + png.substr(33), "does not begin with its header");
}

TEST(PngText, RefusesMissingTerminators) {
  expect_refused(with_chunk("tEXt", "keyword"), "lacks a terminator");
  expect_refused(with_chunk("zTXt", "keyword"), "lacks a terminator");
  expect_refused(with_chunk("iTXt", "keyword\0\0\0language"s), "lacks a terminator");
  expect_refused(with_chunk("iTXt", "keyword\0\0\0\0translated"s), "lacks a terminator");
}

TEST(PngText, RefusesShortChunks) {
  expect_refused(with_chunk("zTXt", "keyword\0"s), "too short");
  expect_refused(with_chunk("iTXt", "keyword\0\0"s), "too short");
}

TEST(PngText, RefusesBadKeywords) {
  expect_refused(with_chunk("tEXt", "\0value"s), "keyword");
  expect_refused(with_chunk("tEXt", std::string(80, 'k') + "\0v"s), "keyword");
}

TEST(PngText, RefusesUnknownCompression) {
  expect_refused(with_chunk("zTXt", "k\0\1"s + deflated("v")), "unknown compression");
  expect_refused(with_chunk("iTXt", "k\0\1\1\0\0"s + deflated("v")), "unknown compression");
  expect_refused(with_chunk("iTXt", "k\0\2\0\0\0v"s), "unknown compression");
}

TEST(PngText, RefusesDamagedCompression) {
  const std::string packed = deflated(std::string(100, 'v'));
  EXPECT_EQ(read(with_chunk("zTXt", "k\0\0"s + packed)).at(0).second, std::string(100, 'v'));
  expect_refused(with_chunk("zTXt", "k\0\0"s), "compressed text is damaged");
  expect_refused(with_chunk("zTXt", "k\0\0"s + packed.substr(0, packed.size() - 1)),
                 "compressed text is damaged");
  expect_refused(with_chunk("zTXt", "k\0\0rubbish"s), "compressed text is damaged");
}

TEST(PngText, RefusesInvalidUtf8) {
  expect_refused(with_chunk("iTXt", "k\0\0\0\0\0\xff"s), "not valid UTF-8");
}

TEST(PngText, RefusesNulInText) { expect_refused(with_chunk("tEXt", "k\0a\0b"s), "NUL"); }

TEST(PngText, RefusesATextThatUnpacksTooLarge) {
  const std::string bomb = deflated(std::string((16 << 20) + 1, 'x'));
  EXPECT_LT(bomb.size(), size_t{100'000});
  expect_refused(with_chunk("zTXt", "k\0\0"s + bomb), "larger than the 16777216 bytes");
  expect_refused(with_chunk("iTXt", "k\0\1\0\0\0"s + bomb), "larger than the 16777216 bytes");
  // Several that fit one by one count together.
  const std::string half = "k\0\0"s + deflated(std::string(9 << 20, 'x'));
  std::vector<std::byte> chunk;
  append_png_chunk(chunk, "zTXt", half);
  std::string png = with_chunk("zTXt", half);
  png.insert(png.size() - 12, text_of(chunk));
  expect_refused(png, "larger than the 16777216 bytes");
}

}  // namespace
}  // namespace easel
