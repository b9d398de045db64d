// A prompt in whole: tags, composition, schedules.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <easel/text/prompt_schedule.h>
#include <easel/text/prompt_weights.h>

namespace easel {

// <kind:argument:argument...>, such as <lora:name:0.8>; it is no part of the text.
struct PromptTag {
  std::string kind;
  std::vector<std::string> arguments;
  bool operator==(const PromptTag&) const = default;
};

// One of the prompts that AND joins: eps = u + scale * sum weight_i (c_i - u).
struct PromptPart {
  double weight = 1;
  std::vector<ScheduledText> schedule;  // one entry where it does not change
};

struct Prompt {
  std::vector<PromptPart> parts;  // one or more
  std::vector<PromptTag> tags;
};

// `steps`: how many evaluations of the network the schedules count as the whole run. Weighting::
// None and Comfy know neither schedules nor AND, and no tags but <lora:...> and <lyco:...>, which
// nobody writes as text. Throws Error (Usage) beyond the limits of prompt_weights.h.
Prompt parse_prompt(std::string_view text, Weighting weighting, int64_t steps);
// The text without its <lora:...> and <lyco:...>, which are put behind the others in `tags`.
std::string take_adapter_tags(std::string_view text, std::vector<PromptTag>& tags);
// Without AND and tags, which mean nothing here: as in the webui they are text.
Prompt parse_negative_prompt(std::string_view text, Weighting weighting, int64_t steps);

// What of A1111's language a text certainly uses, for a hint where it is read literally: "a
// weight", "a schedule", "AND", "BREAK"; empty where nothing. Brackets alone are ordinary text.
std::string_view find_prompt_language(std::string_view text);

}  // namespace easel
