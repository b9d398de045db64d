// Writes zip archives of stored entries, front to back, with Zip64 where it is needed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <easel/io/file.h>

namespace easel {

class ZipWriter {
 public:
  // Writes to `out`, which must outlive it and stand at its beginning. Sizes and offsets from
  // `zip64_from` on are written in the Zip64 form.
  explicit ZipWriter(FileWriter& out, uint64_t zip64_from = 0xFFFFFFFF)
      : out_(out), zip64_from_(zip64_from) {}

  // Appends an entry whose data starts at a multiple of 64 bytes, as PyTorch's does. The bytes are
  // gone through twice: the CRC stands in front of them.
  void add(std::string_view name, std::span<const std::byte> bytes);
  void add(std::string_view name, std::string_view text) {
    add(name, std::as_bytes(std::span(text.data(), text.size())));
  }

  // Writes the directory. Nothing can be added after it.
  void finish();

 private:
  struct Entry {
    std::string name;
    uint32_t crc;
    uint64_t num_bytes;
    uint64_t offset;
  };
  void write(std::string_view bytes);

  FileWriter& out_;
  uint64_t zip64_from_;
  uint64_t position_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace easel
