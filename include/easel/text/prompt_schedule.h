// Prompts that change while a picture is drawn, in the language of A1111's webui.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace easel {

// The text up to and including evaluation `until`.
struct ScheduledText {
  int64_t until;
  std::string text;
  bool operator==(const ScheduledText&) const = default;
};

// [a:b:when] is a, then b; [b:when] nothing, then b; [a::when] a, then nothing. `when` with a '.'
// is a part of `steps`, else a number of steps. [a|b|c] takes turns. They may hold each other and
// weights; weights and escapes are left as they are. Rising, the last is `steps`.
//
// Where a bracket or a '|' without a partner stands outside of all, the webui's grammar has several
// readings and its pick varies from run to run; here a pair of brackets that can be a schedule is
// one. Where the grammar has no reading (a '|' outside of an alternation, a lone backslash at the
// end), the whole text stands as it is, as there. Throws Error (Usage) beyond the limits of
// prompt_weights.h.
std::vector<ScheduledText> parse_schedule(std::string_view text, int64_t steps);
// Whether such a thing is in the text.
bool has_schedule(std::string_view text);

}  // namespace easel
