#include "pickle_text.h"

#include <charconv>
#include <cstdint>

#include <utf8proc.h>

namespace easel {
namespace {

// The number of `digits` digits at the front of `text`.
std::optional<uint32_t> digits_at(std::string_view text, size_t digits, int base) {
  if (text.size() < digits) return std::nullopt;
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value, base);
  if (error != std::errc() || end != text.data() + digits) return std::nullopt;
  return value;
}

void append_utf8(std::string& text, uint32_t code_point) {
  utf8proc_uint8_t buffer[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), buffer);
  text.append(reinterpret_cast<const char*>(buffer), static_cast<size_t>(length));
}

// The code point at the front of `text` and its length; length <= 0 where it is malformed.
std::pair<utf8proc_int32_t, utf8proc_ssize_t> code_point_at(std::string_view text) {
  utf8proc_int32_t code_point = -1;
  const auto length = utf8proc_iterate(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(std::min<size_t>(text.size(), 4)), &code_point);
  return {code_point, length};
}

}  // namespace

std::optional<std::string> unquote_python(std::string_view literal) {
  if (literal.size() < 2 || (literal.front() != '\'' && literal.front() != '"') ||
      literal.back() != literal.front()) {
    return std::nullopt;
  }
  std::string_view rest = literal.substr(1, literal.size() - 2);
  std::string text;
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c != '\\') {
      text += c;
      continue;
    }
    if (rest.empty()) return std::nullopt;
    const char escape = rest.front();
    static constexpr std::string_view kEscapes = "\\'\"abfnrtv";
    static constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t at = kEscapes.find(escape); at != std::string_view::npos) {
      text += kMeanings[at];
      rest.remove_prefix(1);
    } else if (escape == 'x') {
      const auto value = digits_at(rest.substr(1), 2, 16);
      if (!value) return std::nullopt;
      text += static_cast<char>(*value);
      rest.remove_prefix(3);
    } else {
      const auto value = digits_at(rest, 3, 8);
      if (!value || *value > 0xFF) return std::nullopt;
      text += static_cast<char>(*value);
      rest.remove_prefix(3);
    }
  }
  return text;
}

std::optional<std::string> decode_raw_unicode_escape(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    uint32_t code_point = static_cast<unsigned char>(text.front());
    size_t length = 1;
    if (text.starts_with("\\u") || text.starts_with("\\U")) {
      const size_t digits = text[1] == 'u' ? 4 : 8;
      const auto value = digits_at(text.substr(2), digits, 16);
      if (!value || !utf8proc_codepoint_valid(static_cast<utf8proc_int32_t>(*value))) {
        return std::nullopt;
      }
      code_point = *value;
      length = 2 + digits;
    }
    append_utf8(decoded, code_point);
    text.remove_prefix(length);
  }
  return decoded;
}

std::optional<std::string> utf8_to_latin1(std::string_view text) {
  std::string latin1;
  while (!text.empty()) {
    const auto [code_point, length] = code_point_at(text);
    if (length <= 0 || code_point > 0xFF) return std::nullopt;
    latin1 += static_cast<char>(code_point);
    text.remove_prefix(static_cast<size_t>(length));
  }
  return latin1;
}

}  // namespace easel
