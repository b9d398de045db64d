#include "unicode.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include <utf8proc.h>

#include "easel/base/error.h"
#include "easel/base/utf8.h"

namespace easel::text {
namespace {

struct Range {
  int32_t first, last;
};

template <size_t N>
bool contains(const Range (&ranges)[N], int32_t code_point) {
  const Range* after =
      std::upper_bound(std::begin(ranges), std::end(ranges), code_point,
                       [](int32_t value, const Range& range) { return value < range.first; });
  return after != std::begin(ranges) && code_point <= std::prev(after)->last;
}

// The reference is made of three parts with three Unicode versions: its regular expressions know
// 16.0, its lower case 17.0, its NFC 9.0. libutf8proc knows 15.0 in Debian 12, 15.1 in Ubuntu
// 24.04 and more elsewhere. The tables below make up the differences. General categories and
// decompositions of assigned characters never change, so only additions count. A test compares
// every code point.

// Letters and numbers that Unicode 15.1 and 16.0 added.
constexpr Range kNewLetters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
    {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389},
    {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7},
    {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA},
    {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D}};
constexpr Range kNewNumbers[] = {{0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9},
                                 {0x16130, 0x16139}, {0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9},
                                 {0x1E5F1, 0x1E5FA}};

// Unassigned in Unicode 16.0, so neither letter nor number, where later versions have some.
constexpr Range kUnassigned16[] = {
    {0x557, 0x558},     {0x58B, 0x58C},     {0x88F, 0x88F},     {0xC5B, 0xC5C},
    {0xCD7, 0xCDC},     {0x208F, 0x208F},   {0x209D, 0x209F},   {0xA7CE, 0xA7CF},
    {0xA7D2, 0xA7D2},   {0xA7D4, 0xA7D4},   {0xA7DD, 0xA7F1},   {0xAB6C, 0xAB6F},
    {0x107BB, 0x107FF}, {0x10940, 0x1097F}, {0x10EC5, 0x10EFB}, {0x11B0A, 0x11BBF},
    {0x11DAA, 0x11EDF}, {0x1246F, 0x1246F}, {0x12475, 0x1247F}, {0x12544, 0x12F8F},
    {0x16E9B, 0x16EFF}, {0x16FF2, 0x16FFF}, {0x187F8, 0x187FF}, {0x18CD6, 0x18CFE},
    {0x18D09, 0x1AFEF}, {0x1B123, 0x1B131}, {0x1B168, 0x1B16F}, {0x1D6A6, 0x1D6A7},
    {0x1DF1F, 0x1DF24}, {0x1DF2B, 0x1DFFF}, {0x1E600, 0x1E7DF}, {0x2B73A, 0x2B73F},
    {0x2B81E, 0x2B81F}, {0x2CEA2, 0x2CEAF}, {0x323B0, 0xE0000}};

// Added after Unicode 9.0 with a combining class or a decomposition: the reference's NFC takes
// them for characters that neither move nor compose. Some ranges take in a whole new block. U+11A7
// never composes either, but libutf8proc 2.8 loses it behind a Hangul syllable.
constexpr Range kInertInNfc[] = {
    {0x7FD, 0x7FD},     {0x897, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x11A7, 0x11A7},
    {0x1715, 0x1715},   {0x1ABF, 0x1AFF},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},
    {0x105C0, 0x105FF}, {0x10D24, 0x10D27}, {0x10D69, 0x10D6D}, {0x10EAB, 0x10EAC},
    {0x10EFA, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070},
    {0x1133B, 0x1133B}, {0x11380, 0x113FF}, {0x1145E, 0x1145E}, {0x11839, 0x1183A},
    {0x11930, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47},
    {0x11A99, 0x11A99}, {0x11D42, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42},
    {0x16100, 0x1613F}, {0x16D40, 0x16D7F}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
    {0x1E5EE, 0x1E5EF}, {0x1E6C0, 0x1E6FF}};

// Lower-case mappings that Unicode 16.0 and 17.0 added; each of a range is shifted by `offset`.
struct LowerCase {
  int32_t first, last, step, offset;
};
constexpr LowerCase kNewLowerCase[] = {
    {0x1C89, 0x1C89, 1, 1},      {0xA7CB, 0xA7CB, 1, 0x264 - 0xA7CB},
    {0xA7CC, 0xA7CE, 2, 1},      {0xA7D2, 0xA7D4, 2, 1},
    {0xA7DA, 0xA7DA, 1, 1},      {0xA7DC, 0xA7DC, 1, 0x19B - 0xA7DC},
    {0x10D50, 0x10D65, 1, 0x20}, {0x16EA0, 0x16EB8, 1, 0x1B},
};

int32_t lower_case(int32_t code_point) {
  if (code_point < 0x80)
    return code_point >= 'A' && code_point <= 'Z' ? code_point + ('a' - 'A') : code_point;
  for (const LowerCase& entry : kNewLowerCase)
    if (code_point >= entry.first && code_point <= entry.last &&
        (code_point - entry.first) % entry.step == 0)
      return code_point + entry.offset;
  return utf8proc_tolower(code_point);
}

