#include "easel/text/prompt_weights.h"

#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include "easel/base/error.h"
#include "prompt_words.h"
#include "unicode.h"

namespace easel {
namespace {

using namespace std::string_view_literals;

constexpr std::array<std::pair<std::string_view, Weighting>, 3> kNames = {{
    {"none", Weighting::None},
    {"a1111", Weighting::A1111},
    {"comfy", Weighting::Comfy},
}};

constexpr double kRound = 1.1;
constexpr double kSquare = 1 / 1.1;
// In A1111's list BREAK is a text of this weight; a weight on it makes it text again.
constexpr std::string_view kBreak = "BREAK";
constexpr double kBreakWeight = -1;

double number_of(std::string_view number) {
  const std::optional<double> value = text::parse_number(number);
  if (!value) {
    fail_usage("the prompt's weight '{}' is no number; write such as (word:1.3)",
               printable(number, 40));
  }
  return *value;
}

class A1111Reader {
 public:
  std::vector<WeightedText> read(std::string_view text) {
    for (size_t i = 0; i < text.size();) i = step(text, i);
    for (const size_t start : round_) multiply(start, kRound);
    for (const size_t start : square_) multiply(start, kSquare);
    return merged();
  }

 private:
  size_t step(std::string_view text, size_t i) {
    const char c = text[i];
    switch (c) {
      case '\\': {
        const bool escapes = i + 1 < text.size() && "()[]\\"sv.find(text[i + 1]) != text.npos;
        runs_.push_back({std::string(text.substr(i + 1, escapes ? 1 : 0)), 1});
        return i + (escapes ? 2 : 1);
      }
      case '(':
      case '[':
        (c == '(' ? round_ : square_).push_back(runs_.size());
        text::check_depth(round_.size() + square_.size());
        return i + 1;
      case ')':
        if (!close(round_, kRound)) add(")");
        return i + 1;
      case ']':
        if (!close(square_, kSquare)) add("]");
        return i + 1;
      case ':':
        if (const auto mark = text::weight_mark(text, i)) {
          if (round_.empty()) {
            add(text.substr(i, mark->end - i));
          } else {
            close(round_, number_of(mark->number));
          }
          return mark->end;
        }
        add(":");
        return i + 1;
      default: {
        const size_t end = std::min(text.find_first_of("\\()[]:", i), text.size());
        add(text.substr(i, end - i));
        return end;
      }
    }
  }

  bool close(std::vector<size_t>& open, double factor) {
    if (open.empty()) return false;
    multiply(open.back(), factor);
    open.pop_back();
    return true;
  }

  void multiply(size_t start, double factor) {
    for (size_t i = start; i < runs_.size(); ++i) runs_[i].weight *= factor;
  }

  // A text, in parts where BREAK stands in it.
  void add(std::string_view text) {
    size_t begin = 0;
    for (const size_t at : text::find_words(text, kBreak)) {
      runs_.push_back({std::string(text::strip(text.substr(begin, at - begin), false, true)), 1});
      runs_.push_back({std::string(kBreak), kBreakWeight});
      begin = text::skip_space(text, at + kBreak.size());
    }
    runs_.push_back({std::string(text.substr(begin)), 1});
  }

  std::vector<WeightedText> merged() {
    std::vector<WeightedText> out;
    for (WeightedText& run : runs_) {
      if (!out.empty() && out.back().weight == run.weight) {
        out.back().text += run.text;
      } else {
        out.push_back(std::move(run));
      }
    }
    if (out.empty()) out.push_back({});
    for (WeightedText& run : out) {
      if (run.text == kBreak && run.weight == kBreakWeight) run = {"", 1, true};
    }
    return out;
  }

  std::vector<WeightedText> runs_;
  std::vector<size_t> round_, square_;  // the runs where open brackets start
};

// ComfyUI hides escaped brackets behind these.
constexpr std::string_view kHiddenClose = "\0\1"sv;
constexpr std::string_view kHiddenOpen = "\0\2"sv;

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  size_t begin = 0;
  for (size_t at; (at = text.find(from, begin)) != text.npos; begin = at + from.size()) {
    out.append(text.substr(begin, at - begin)).append(to);
  }
  return out.append(text.substr(begin));
}

// The text cut where parentheses open and close at the outermost level.
std::vector<std::string_view> split_parentheses(std::string_view text) {
  std::vector<std::string_view> items;
  size_t begin = 0;
  int64_t level = 0;
  const auto end_item = [&](size_t end) {
    if (end > begin) items.push_back(text.substr(begin, end - begin));
    begin = end;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(') {
      if (level == 0) end_item(i);
      ++level;
    } else if (text[i] == ')') {
      if (--level == 0) end_item(i + 1);
    }
  }
  end_item(text.size());
  return items;
}

void read_comfy(std::string_view text, double weight, size_t depth,
                std::vector<WeightedText>& out) {
  text::check_depth(depth);
  for (std::string_view item : split_parentheses(text)) {
    if (item.size() < 2 || !item.starts_with('(') || !item.ends_with(')')) {
      const std::string shown = replaced(item, kHiddenClose, ")");
      out.push_back({replaced(shown, kHiddenOpen, "("), weight});
      continue;
    }
    item = item.substr(1, item.size() - 2);
    double inner = weight * kRound;
    const size_t colon = item.rfind(':');
    if (colon != item.npos && colon > 0) {
      if (const auto number = text::parse_number(text::strip(item.substr(colon + 1)))) {
        inner = *number;
        item = item.substr(0, colon);
      }
    }
    read_comfy(item, inner, depth + 1, out);
  }
}

std::vector<WeightedText> read_comfy(std::string_view text) {
  std::vector<WeightedText> out;
  const std::string hidden = replaced(text, "\\)", kHiddenClose);
  read_comfy(replaced(hidden, "\\(", kHiddenOpen), 1, 0, out);
  if (out.empty()) out.push_back({});
  return out;
}

std::vector<WeightedText> read(std::string_view text, Weighting weighting) {
  switch (weighting) {
    case Weighting::None:
      return {{std::string(text), 1}};
    case Weighting::A1111:
      return A1111Reader().read(text);
    case Weighting::Comfy:
      return read_comfy(text);
  }
  fail("weighting {} is none of none, a1111, comfy", static_cast<int>(weighting));
}

}  // namespace

Weighting weighting_from_name(std::string_view name) {
  std::vector<std::string_view> known;
  for (const auto& [known_name, weighting] : kNames) {
    if (name == known_name) return weighting;
    known.push_back(known_name);
  }
  throw Error(unknown_name("weighting", name, known), ErrorKind::Usage);
}

std::string_view weighting_name(Weighting weighting) {
  for (const auto& [name, known] : kNames) {
    if (weighting == known) return name;
  }
  fail("weighting {} is none of none, a1111, comfy", static_cast<int>(weighting));
}

std::vector<WeightedText> parse_weights(std::string_view text, Weighting weighting) {
  text::check_prompt(text);
  std::vector<WeightedText> runs = read(text, weighting);
  for (const WeightedText& run : runs) {
    if (!(std::abs(run.weight) <= kMaxPromptWeight)) {
      fail_usage("the prompt gives '{}' the weight {}; at most {} is meant",
                 printable(run.text, 40), run.weight, kMaxPromptWeight);
    }
  }
  return runs;
}

}  // namespace easel
