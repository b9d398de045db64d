#include "prompt_words.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "easel/base/error.h"
#include "easel/base/utf8.h"
#include "easel/text/prompt_weights.h"
#include "unicode.h"

namespace easel::text {
namespace {

bool word_before(std::string_view text, size_t position) {
  if (position == 0) return false;
  size_t start = position - 1;
  while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
  return next_is_word(text, start);
}

bool word_behind(std::string_view text, size_t position) {
  return position < text.size() && next_is_word(text, position);
}

}  // namespace

void check_prompt(std::string_view prompt) {
  if (prompt.size() > kMaxPromptBytes) {
    fail_usage("the prompt has {} bytes; at most {} are read", prompt.size(), kMaxPromptBytes);
  }
  if (!is_valid_utf8(prompt)) fail_usage("the prompt is not UTF-8: '{}'", printable(prompt, 60));
}

void check_depth(size_t open) {
  if (open > kMaxPromptDepth) {
    fail_usage("the prompt has more than {} brackets open at once; close some", kMaxPromptDepth);
  }
}

bool next_is_word(std::string_view text, size_t& position) {
  const int32_t c = next_code_point(text, position);
  const CharClass kind = char_class(c);
  return kind == CharClass::Letter || kind == CharClass::Number || c == '_';
}

std::vector<size_t> find_words(std::string_view text, std::string_view word) {
  std::vector<size_t> found;
  for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    if (!word_before(text, at) && !word_behind(text, at + word.size())) found.push_back(at);
  }
  return found;
}

size_t skip_space(std::string_view text, size_t position) {
  while (position < text.size()) {
    size_t next = position;
    next_code_point(text, next);
    if (!strip(text.substr(position, next - position)).empty()) break;
    position = next;
  }
  return position;
}

std::optional<WeightMark> weight_mark(std::string_view text, size_t position) {
  const size_t begin = skip_space(text, position + 1);
  if (begin == text.size()) return std::nullopt;
  const size_t digits = text[begin] == '+' || text[begin] == '-' ? begin + 1 : begin;
  const size_t end = std::min(text.find_first_not_of("0123456789.", digits), text.size());
  const size_t close = skip_space(text, end);
  if (end == digits || close == text.size() || text[close] != ')') return std::nullopt;
  return WeightMark{.number = text.substr(begin, end - begin), .end = close + 1};
}

std::optional<double> parse_number(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace easel::text
