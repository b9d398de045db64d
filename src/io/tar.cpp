#include "tar.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include <easel/base/error.h>

#include "torch_cursor.h"

namespace easel {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kSizeField = 124;
constexpr size_t kSumField = 148;
constexpr size_t kTypeField = 156;

// A number in octal, padded with spaces or NULs.
std::optional<uint64_t> octal(std::string_view field) {
  const size_t begin = field.find_first_not_of(' ');
  if (begin == field.npos) return std::nullopt;
  field.remove_prefix(begin);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value, 8);
  const std::string_view rest(end, field.data() + field.size());
  if (error != std::errc() || rest.find_first_not_of(std::string_view(" \0", 2)) != rest.npos) {
    return std::nullopt;
  }
  return value;
}

bool checksum_is_right(std::string_view header) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const bool in_sum_field = i >= kSumField && i < kSumField + 8;
    sum += in_sum_field ? uint64_t{' '} : static_cast<unsigned char>(header[i]);
  }
  return octal(header.substr(kSumField, 8)) == sum;
}

}  // namespace

bool looks_like_tar(std::span<const std::byte> bytes) {
  return bytes.size() >= kBlock && checksum_is_right(as_text(bytes.first(kBlock)));
}

std::map<std::string, std::span<const std::byte>> read_tar(std::span<const std::byte> bytes) {
  std::map<std::string, std::span<const std::byte>> files;
  Cursor in(bytes, "the tar");
  while (in.left() > 0) {
    const size_t at = in.position();
    const std::string_view header = in.text(kBlock);
    if (header.find_first_not_of('\0') == header.npos) return files;
    const auto size = octal(header.substr(kSizeField, 12));
    if (!checksum_is_right(header) || !size) fail("the tar's header at byte {} is damaged", at);
    const auto data = in.take(*size);
    in.take(std::min<uint64_t>((kBlock - *size % kBlock) % kBlock, in.left()));
    const char type = header[kTypeField];
    if (type != '0' && type != '\0') continue;
    const std::string name(header.substr(0, std::min<size_t>(header.find('\0'), 100)));
    if (!files.try_emplace(name, data).second) {
      fail("the tar's entry '{}' occurs twice", printable(name));
    }
  }
  fail("the tar is truncated: its end mark is missing");
}

}  // namespace easel
