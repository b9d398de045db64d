// Finds the tokens that stand for themselves in a text.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer_files.h"

namespace easel::text {

// Added tokens and the form in which each is looked for.
using Patterns = std::vector<std::pair<std::string, const AddedToken*>>;

// Splits `text` at the patterns, the leftmost first and the longest of these, and hands over the
// texts between (not empty) and the tokens, in order.
template <class OnText, class OnToken>
void split(std::string_view text, const Patterns& patterns, OnText on_text, OnToken on_token) {
  std::vector<size_t> found(patterns.size(), 0);
  const auto search = [&](size_t i, size_t from) { found[i] = text.find(patterns[i].first, from); };
  for (size_t i = 0; i < patterns.size(); ++i) search(i, 0);
  size_t begin = 0;
  for (;;) {
    size_t best = patterns.size();
    for (size_t i = 0; i < patterns.size(); ++i) {
      if (found[i] != std::string_view::npos && found[i] < begin) search(i, begin);
      if (found[i] == std::string_view::npos) continue;
      if (best == patterns.size() || found[i] < found[best] ||
          (found[i] == found[best] && patterns[i].first.size() > patterns[best].first.size()))
        best = i;
    }
    const size_t end = best == patterns.size() ? text.size() : found[best];
    if (end > begin) on_text(text.substr(begin, end - begin));
    if (best == patterns.size()) return;
    on_token(*patterns[best].second);
    begin = end + patterns[best].first.size();
  }
}

}  // namespace easel::text
