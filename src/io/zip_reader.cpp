#include "zip_reader.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include <zlib.h>

#include <easel/base/error.h>

#include "torch_cursor.h"

namespace easel {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50;
constexpr uint32_t kLocator64Signature = 0x07064b50;
constexpr size_t kCentralBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kLocatorBytes = 20;
constexpr size_t kMaxComment = 0xFFFF;
constexpr uint16_t kFlagEncrypted = 1 << 0;
constexpr uint16_t kFlagSizesFollow = 1 << 3;
constexpr uint16_t kFlagStrongEncryption = 1 << 6;
constexpr uint16_t kMaskedHeaders = 1 << 13;
constexpr uint16_t kZip64Extra = 0x0001;
constexpr uint16_t kIn64Small = 0xFFFF;  // "see the Zip64 record"
constexpr uint32_t kIn64 = 0xFFFFFFFF;
constexpr uint64_t kMaxRatio = 1032;  // deflate cannot do better

using Bytes = std::span<const std::byte>;

Cursor at_offset(Bytes file, uint64_t offset, const std::string& what) {
  if (offset > file.size()) {
    fail("{} should be at byte {}, beyond the end of the file ({} bytes)", what, offset,
         file.size());
  }
  return Cursor(file.subspan(offset), what);
}

void expect_signature(Cursor& in, uint32_t signature) {
  if (in.number<uint32_t>() != signature) fail("{} is damaged: it has no signature", in.what());
}

struct Directory {
  uint64_t offset = 0;
  uint64_t num_bytes = 0;
  uint64_t num_entries = 0;
};

// Where the record at the end of the file starts. Its comment reaches exactly to the file's end.
size_t find_end_record(Bytes file) {
  if (file.size() >= kEndBytes) {
    const size_t last = file.size() - kEndBytes;
    for (size_t back = 0; back <= std::min(last, kMaxComment); ++back) {
      Cursor in(file.subspan(last - back), "the zip's end");
      if (in.number<uint32_t>() != kEndSignature) continue;
      in.take(kEndBytes - 6);
      if (in.number<uint16_t>() == back) return last - back;
    }
  }
  fail(
      "it starts as a zip but has no directory at its end: it is truncated or damaged; fetch it "
      "again");
}

// `classic` is a field of the old record: it repeats the Zip64 one, or says that it is there.
void expect_same(uint64_t classic, uint64_t marker, uint64_t zip64) {
  if (classic != marker && classic != zip64) {
    fail("the zip's two end records contradict each other ({} and {})", classic, zip64);
  }
}

Directory read_directory_place(Bytes file) {
  const size_t end = find_end_record(file);
  Cursor in(file.subspan(end + 4), "the zip's end record");
  const auto disk = in.number<uint16_t>();
  const auto directory_disk = in.number<uint16_t>();
  const auto entries_here = in.number<uint16_t>();
  Directory directory;
  directory.num_entries = in.number<uint16_t>();
  directory.num_bytes = in.number<uint32_t>();
  directory.offset = in.number<uint32_t>();
  uint64_t limit = end;

  bool zip64 = false;
  if (end >= kLocatorBytes) {
    Cursor locator(file.subspan(end - kLocatorBytes), "the zip's Zip64 locator");
    if (locator.number<uint32_t>() == kLocator64Signature) {
      zip64 = true;
      locator.take(4);
      const auto record_offset = locator.number<uint64_t>();
      if (record_offset > end - kLocatorBytes) fail("the zip's Zip64 locator points behind itself");
      Cursor record = at_offset(file, record_offset, "the zip's Zip64 end record");
      expect_signature(record, kEnd64Signature);
      record.take(8 + 2 + 2);
      if (record.number<uint32_t>() != 0 || record.number<uint32_t>() != 0) {
        fail("it is a part of a zip of several files; only whole zips can be read");
      }
      Directory large;
      const auto large_entries_here = record.number<uint64_t>();
      large.num_entries = record.number<uint64_t>();
      if (large_entries_here != large.num_entries) {
        fail("it is a part of a zip of several files; only whole zips can be read");
      }
      large.num_bytes = record.number<uint64_t>();
      large.offset = record.number<uint64_t>();
      expect_same(directory.num_entries, kIn64Small, large.num_entries);
      expect_same(directory.num_bytes, kIn64, large.num_bytes);
      expect_same(directory.offset, kIn64, large.offset);
      directory = large;
      limit = record_offset;
    }
  }
  if (!zip64 && (disk != 0 || directory_disk != 0 || entries_here != directory.num_entries)) {
    fail("it is a part of a zip of several files; only whole zips can be read");
  }
  if (directory.offset > limit || directory.num_bytes > limit - directory.offset) {
    fail("the zip's directory (at byte {}, {} bytes) does not fit into the file", directory.offset,
         directory.num_bytes);
  }
  if (directory.num_entries > directory.num_bytes / kCentralBytes) {
    fail("the zip's directory of {} bytes cannot hold {} entries", directory.num_bytes,
         directory.num_entries);
  }
  return directory;
}

struct Header {
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t crc = 0;
  uint64_t packed = 0;
  uint64_t unpacked = 0;
  uint64_t offset = 0;  // of the local header; central only
};

// Replaces the fields that are kIn64 by those of the Zip64 extra field, in their fixed order.
void apply_zip64(Header& header, Bytes extra, bool central, const std::string& what) {
  std::vector<uint64_t*> wanted;
  if (header.unpacked == kIn64) wanted.push_back(&header.unpacked);
  if (header.packed == kIn64) wanted.push_back(&header.packed);
  if (central && header.offset == kIn64) wanted.push_back(&header.offset);
  if (wanted.empty()) return;
  Cursor in(extra, what + "'s extra field");
  while (in.left() >= 4) {
    const auto id = in.number<uint16_t>();
    const auto length = in.number<uint16_t>();
    Cursor field(in.take(length), what + "'s Zip64 field");
    if (id != kZip64Extra) continue;
    for (uint64_t* value : wanted) *value = field.number<uint64_t>();
    return;
  }
  fail("{} needs a Zip64 field but has none", what);
}

struct Place {
  uint64_t begin = 0;
  uint64_t end = 0;
  const std::string* name = nullptr;
};

// Reads the local header of `central` and returns where its data starts.
uint64_t check_local_header(Bytes file, const Header& central, std::string_view name,
                            const std::string& what) {
  Cursor in = at_offset(file, central.offset, what);
  expect_signature(in, kLocalSignature);
  in.take(2);
  Header local;
  local.flags = in.number<uint16_t>();
  local.method = in.number<uint16_t>();
  in.take(4);
  local.crc = in.number<uint32_t>();
  local.packed = in.number<uint32_t>();
  local.unpacked = in.number<uint32_t>();
  const auto name_length = in.number<uint16_t>();
  const auto extra_length = in.number<uint16_t>();
  const std::string_view local_name = in.text(name_length);
  const Bytes extra = in.take(extra_length);
  if (local_name != name) {
    fail("{} is called '{}' in its own header", what, printable(local_name));
  }
  if (local.method != central.method || ((local.flags ^ central.flags) & kFlagEncrypted) != 0) {
    fail("{} has another method in its own header than in the zip's directory", what);
  }
  apply_zip64(local, extra, false, what);
  const bool later = (local.flags & kFlagSizesFollow) != 0;
  const auto agrees = [later](uint64_t here, uint64_t there) {
    return here == there || (later && here == 0);
  };
  if (!agrees(local.packed, central.packed) || !agrees(local.unpacked, central.unpacked) ||
      !agrees(local.crc, central.crc)) {
    fail("{} has another size or CRC in its own header than in the zip's directory", what);
  }
  return central.offset + in.position();
}

void check_overlaps(std::vector<Place>& places) {
  std::ranges::sort(places, {}, [](const Place& p) { return std::pair(p.begin, p.end); });
  for (size_t i = 1; i < places.size(); ++i) {
    if (places[i].begin < places[i - 1].end) {
      fail("the zip's entries '{}' and '{}' overlap", printable(*places[i - 1].name),
           printable(*places[i].name));
    }
  }
}

}  // namespace

