#include "pickle_scalars.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <string_view>

#include <easel/base/error.h>

#include "pickle_text.h"

namespace easel {
namespace {

PickleValue long_value(std::string_view little_endian) {
  if (little_endian.size() > sizeof(int64_t)) {
    return PickleBigInt{std::string(little_endian)};
  }
  uint64_t bits = 0;
  for (size_t i = 0; i < little_endian.size(); ++i) {
    bits |= uint64_t{static_cast<unsigned char>(little_endian[i])} << (8 * i);
  }
  const int shift = 64 - 8 * static_cast<int>(little_endian.size());
  return shift == 64 ? int64_t{0} : static_cast<int64_t>(bits << shift) >> shift;
}

PickleValue decimal_value(std::string_view line) {
  if (line == "00" || line == "01") {
    return line == "01";
  }
  if (line.ends_with('L')) line.remove_suffix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  const bool too_large = error == std::errc::result_out_of_range;
  if (end != line.data() + line.size() || (error != std::errc() && !too_large)) {
    fail("'{}' is no number", printable(line));
  }
  if (too_large) return PickleOpaque{.name = "builtins.int", .entries = {}};
  return value;
}

PickleValue float_value(std::string_view line) {
  double value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error == std::errc::invalid_argument || end != line.data() + line.size()) {
    fail("'{}' is no number", printable(line));
  }
  return value;
}

std::optional<PickleValue> read_number(Cursor& in, uint8_t opcode) {
  switch (opcode) {
    case 'N':
      return PickleValue(PickleNone{});
    case 0x88:
      return PickleValue(true);
    case 0x89:
      return PickleValue(false);
    case 'J':
      return PickleValue(int64_t{in.number<int32_t>()});
    case 'K':
      return PickleValue(int64_t{in.number<uint8_t>()});
    case 'M':
      return PickleValue(int64_t{in.number<uint16_t>()});
    case 0x8a:
      return long_value(in.text(in.number<uint8_t>()));
    case 0x8b:
      return long_value(in.text(in.number<uint32_t>()));
    case 'I':
    case 'L':
      return decimal_value(in.line());
    case 'F':
      return float_value(in.line());
    case 'G': {
      std::array<std::byte, 8> big_endian;
      std::ranges::copy(in.take(8), big_endian.rbegin());
      return PickleValue(std::bit_cast<double>(big_endian));
    }
    default:
      return std::nullopt;
  }
}

// A Python 2 str ('S', 'T', 'U') is bytes.
std::optional<PickleValue> read_text(Cursor& in, uint8_t opcode) {
  switch (opcode) {
    case 'X':
      return PickleValue(std::string(in.text(in.number<uint32_t>())));
    case 0x8c:
      return PickleValue(std::string(in.text(in.number<uint8_t>())));
    case 0x8d:
      return PickleValue(std::string(in.text(in.number<uint64_t>())));
    case 'T':
    case 'B':
      return PickleValue(PickleBytes{std::string(in.text(in.number<uint32_t>()))});
    case 'U':
    case 'C':
      return PickleValue(PickleBytes{std::string(in.text(in.number<uint8_t>()))});
    case 0x8e:
    case 0x96:
      return PickleValue(PickleBytes{std::string(in.text(in.number<uint64_t>()))});
    case 'S': {
      auto unquoted = unquote_python(in.line());
      if (!unquoted) fail("a quoted string is malformed");
      return PickleValue(PickleBytes{std::move(*unquoted)});
    }
    case 'V': {
      auto decoded = decode_raw_unicode_escape(in.line());
      if (!decoded) fail("an escaped string is malformed");
      return PickleValue(std::move(*decoded));
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<PickleValue> read_pickle_scalar(Cursor& in, uint8_t opcode) {
  std::optional<PickleValue> value = read_number(in, opcode);
  return value ? std::move(value) : read_text(in, opcode);
}

}  // namespace easel
