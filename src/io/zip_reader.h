// Zip archives (APPNOTE.TXT of PKWARE, with Zip64) in mapped files.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <easel/io/file.h>

namespace easel {

struct ZipEntry {
  std::string name;
  std::span<const std::byte> stored;  // as it lies in the file
  uint64_t num_bytes = 0;             // uncompressed
  uint32_t crc = 0;                   // of the uncompressed bytes
  bool deflated = false;              // else stored is what it is
};

// The entries of an archive. The whole directory is checked when it is opened: every entry lies
// inside the file, overlaps no other, has a name of its own, agrees with its local header, is not
// encrypted, and is stored or deflated. The data is not looked at. Immutable.
class ZipReader {
 public:
  // Throws Error.
  explicit ZipReader(std::shared_ptr<const MappedFile> file);

  const std::map<std::string, ZipEntry, std::less<>>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;
  const std::shared_ptr<const MappedFile>& file() const { return file_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, ZipEntry, std::less<>> entries_;
};

// Inflates a deflated entry into `out`, which must have its num_bytes. Throws Error where the data
// is damaged, or its length or CRC is not as stated.
void inflate_entry(const ZipEntry& entry, std::span<std::byte> out);

// Throws Error where the uncompressed bytes of `entry` do not have its CRC.
void check_crc(const ZipEntry& entry, std::span<const std::byte> bytes);

}  // namespace easel