bool is_space(int32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

void append_utf8(std::string& out, int32_t code_point) {
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
    return;
  }
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(code_point, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

int combining_class(int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// How many bytes one replacement character stands for: a sequence up to its first wrong byte.
size_t invalid_length(std::string_view bytes) {
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (lead < 0xE0 || lead > 0xF4) return 1;
  // The second byte's range depends on the first (Unicode 15, table 3-7).
  size_t length = 1;
  for (const size_t whole = lead < 0xF0 ? 3 : 4; length < whole - 1 && length < bytes.size();
       ++length) {
    const auto byte = static_cast<unsigned char>(bytes[length]);
    const bool is_second = length == 1;
    const unsigned char low = is_second && lead == 0xE0   ? 0xA0
                              : is_second && lead == 0xF0 ? 0x90
                                                          : 0x80;
    const unsigned char high = is_second && lead == 0xED   ? 0x9F
                               : is_second && lead == 0xF4 ? 0x8F
                                                           : 0xBF;
    if (byte < low || byte > high) break;
  }
  return length;
}

// NFC of a text without inert characters. The marks are sorted here because utf8proc_decompose
// takes quadratic time on a long run of marks.
void append_nfc(std::vector<int32_t>& out, const int32_t* begin, const int32_t* end) {
  if (std::all_of(begin, end, [](int32_t c) { return c < 0x300; })) {
    out.insert(out.end(), begin, end);
    return;
  }
  const size_t start = out.size();
  for (; begin != end; ++begin) {
    int32_t parts[8];
    int last_boundclass = 0;
    const auto count = utf8proc_decompose_char(*begin, parts, std::size(parts), UTF8PROC_DECOMPOSE,
                                               &last_boundclass);
    if (count < 0 || count > static_cast<utf8proc_ssize_t>(std::size(parts)))
      fail("libutf8proc cannot decompose U+{:04X}: {}", *begin, utf8proc_errmsg(count));
    out.insert(out.end(), parts, parts + count);
  }
  for (size_t i = start; i < out.size();) {
    if (combining_class(out[i]) == 0) {
      ++i;
      continue;
    }
    size_t run_end = i;
    while (run_end < out.size() && combining_class(out[run_end]) != 0) ++run_end;
    std::stable_sort(out.begin() + static_cast<std::ptrdiff_t>(i),
                     out.begin() + static_cast<std::ptrdiff_t>(run_end),
                     [](int32_t a, int32_t b) { return combining_class(a) < combining_class(b); });
    i = run_end;
  }
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  const auto composed = utf8proc_normalize_utf32(
      out.data() + start, static_cast<utf8proc_ssize_t>(out.size() - start), options);
  if (composed < 0) fail("libutf8proc cannot compose a text: {}", utf8proc_errmsg(composed));
  out.resize(start + static_cast<size_t>(composed));
}

std::vector<int32_t> nfc(const std::vector<int32_t>& text) {
  std::vector<int32_t> out;
  out.reserve(text.size());
  const int32_t* const end = text.data() + text.size();
  for (const int32_t* begin = text.data(); begin != end;) {
    const int32_t* inert =
        std::find_if(begin, end, [](int32_t c) { return contains(kInertInNfc, c); });
    append_nfc(out, begin, inert);
    if (inert != end) out.push_back(*inert++);
    begin = inert;
  }
  return out;
}

}  // namespace

CharClass char_class(int32_t code_point) {
  if (is_space(code_point)) return CharClass::Space;
  if (contains(kNewLetters, code_point)) return CharClass::Letter;
  if (contains(kNewNumbers, code_point)) return CharClass::Number;
  if (contains(kUnassigned16, code_point)) return CharClass::Other;
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::Letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::Number;
    default:
      return CharClass::Other;
  }
}

int32_t next_code_point(std::string_view utf8, size_t& position) {
  const auto first = static_cast<unsigned char>(utf8[position]);
  if (first < 0x80) {
    ++position;
    return first;
  }
  int32_t code_point = 0;
  const auto size =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(utf8.data()) + position,
                       static_cast<utf8proc_ssize_t>(utf8.size() - position), &code_point);
  if (size <= 0)
    fail(
        "the text is not valid UTF-8: byte 0x{:02x} at offset {}, near '{}'; save or send it as "
        "UTF-8",
        first, position, printable(utf8.substr(position < 20 ? 0 : position - 20, 40)));
  position += static_cast<size_t>(size);
  return code_point;
}

std::string normalize_clip(std::string_view utf8) {
  std::vector<int32_t> text;
  text.reserve(utf8.size());
  for (size_t i = 0; i < utf8.size();) text.push_back(next_code_point(utf8, i));
  std::string out;
  out.reserve(utf8.size());
  bool after_space = false;
  for (const int32_t code_point : nfc(text)) {
    const bool space = is_space(code_point);
    if (space) {
      if (!after_space) out += ' ';
    } else if (code_point == 0x130) {
      out += "i\xCC\x87";  // the only character with two in its lower case: i and a dot above
    } else {
      append_utf8(out, lower_case(code_point));
    }
    after_space = space;
  }
  return out;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string out;
  while (!bytes.empty()) {
    size_t length = utf8_sequence_length(bytes);
    if (length > 0) {
      out.append(bytes.substr(0, length));
    } else {
      out += "\xEF\xBF\xBD";
      length = invalid_length(bytes);
    }
    bytes.remove_prefix(length);
  }
  return out;
}

std::string_view strip(std::string_view utf8, bool left, bool right) {
  const auto python_space = [](int32_t c) { return is_space(c) || (c >= 0x1C && c <= 0x1F); };
  size_t begin = utf8.size(), end = 0;
  for (size_t i = 0; i < utf8.size();) {
    const size_t start = i;
    if (python_space(next_code_point(utf8, i))) continue;
    begin = std::min(begin, start);
    end = i;
  }
  if (end == 0) return {};
  if (!left) begin = 0;
  if (!right) end = utf8.size();
  return utf8.substr(begin, end - begin);
}

}  // namespace easel::text
