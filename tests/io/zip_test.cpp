#include <string>

#include <gtest/gtest.h>
#include <zlib.h>

#include <easel/base/error.h>

#include "src/io/torch_cursor.h"
#include "src/io/zip_reader.h"
#include "tests/support/temp_dir.h"
#include "tests/support/torch_archive.h"

namespace easel {
namespace {

using namespace std::string_literals;
using test::le;
using test::make_zip;
using test::message_of;
using test::TempDir;

constexpr size_t kCentralCrc = 16;
constexpr size_t kCentralSizes = 20;
constexpr size_t kCentralOffset = 42;

ZipReader open(const TempDir& dir, const std::string& bytes) {
  return ZipReader(MappedFile::open(dir.write("test.zip", bytes)));
}

std::string error_of(const std::string& bytes) {
  const TempDir dir;
  return message_of<Error>([&] { open(dir, bytes); });
}

// Where the n-th header with this signature starts.
size_t header(const std::string& zip, std::string_view signature, int n = 0) {
  size_t at = zip.find(signature);
  for (; n > 0; --n) at = zip.find(signature, at + 1);
  return at;
}
size_t central(const std::string& zip, int n = 0) { return header(zip, "PK\x01\x02", n); }
size_t local(const std::string& zip, int n = 0) { return header(zip, "PK\x03\x04", n); }
size_t end_record(const std::string& zip) { return header(zip, "PK\x05\x06"); }

std::string& patch(std::string& zip, size_t at, const std::string& bytes) {
  return zip.replace(at, bytes.size(), bytes);
}

std::string two_files() { return make_zip({{"a", "first file"}, {"b", "second file"}}); }

// One deflated entry "a", made with zlib, whose directory says `claimed` bytes.
std::string deflated_zip(const std::string& data, uint32_t claimed) {
  std::string packed(compressBound(data.size()) + 64, '\0');
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  std::string zip = make_zip({{"a", packed}});
  const auto crc =
      crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size()));
  const std::string fields = le(crc, 4) + le(packed.size(), 4) + le(claimed, 4);
  patch(zip, local(zip) + 8, le(8, 2));
  patch(zip, local(zip) + 14, fields);
  patch(zip, central(zip) + 10, le(8, 2));
  patch(zip, central(zip) + kCentralCrc, fields);
  return zip;
}

TEST(Zip, RoundTripWithAlignedData) {
  const TempDir dir;
  const ZipReader zip = open(dir, two_files());
  ASSERT_EQ(zip.entries().size(), 2u);
  const ZipEntry* entry = zip.find("b");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(as_text(entry->stored), "second file");
  EXPECT_EQ((entry->stored.data() - zip.file()->bytes().data()) % 64, 0);
  EXPECT_NO_THROW(check_crc(*entry, entry->stored));
  EXPECT_EQ(zip.find("c"), nullptr);
}

TEST(Zip, Zip64RoundTrip) {
  const TempDir dir;
  for (const uint64_t from : {0, 11, 64}) {
    const ZipReader zip = open(dir, make_zip({{"a", "first file"}, {"b", "second file"}}, from));
    ASSERT_EQ(zip.entries().size(), 2u);
    EXPECT_EQ(as_text(zip.find("a")->stored), "first file");
    EXPECT_EQ(as_text(zip.find("b")->stored), "second file");
  }
}