ZipReader::ZipReader(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  const Bytes bytes = file_->bytes();
  const Directory directory = read_directory_place(bytes);
  Cursor in(bytes.subspan(directory.offset, directory.num_bytes), "the zip's directory");
  std::vector<Place> places;
  for (uint64_t i = 0; i < directory.num_entries; ++i) {
    expect_signature(in, kCentralSignature);
    in.take(4);
    Header header;
    header.flags = in.number<uint16_t>();
    header.method = in.number<uint16_t>();
    in.take(4);
    header.crc = in.number<uint32_t>();
    header.packed = in.number<uint32_t>();
    header.unpacked = in.number<uint32_t>();
    const auto name_length = in.number<uint16_t>();
    const auto extra_length = in.number<uint16_t>();
    const auto comment_length = in.number<uint16_t>();
    in.take(8);
    header.offset = in.number<uint32_t>();
    const std::string_view name = in.text(name_length);
    const Bytes extra = in.take(extra_length);
    in.take(comment_length);

    const std::string what = fmt::format("the zip's entry '{}'", printable(name));
    if ((header.flags & (kFlagEncrypted | kFlagStrongEncryption | kMaskedHeaders)) != 0) {
      fail("{} is encrypted", what);
    }
    if (header.method != 0 && header.method != Z_DEFLATED) {
      fail("{} is compressed by method {}; only stored and deflated entries can be read", what,
           header.method);
    }
    apply_zip64(header, extra, true, what);
    if (header.method == 0 && header.packed != header.unpacked) {
      fail("{} is stored, but its two sizes differ ({} and {})", what, header.packed,
           header.unpacked);
    }
    if (header.unpacked / kMaxRatio > header.packed) {
      fail("{} claims to inflate {} bytes to {}, which deflate cannot do", what, header.packed,
           header.unpacked);
    }
    if (header.offset >= directory.offset) fail("{} starts behind the zip's directory", what);
    const uint64_t data = check_local_header(bytes, header, name, what);
    if (data > directory.offset || header.packed > directory.offset - data) {
      fail("{} ({} bytes at byte {}) does not fit in front of the zip's directory", what,
           header.packed, data);
    }
    const auto [place, fresh] = entries_.try_emplace(
        std::string(name), ZipEntry{.name = std::string(name),
                                    .stored = bytes.subspan(data, header.packed),
                                    .num_bytes = header.unpacked,
                                    .crc = header.crc,
                                    .deflated = header.method != 0});
    if (!fresh) fail("{} occurs twice", what);
    places.push_back({header.offset, data + header.packed, &place->first});
  }
  if (in.left() != 0) fail("the zip's directory holds more than its {} entries", entries_.size());
  check_overlaps(places);
}

