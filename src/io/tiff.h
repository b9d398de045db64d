// The block of a TIFF file that EXIF data are: numbers and the entries of its folders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace easel {

// Bytes in front of the block where a JPEG segment holds one.
inline constexpr std::string_view kExifPrefix{"Exif\0\0", 6};

// A view of the bytes; what lies beyond them is nothing.
class Tiff {
 public:
  explicit Tiff(std::string_view bytes) : bytes_(bytes), big_(bytes.starts_with("MM")) {}

  std::optional<uint32_t> number(size_t at, size_t bytes) const {
    if (at > bytes_.size() || bytes_.size() - at < bytes) return std::nullopt;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) {
      const size_t from = big_ ? at + i : at + bytes - 1 - i;
      value = value << 8 | static_cast<unsigned char>(bytes_[from]);
    }
    return value;
  }

  // Where the first folder stands.
  std::optional<uint32_t> first_folder() const { return number(4, 4); }

  // Where the entry of this tag stands in the folder at `folder`: tag and type (2 bytes each),
  // count and value (4 each).
  std::optional<size_t> find(std::optional<uint32_t> folder, uint32_t tag) const {
    if (!folder) return std::nullopt;
    const uint32_t num = number(*folder, 2).value_or(0);
    for (uint32_t i = 0; i < num; ++i) {
      const size_t at = size_t{*folder} + 2 + size_t{12} * i;
      if (number(at, 2) == tag) return at;
    }
    return std::nullopt;
  }

  std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
  bool big_;
};

}  // namespace easel
