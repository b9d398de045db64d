// Weights in prompts, as A1111's webui and as ComfyUI write them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace easel {

// Who reads a prompt. None: as CompVis's program, every character is text. A1111: (x) is 1.1 times
// as strong, [x] 1/1.1 times, (x:1.3) 1.3 times, one in the other multiplied; an open bracket runs
// to the end; a backslash makes the bracket behind it text; BREAK ends a chunk. Comfy: (x) and
// (x:1.3) alone, a number standing for itself wherever it is.
enum class Weighting { None, A1111, Comfy };

// "none", "a1111", "comfy". Throws Error (Usage).
Weighting weighting_from_name(std::string_view name);
std::string_view weighting_name(Weighting weighting);

struct WeightedText {
  std::string text;
  double weight = 1;
  bool ends_chunk = false;  // BREAK: no text
  bool operator==(const WeightedText&) const = default;
};

// Prompts come from strangers too: limits far beyond any that is meant.
inline constexpr size_t kMaxPromptBytes = 1 << 16;
inline constexpr size_t kMaxPromptDepth = 256;   // brackets open at once
inline constexpr double kMaxPromptWeight = 1e3;  // either sign

// A text without schedules in it (prompt_schedule.h), as runs of one weight each; never empty.
// Throws Error (Usage) beyond the limits, on invalid UTF-8 and on a weight that is no number.
std::vector<WeightedText> parse_weights(std::string_view text, Weighting weighting);

}  // namespace easel