const ZipEntry* ZipReader::find(std::string_view name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

void inflate_entry(const ZipEntry& entry, std::span<std::byte> out) {
  TORCH_CHECK(entry.deflated && out.size() == entry.num_bytes, "inflate_entry: size mismatch");
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) fail("zlib cannot start to inflate");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  constexpr size_t kStep = std::numeric_limits<uInt>::max();
  Bytes in = entry.stored;
  std::span<std::byte> left = out;
  std::byte beyond;  // one byte more than stated shows that there is more
  int status = Z_OK;
  while (status == Z_OK) {
    const std::span<std::byte> target = left.empty() ? std::span(&beyond, 1) : left;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream.avail_in = static_cast<uInt>(std::min(in.size(), kStep));
    stream.next_out = reinterpret_cast<Bytef*>(target.data());
    stream.avail_out = static_cast<uInt>(std::min(target.size(), kStep));
    const size_t in_before = stream.avail_in;
    const size_t out_before = stream.avail_out;
    status = inflate(&stream, Z_NO_FLUSH);
    in = in.subspan(in_before - stream.avail_in);
    const size_t made = out_before - stream.avail_out;
    if (left.empty() && made > 0)
      fail("the zip's entry '{}' inflates to more than its {} bytes", printable(entry.name),
           entry.num_bytes);
    left = left.subspan(made);
  }
  if (status != Z_STREAM_END || !left.empty() || !in.empty()) {
    fail("the zip's entry '{}' is damaged: it does not inflate to its {} bytes",
         printable(entry.name), entry.num_bytes);
  }
  check_crc(entry, out);
}

void check_crc(const ZipEntry& entry, std::span<const std::byte> bytes) {
  const auto crc = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  if (crc != entry.crc) {
    fail("the zip's entry '{}' is damaged: its CRC is {:08x}, not {:08x}", printable(entry.name),
         crc, entry.crc);
  }
}

}  // namespace easel
