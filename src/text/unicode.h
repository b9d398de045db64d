// The Unicode operations of CLIP's tokenizer, as transformers' CLIPTokenizerFast performs them on
// every code point, whichever Unicode version libutf8proc was built for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace easel::text {

enum class CharClass { Letter, Number, Space, Other };

// \p{L}, \p{N} and \s of the published split pattern.
CharClass char_class(int32_t code_point);

// Reads the code point at `position` and moves `position` behind it. Invalid UTF-8 is an Error.
int32_t next_code_point(std::string_view utf8, size_t& position);

// NFC, then every run of white space as one space, then lower case.
std::string normalize_clip(std::string_view utf8);

// What Python's bytes.decode("utf-8", errors="replace") gives.
std::string replace_invalid_utf8(std::string_view bytes);

// What Python's str.strip() gives, lstrip() and rstrip() with one side alone. `utf8` is valid.
std::string_view strip(std::string_view utf8, bool left = true, bool right = true);

}  // namespace easel::text
