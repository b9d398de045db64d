// The text forms of pickle's protocols 0 and 1.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace easel {

// A quoted Python string literal ('it\'s', "\x41\n") without its quotes and escapes; nullopt where
// it is malformed.
std::optional<std::string> unquote_python(std::string_view literal);

// Python's raw-unicode-escape encoding (Latin-1 with \uXXXX and \UXXXXXXXX) as UTF-8.
std::optional<std::string> decode_raw_unicode_escape(std::string_view text);

// UTF-8 to Latin-1; nullopt where a character has no place in it or the UTF-8 is malformed.
std::optional<std::string> utf8_to_latin1(std::string_view text);

}  // namespace easel
