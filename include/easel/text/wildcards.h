// Prompts with choices in them, in the language of the Dynamic Prompts extension of A1111's webui.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace easel {

// The lines that __NAME__ stands for; throws Error where there is nothing of that name.
using WildcardLines = std::function<std::vector<std::string>(const std::string& name)>;

// The prompt with every choice made:
//   {a|b|c}           one of them; {3::a|b} takes a three times as often
//   {2$$a|b|c}        two different ones, joined by ", "; {1-2$$ and $$a|b|c} one or two, by " and
//   "
//   __NAME__          one of the lines of NAME, itself with choices; NAME is letters, digits, . - /
//                     and single _
// \{ \} and \| are those characters. The same seed makes the same choices on every machine. Braces
// without a partner stay as they are. Throws Error (Usage) on a malformed choice, and beyond 32
// levels, 10,000 choices or 64 KiB (a line that names its own file never ends).
std::string expand_wildcards(std::string_view prompt, uint64_t seed, const WildcardLines& lines);

}  // namespace easel
