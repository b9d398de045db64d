// What the readers of the prompt language share.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace easel::text {

// Throws Error (Usage) where a prompt is too long or no UTF-8.
void check_prompt(std::string_view prompt);
// Throws Error (Usage) where more than kMaxPromptDepth brackets are open.
void check_depth(size_t open);

// Where `word` stands as a whole word: Python's \bword\b.
std::vector<size_t> find_words(std::string_view text, std::string_view word);

// Python's \w at `position`, which then moves behind it.
bool next_is_word(std::string_view text, size_t& position);

// The first position from `position` on where no white space (Python's \s) is.
size_t skip_space(std::string_view text, size_t position);

// The weight in "(text: 1.3 )", of which the ':' is at `position`, and what follows the ')'.
struct WeightMark {
  std::string_view number;  // perhaps none: "1.2.3"
  size_t end;
};
std::optional<WeightMark> weight_mark(std::string_view text, size_t position);

// A finite decimal number that is all of `text`, a leading '+' allowed.
std::optional<double> parse_number(std::string_view text);

}  // namespace easel::text