TEST(Zip, InflatesDeflatedEntries) {
  const TempDir dir;
  const std::string data(10'000, 'x');
  const ZipReader zip = open(dir, deflated_zip(data, 10'000));
  std::string out(10'000, '\0');
  inflate_entry(*zip.find("a"), std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, data);
}

TEST(Zip, RefusesDeflatedSizesThatAreNotTrue) {
  const TempDir dir;
  for (const uint32_t claimed : {9'999u, 10'001u, 1u}) {
    const ZipReader zip = open(dir, deflated_zip(std::string(10'000, 'x'), claimed));
    std::string out(claimed, '\0');
    const std::string message = message_of<Error>(
        [&] { inflate_entry(*zip.find("a"), std::as_writable_bytes(std::span(out))); });
    EXPECT_NE(message.find("bytes"), message.npos) << message;
  }
}

TEST(Zip, RefusesImpossibleRatios) {
  EXPECT_NE(error_of(deflated_zip("small", 4'000'000'000u)).find("deflate cannot"),
            std::string::npos);
}

TEST(Zip, RefusesDamagedDeflatedData) {
  const TempDir dir;
  std::string data;
  for (int i = 0; i < 1000; ++i) data += std::to_string(i * i);
  std::string bytes = deflated_zip(data, static_cast<uint32_t>(data.size()));
  bytes[200] ^= 0x55;
  const ZipReader zip = open(dir, bytes);
  std::string out(data.size(), '\0');
  EXPECT_NE(message_of<Error>([&] {
              inflate_entry(*zip.find("a"), std::as_writable_bytes(std::span(out)));
            }).find("damaged"),
            std::string::npos);
}

TEST(Zip, EveryTruncationIsAnError) {
  const std::string whole = two_files();
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(error_of(whole.substr(0, length)), "") << length;
  }
}

TEST(Zip, RefusesWhatFollowsTheEnd) { EXPECT_NE(error_of(two_files() + "x"), ""); }

TEST(Zip, RefusesDuplicateNames) {
  EXPECT_NE(error_of(make_zip({{"a", "1"}, {"a", "2"}})).find("twice"), std::string::npos);
}

TEST(Zip, RefusesOverlappingEntries) {
  std::string zip = make_zip({{"a", "1"}, {"b", "2"}});
  // A second directory row, with its own name, that leads to the first entry's header.
  patch(zip, central(zip, 1) + kCentralOffset, le(0, 4));
  EXPECT_NE(error_of(zip).find("own header"), std::string::npos);

  // The first entry's data reaches over the second entry.
  zip = make_zip({{"a", std::string(10, 'x')}, {"b", "2"}});
  const std::string sizes = le(60, 4) + le(60, 4);
  patch(zip, local(zip) + 18, sizes);
  patch(zip, central(zip) + kCentralSizes, sizes);
  EXPECT_NE(error_of(zip).find("overlap"), std::string::npos);
}

TEST(Zip, RefusesADirectoryThatContradictsTheHeaders) {
  std::string zip = two_files();
  EXPECT_NE(error_of(patch(zip, central(zip) + 46, "z")).find("own header"), std::string::npos);
  zip = two_files();
  EXPECT_NE(error_of(patch(zip, central(zip) + kCentralCrc, "zzzz")).find("CRC"),
            std::string::npos);
  zip = two_files();
  EXPECT_NE(error_of(patch(zip, central(zip) + kCentralSizes, le(3, 4) + le(3, 4))).find("size"),
            std::string::npos);
  zip = two_files();
  EXPECT_NE(error_of(patch(zip, central(zip) + 10, le(8, 2))).find("method"), std::string::npos);
}

TEST(Zip, RefusesEncryptedAndUnknownMethods) {
  std::string zip = two_files();
  EXPECT_NE(error_of(patch(zip, central(zip) + 8, le(1, 2))).find("encrypted"), std::string::npos);
  zip = two_files();
  EXPECT_NE(error_of(patch(zip, central(zip) + 10, le(14, 2))).find("method 14"),
            std::string::npos);
}

TEST(Zip, RefusesPlacesOutsideOfTheFile) {
  std::string zip = two_files();
  EXPECT_NE(error_of(patch(zip, central(zip) + kCentralOffset, le(0xFFFFFFF0, 4))), "");
  zip = two_files();
  const std::string sizes = le(0x7FFFFFFF, 4) + le(0x7FFFFFFF, 4);
  patch(zip, local(zip) + 18, sizes);
  EXPECT_NE(error_of(patch(zip, central(zip) + kCentralSizes, sizes)).find("does not fit"),
            std::string::npos);
  zip = two_files();
  EXPECT_NE(error_of(patch(zip, end_record(zip) + 16, le(0x7FFFFFFF, 4))).find("does not fit"),
            std::string::npos);
  zip = two_files();
  EXPECT_NE(error_of(patch(zip, end_record(zip) + 8, le(60000, 2) + le(60000, 2))).find("cannot"),
            std::string::npos);
}

TEST(Zip, RefusesAWrongNumberOfEntries) {
  std::string zip = two_files();
  EXPECT_NE(error_of(patch(zip, end_record(zip) + 8, le(1, 2) + le(1, 2))).find("more than"),
            std::string::npos);
  zip = two_files();
  EXPECT_NE(error_of(patch(zip, end_record(zip) + 8, le(3, 2) + le(3, 2))), "");
}

TEST(Zip, RefusesZip64RecordsThatLie) {
  const std::string whole = make_zip({{"a", "first file"}, {"b", "second file"}}, 0);
  const size_t record = header(whole, "PK\x06\x06");
  const size_t locator = header(whole, "PK\x06\x07");
  const std::vector<std::pair<size_t, std::string>> lies{
      {locator + 8, le(~0ULL, 8)},
      {locator + 8, le(locator + 4, 8)},
      {locator + 8, le(0, 8)},
      {record + 24, le(1ULL << 60, 8) + le(1ULL << 60, 8)},
      {record + 40, le(~0ULL, 8)},
      {record + 48, le(~0ULL, 8)},
      {central(whole) + 46 + 1 + 4, le(~0ULL, 8)},        // uncompressed size
      {central(whole) + 46 + 1 + 12, le(1ULL << 62, 8)},  // compressed size
      {central(whole) + 46 + 1 + 20, le(~0ULL, 8)},       // offset
      {central(whole) + 46 + 1, le(9, 2)},                // no Zip64 field at all
      {end_record(whole) + 8, le(1, 2) + le(1, 2)},       // contradiction
  };
  for (const auto& [at, bytes] : lies) {
    std::string zip = whole;
    EXPECT_NE(error_of(patch(zip, at, bytes)), "") << at;
  }
}

TEST(Zip, EveryFlippedByteIsReadOrAnError) {
  const std::string whole = make_zip({{"a", "first"}, {"b", ""}}, 64);
  const TempDir dir;
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string zip = whole;
      zip[i] = static_cast<char>(zip[i] ^ flip);
      try {
        EXPECT_LE(open(dir, zip).entries().size(), 2u);
      } catch (const Error& error) {
        EXPECT_STRNE(error.what(), "");
      }
    }
  }
}

}  // namespace
}  // namespace easel
