#include "easel/text/wildcards.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <random>
#include <utility>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr int kMaxDepth = 32;
constexpr int kMaxChoices = 10000;
constexpr size_t kMaxBytes = 64 << 10;
constexpr size_t kNone = std::string_view::npos;

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.' || c == '/';
}

// A backslash before a character of this language.
bool is_escape(std::string_view text, size_t at) {
  return text[at] == '\\' && at + 1 < text.size() &&
         std::string_view("{}|").find(text[at + 1]) != kNone;
}

// The brace that closes the one at `open`, or kNone.
size_t closing_brace(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    if (is_escape(text, i)) {
      ++i;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}' && --depth == 0) {
      return i;
    }
  }
  return kNone;
}

// The parts between the '|' that stand in no brace.
std::vector<std::string_view> split_choices(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (is_escape(text, i)) {
      ++i;
    } else if (text[i] == '{') {
      ++depth;
    } else if (text[i] == '}') {
      --depth;
    } else if (text[i] == '|' && depth == 0) {
      parts.push_back(text.substr(start, i - start));
      start = i + 1;
    }
  }
  parts.push_back(text.substr(start));
  return parts;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct Choice {
  std::string_view text;
  double weight = 1;
};

// "3::a" is a with the weight 3; "a::b" is itself.
Choice read_choice(std::string_view part) {
  const size_t colons = part.find("::");
  if (colons == kNone) return {.text = part};
  const auto weight = number<double>(part.substr(0, colons));
  if (!weight) return {.text = part};
  if (!(*weight >= 0) || *weight > 1e9) {
    fail_usage("the choice '{}' has the weight {}; expected 0 to 1e9", printable(part, 60),
               *weight);
  }
  return {.text = part.substr(colons + 2), .weight = *weight};
}

struct HowMany {
  size_t fewest = 1;
  size_t most = 1;
  std::string_view joint = ", ";
};

// Takes "2$$", "1-3$$" or "2$$ and $$" off the front of `text`.
HowMany take_count(std::string_view& text) {
  const size_t end = text.find("$$");
  if (end == kNone) return {};
  const std::string_view count = text.substr(0, end);
  const size_t dash = count.find('-');
  const auto fewest = number<size_t>(count.substr(0, dash));
  const auto most = dash == kNone ? fewest : number<size_t>(count.substr(dash + 1));
  if (!fewest || !most) return {};
  if (*fewest > *most) {
    fail_usage("'{{{}$$' asks for at least {} and at most {}", printable(count), *fewest, *most);
  }
  text.remove_prefix(end + 2);
  HowMany how{.fewest = *fewest, .most = *most};
  if (const size_t joint = text.find("$$"); joint != kNone) {
    how.joint = text.substr(0, joint);
    text.remove_prefix(joint + 2);
  }
  return how;
}

class Expansion {
 public:
  Expansion(uint64_t seed, const WildcardLines& lines) : engine_(seed), lines_(lines) {}

  std::string expand(std::string_view text, int depth) {
    if (depth > kMaxDepth) {
      fail_usage("choices within choices reach deeper than {} levels; does a file name itself?",
                 kMaxDepth);
    }
    std::string result;
    for (size_t i = 0; i < text.size();) {
      i = step(text, i, depth, result);
      if (result.size() > kMaxBytes) {
        fail_usage("a prompt's choices come to more than {} KiB of text", kMaxBytes >> 10);
      }
    }
    return result;
  }

 private:
  // Adds what stands at `at` and returns the place behind it.
  size_t step(std::string_view text, size_t at, int depth, std::string& result) {
    if (is_escape(text, at)) {
      result += text[at + 1];
      return at + 2;
    }
    if (text[at] == '{') {
      if (const size_t end = closing_brace(text, at); end != kNone) {
        result += choose(text.substr(at + 1, end - at - 1), depth);
        return end + 1;
      }
    }
    if (text.substr(at, 2) == "__") {
      if (const size_t end = text.find("__", at + 2); end != kNone && end > at + 2) {
        const std::string_view name = text.substr(at + 2, end - at - 2);
        if (std::all_of(name.begin(), name.end(), is_name)) {
          result += choose_line(std::string(name), depth);
          return end + 2;
        }
      }
    }
    result += text[at];
    return at + 1;
  }

  std::string choose(std::string_view text, int depth) {
    HowMany how = take_count(text);
    std::vector<Choice> choices;
    for (const std::string_view part : split_choices(text)) choices.push_back(read_choice(part));
    how.most = std::min(how.most, choices.size());
    how.fewest = std::min(how.fewest, how.most);
    const size_t num = how.fewest + below(how.most - how.fewest + 1);
    std::string result;
    for (size_t i = 0; i < num; ++i) {
      const size_t picked = pick(choices);
      if (i > 0) result += how.joint;
      result += expand(choices[picked].text, depth + 1);
      choices.erase(choices.begin() + static_cast<ptrdiff_t>(picked));
    }
    return result;
  }

  std::string choose_line(const std::string& name, int depth) {
    const std::vector<std::string> lines = lines_(name);
    if (lines.empty()) fail_usage("the wildcard __{}__ has no lines to choose from", name);
    count();
    return expand(lines[below(lines.size())], depth + 1);
  }

  size_t pick(const std::vector<Choice>& choices) {
    count();
    double sum = 0;
    for (const Choice& choice : choices) sum += choice.weight;
    if (sum <= 0) return below(choices.size());
    double left = sum * (static_cast<double>(engine_() >> 11) * 0x1p-53);
    for (size_t i = 0; i < choices.size(); ++i) {
      if ((left -= choices[i].weight) < 0) return i;
    }
    return choices.size() - 1;
  }

  // The standard's distributions differ from library to library; its engines do not.
  size_t below(size_t num) { return static_cast<size_t>(engine_() % num); }

  void count() {
    if (++num_choices_ > kMaxChoices) {
      fail_usage("a prompt makes more than {} choices; does a file name itself?", kMaxChoices);
    }
  }

  std::mt19937_64 engine_;
  const WildcardLines& lines_;
  int num_choices_ = 0;
};

}  // namespace

std::string expand_wildcards(std::string_view prompt, uint64_t seed, const WildcardLines& lines) {
  return Expansion(seed, lines).expand(prompt, 0);
}

}  // namespace easel
