#include "easel/text/prompt.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "easel/base/error.h"
#include "prompt_words.h"
#include "unicode.h"

namespace easel {
namespace {

constexpr std::string_view kAnd = "AND";
constexpr size_t kMaxParts = 64;

struct Tag {
  size_t begin, end;
  PromptTag tag;
};

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// The tag that starts at `begin`, where a '<' is.
std::optional<Tag> tag_at(std::string_view text, size_t begin) {
  size_t colon = begin + 1;
  for (size_t next = colon; next < text.size() && text::next_is_word(text, next);) colon = next;
  if (colon == begin + 1 || colon >= text.size() || text[colon] != ':') return std::nullopt;
  const size_t end = text.find('>', colon);
  if (end == text.npos || end == colon + 1) return std::nullopt;
  return Tag{.begin = begin,
             .end = end + 1,
             .tag = {.kind = std::string(text.substr(begin + 1, colon - begin - 1)),
                     .arguments = split(text.substr(colon + 1, end - colon - 1), ':')}};
}

bool names_adapter(const PromptTag& tag) { return tag.kind == "lora" || tag.kind == "lyco"; }

// Takes the tags out of the text.
std::string take_tags(std::string_view text, Weighting weighting, std::vector<PromptTag>& tags) {
  std::string out;
  size_t begin = 0;
  for (size_t at; (at = text.find('<', begin)) != text.npos;) {
    std::optional<Tag> tag = tag_at(text, at);
    if (tag && weighting != Weighting::A1111 && !names_adapter(tag->tag)) tag.reset();
    out.append(text.substr(begin, at - begin));
    if (tag) {
      tags.push_back(std::move(tag->tag));
      begin = tag->end;
    } else {
      out += '<';
      begin = at + 1;
    }
  }
  return out.append(text.substr(begin));
}

// [-+]?(\d+\.?|\d*\.\d+)
bool is_part_weight(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  const size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point);
  const std::string_view rest = point < text.size() ? text.substr(point + 1) : "";
  return text.find_first_not_of("0123456789.") == text.npos && rest.find('.') == rest.npos &&
         !(whole.empty() && rest.empty());
}

// "a cat : 1.3" is the text "a cat" of weight 1.3; white space at the end goes.
std::pair<std::string_view, double> weighted_part(std::string_view part) {
  const std::string_view whole = text::strip(part, false, true);
  const size_t colon = whole.rfind(':');
  if (colon == whole.npos) return {whole, 1};
  const std::string_view number = text::strip(whole.substr(colon + 1), true, false);
  if (!is_part_weight(number)) return {whole, 1};
  const std::optional<double> weight = text::parse_number(number);
  if (!weight || !(std::abs(*weight) <= kMaxPromptWeight)) {
    fail_usage("the prompt gives the part '{}' the weight {}; at most {} is meant",
               printable(whole.substr(0, colon), 40), printable(number, 40), kMaxPromptWeight);
  }
  return {text::strip(whole.substr(0, colon), false, true), *weight};
}

std::vector<std::string_view> split_at_and(std::string_view text) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  for (const size_t at : text::find_words(text, kAnd)) {
    parts.push_back(text.substr(begin, at - begin));
    begin = at + kAnd.size();
  }
  parts.push_back(text.substr(begin));
  if (parts.size() > kMaxParts) {
    fail_usage("the prompt joins {} parts with AND; at most {} are meant", parts.size(), kMaxParts);
  }
  return parts;
}

bool has_weight(std::string_view text) {
  const size_t open = text.find('(');
  if (open == text.npos) return false;
  for (size_t at = text.find(':', open); at != text.npos; at = text.find(':', at + 1)) {
    if (text::weight_mark(text, at)) return true;
  }
  return false;
}

std::vector<ScheduledText> unchanged(std::string_view text, int64_t steps) {
  return {{.until = steps, .text = std::string(text)}};
}

}  // namespace

Prompt parse_prompt(std::string_view text, Weighting weighting, int64_t steps) {
  text::check_prompt(text);
  Prompt prompt;
  const std::string plain = take_tags(text, weighting, prompt.tags);
  if (weighting != Weighting::A1111) {
    prompt.parts.push_back({.weight = 1, .schedule = unchanged(plain, steps)});
    return prompt;
  }
  for (const std::string_view part : split_at_and(plain)) {
    const auto [part_text, weight] = weighted_part(part);
    prompt.parts.push_back({.weight = weight, .schedule = parse_schedule(part_text, steps)});
  }
  return prompt;
}

std::string take_adapter_tags(std::string_view text, std::vector<PromptTag>& tags) {
  text::check_prompt(text);
  return take_tags(text, Weighting::None, tags);
}

Prompt parse_negative_prompt(std::string_view text, Weighting weighting, int64_t steps) {
  text::check_prompt(text);
  const bool scheduled = weighting == Weighting::A1111;
  return {.parts = {{.weight = 1,
                     .schedule = scheduled ? parse_schedule(text, steps) : unchanged(text, steps)}},
          .tags = {}};
}

std::string_view find_prompt_language(std::string_view text) {
  try {
    if (!text::find_words(text, kAnd).empty()) return "AND";
    if (!text::find_words(text, "BREAK").empty()) return "BREAK";
    if (has_schedule(text)) return "a schedule";
    return has_weight(text) ? "a weight" : "";
  } catch (const Error&) {
    return "";  // what the language refuses is not written in it
  }
}

}  // namespace easel
