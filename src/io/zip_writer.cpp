#include "zip_writer.h"

#include <bit>
#include <cstring>

#include <zlib.h>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint16_t kUtf8Names = 1 << 11;
constexpr uint16_t kVersion = 20;
constexpr uint16_t kVersionZip64 = 45;
constexpr uint32_t kDosEpoch =
    0x00210000;  // 1 January 1980, 0:00: files do not depend on the clock
constexpr size_t kLocalBytes = 30;
constexpr size_t kExtraHeader = 4;

// Little-endian numbers one after another.
class Record {
 public:
  template <class Number>
  Record& number(Number value) {
    static_assert(std::endian::native == std::endian::little);
    char bytes[sizeof(Number)];
    std::memcpy(bytes, &value, sizeof(Number));
    text_.append(bytes, sizeof(Number));
    return *this;
  }
  Record& text(std::string_view text) {
    text_ += text;
    return *this;
  }
  size_t size() const { return text_.size(); }
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

}  // namespace

void ZipWriter::write(std::string_view bytes) {
  out_.write(bytes);
  position_ += bytes.size();
}

void ZipWriter::add(std::string_view name, std::span<const std::byte> bytes) {
  TORCH_CHECK(name.size() <= 0xFFFF, "ZipWriter: the name is too long");
  const auto crc =
      static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  const bool zip64 = bytes.size() >= zip64_from_;
  const uint32_t small = zip64 ? 0xFFFFFFFF : static_cast<uint32_t>(bytes.size());

  Record extra;
  if (zip64) {
    extra.number<uint16_t>(1).number<uint16_t>(16);
    extra.number<uint64_t>(bytes.size()).number<uint64_t>(bytes.size());
  }
  const uint64_t unpadded = position_ + kLocalBytes + name.size() + extra.size() + kExtraHeader;
  const auto padding = static_cast<uint16_t>((kAlignment - unpadded % kAlignment) % kAlignment);
  extra.text("FB").number(padding).text(std::string(padding, 'Z'));

  const uint64_t offset = position_;
  Record header;
  header.number<uint32_t>(0x04034b50).number(zip64 ? kVersionZip64 : kVersion);
  header.number(kUtf8Names).number<uint16_t>(0).number(kDosEpoch);
  header.number(crc).number(small).number(small);
  header.number(static_cast<uint16_t>(name.size()));
  header.number(static_cast<uint16_t>(extra.size()));
  header.text(name).text(extra.str());
  write(header.str());
  out_.write(bytes);
  position_ += bytes.size();
  entries_.push_back({std::string(name), crc, bytes.size(), offset});
}

void ZipWriter::finish() {
  const uint64_t directory = position_;
  bool any_zip64 = directory >= zip64_from_ || entries_.size() >= 0xFFFF;
  for (const Entry& entry : entries_) {
    const bool large = entry.num_bytes >= zip64_from_;
    const bool far = entry.offset >= zip64_from_;
    any_zip64 = any_zip64 || large || far;
    const uint32_t small = large ? 0xFFFFFFFF : static_cast<uint32_t>(entry.num_bytes);
    Record extra;
    if (large || far) {
      extra.number<uint16_t>(1).number(static_cast<uint16_t>((large ? 16 : 0) + (far ? 8 : 0)));
      if (large) extra.number(entry.num_bytes).number(entry.num_bytes);
      if (far) extra.number(entry.offset);
    }
    const uint16_t version = large || far ? kVersionZip64 : kVersion;
    Record header;
    header.number<uint32_t>(0x02014b50).number(version).number(version);
    header.number(kUtf8Names).number<uint16_t>(0).number(kDosEpoch);
    header.number(entry.crc).number(small).number(small);
    header.number(static_cast<uint16_t>(entry.name.size()));
    header.number(static_cast<uint16_t>(extra.size()));
    header.number<uint16_t>(0);                                          // comment
    header.number<uint16_t>(0).number<uint16_t>(0).number<uint32_t>(0);  // disk, attributes
    header.number(far ? 0xFFFFFFFF : static_cast<uint32_t>(entry.offset));
    header.text(entry.name).text(extra.str());
    write(header.str());
  }
  const uint64_t end = position_;
  const uint64_t directory_bytes = end - directory;
  Record tail;
  if (any_zip64) {
    tail.number<uint32_t>(0x06064b50).number<uint64_t>(44);
    tail.number(kVersionZip64).number(kVersionZip64).number<uint32_t>(0).number<uint32_t>(0);
    tail.number<uint64_t>(entries_.size()).number<uint64_t>(entries_.size());
    tail.number(directory_bytes).number(directory);
    tail.number<uint32_t>(0x07064b50).number<uint32_t>(0).number(end).number<uint32_t>(1);
  }
  const auto count = any_zip64 ? uint16_t{0xFFFF} : static_cast<uint16_t>(entries_.size());
  tail.number<uint32_t>(0x06054b50).number<uint16_t>(0).number<uint16_t>(0);
  tail.number(count).number(count);
  tail.number(any_zip64 ? 0xFFFFFFFF : static_cast<uint32_t>(directory_bytes));
  tail.number(any_zip64 ? 0xFFFFFFFF : static_cast<uint32_t>(directory));
  tail.number<uint16_t>(0);
  write(tail.str());
}

}  // namespace easel
