// A reading position in bytes that are not trusted.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <easel/base/error.h>

#include "sniff.h"

namespace easel {

// Takes little-endian numbers and runs of bytes off the front of a span, which must outlive it.
// Where bytes are missing it throws Error with the position.
class Cursor {
 public:
  // `what` names the thing being read in messages, as in "the pickle is truncated at byte 7".
  Cursor(std::span<const std::byte> bytes, std::string what)
      : bytes_(bytes), what_(std::move(what)) {}

  const std::string& what() const { return what_; }
  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  std::span<const std::byte> take(uint64_t count) {
    if (count > left()) {
      fail("{} is truncated or damaged: at byte {} it needs {} bytes, but {} are left", what_,
           position_, count, left());
    }
    const auto taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

  std::string_view text(uint64_t count) { return as_text(take(count)); }

  template <class Number>
  Number number() {
    static_assert(std::endian::native == std::endian::little);
    Number value;
    std::memcpy(&value, take(sizeof(Number)).data(), sizeof(Number));
    return value;
  }

  // Up to the next newline, which is taken but not returned.
  std::string_view line() {
    const size_t end = as_text(bytes_.subspan(position_)).find('\n');
    if (end == std::string_view::npos) {
      fail("{} is truncated or damaged: the line at byte {} does not end", what_, position_);
    }
    const std::string_view found = text(end);
    ++position_;
    return found;
  }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  std::string what_;
};

}  // namespace easel
