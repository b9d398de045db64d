#include "easel/text/prompt_schedule.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "easel/base/error.h"
#include "easel/text/prompt_weights.h"
#include "prompt_words.h"
#include "unicode.h"

namespace easel {
namespace {

enum class Kind { None, Emphasis, Alternation, Edit };

// What the bracket at some position opens.
struct Pair {
  Kind kind = Kind::None;
  size_t end = 0;                  // of its partner
  std::vector<size_t> separators;  // ':' or '|', not those in inner pairs
  std::string_view when;           // Edit
};

// lark's SIGNED_NUMBER, with white space around it.
std::optional<std::string_view> number_in(std::string_view text) {
  const std::string_view number = text::strip(text);
  size_t i = number.starts_with('+') || number.starts_with('-') ? 1 : 0;
  size_t num_digits = 0;
  const auto digits = [&] {
    size_t count = 0;
    for (; i < number.size() && number[i] >= '0' && number[i] <= '9'; ++i) ++count;
    return count;
  };
  num_digits = digits();
  if (i < number.size() && number[i] == '.') {
    ++i;
    num_digits += digits();
  }
  if (num_digits == 0) return std::nullopt;
  if (i < number.size() && (number[i] == 'e' || number[i] == 'E')) {
    ++i;
    if (i < number.size() && (number[i] == '+' || number[i] == '-')) ++i;
    if (digits() == 0) return std::nullopt;
  }
  if (i != number.size() || !text::parse_number(number)) return std::nullopt;
  return number;
}

// The last step before a change. Without a '.' it counts steps.
int64_t step_of(std::string_view number, int64_t steps) {
  double value = text::parse_number(number).value();
  if (number.find('.') != number.npos) value *= static_cast<double>(steps);
  // At 0 and below all is the second text.
  return static_cast<int64_t>(std::trunc(std::clamp(value, 0.0, static_cast<double>(steps))));
}

struct Node;
using Nodes = std::vector<Node>;

// A piece of text, or what becomes one of its branches.
struct Node {
  Kind kind = Kind::None;
  std::string_view text;
  std::vector<Nodes> branches;
  int64_t when = 0;  // Edit: the last step of branches[0]
};

class Grammar {
 public:
  Grammar(std::string_view text, int64_t steps) : text_(text), steps_(steps), pairs_(text.size()) {}

  // nullopt: the text is none of the grammar's.
  std::optional<Nodes> read() {
    if (!find_pairs()) return std::nullopt;
    Nodes nodes;
    if (!build(0, text_.size(), nodes)) return std::nullopt;
    return nodes;
  }
  // The steps behind which the text may change, the run's last among them.
  std::set<int64_t> ends() const {
    std::set<int64_t> ends = ends_;
    for (int64_t step = 1; alternates_ && step <= steps_; ++step) ends.insert(step);
    ends.insert(steps_);
    return ends;
  }

 private:
  struct Open {
    size_t at;
    std::vector<size_t> separators;
    bool sound = true;  // nothing in it stands without its partner so far
  };

  // Matches brackets. One pass: a pair's inner pairs are judged before it.
  bool find_pairs() {
    std::vector<Open> open;
    for (size_t i = 0; i < text_.size(); ++i) {
      switch (text_[i]) {
        case '\\':
          if (++i == text_.size() || text_[i] == '\n') return false;
          break;
        case '(':
        case '[':
          open.push_back({.at = i, .separators = {}});
          text::check_depth(open.size());
          break;
        case ':':
        case '|':
          if (!open.empty()) open.back().separators.push_back(i);
          break;
        case ')':
        case ']':
          close(open, i);
          break;
        default:
          break;
      }
    }
    return true;
  }

  void close(std::vector<Open>& open, size_t i) {
    if (open.empty() || text_[open.back().at] != (text_[i] == ')' ? '(' : '[')) {
      open.clear();  // none of them can hold this one
      return;
    }
    Open pair = std::move(open.back());
    open.pop_back();
    Pair& made = pairs_[pair.at];
    made.end = i;
    made.separators = std::move(pair.separators);
    made.kind = pair.sound ? kind_of(pair.at, made) : Kind::None;
    if (made.kind == Kind::None && !open.empty()) open.back().sound = false;
  }

  Kind kind_of(size_t at, Pair& pair) const {
    const std::vector<size_t>& separators = pair.separators;
    if (separators.empty()) return Kind::Emphasis;
    const auto all = [&](char c) {
      return std::all_of(separators.begin(), separators.end(),
                         [&](size_t i) { return text_[i] == c; });
    };
    if (text_[at] == '(') {
      return all(':') && separators.size() == 1 ? Kind::Emphasis : Kind::None;
    }
    if (all('|')) return Kind::Alternation;
    if (!all(':') || separators.size() > 2) return Kind::None;
    const size_t last = separators.back() + 1;
    const auto when = number_in(text_.substr(last, pair.end - last));
    if (!when) return Kind::None;
    pair.when = *when;
    return Kind::Edit;
  }

  // False where a '|' stands outside of all alternations.
  bool build(size_t begin, size_t end, Nodes& nodes) {
    size_t start = begin;  // of the text that is not in a node yet
    const auto end_text = [&](size_t at) {
      if (at > start)
        nodes.push_back({.kind = Kind::None, .text = text_.substr(start, at - start)});
    };
    for (size_t i = begin; i < end; ++i) {
      if (text_[i] == '\\') {
        ++i;
        continue;
      }
      if (text_[i] == '|') return false;
      if (text_[i] != '(' && text_[i] != '[') continue;
      const Pair& pair = pairs_[i];
      // Emphasis is text to a schedule; what is in it is met further on.
      if (pair.kind == Kind::None || pair.kind == Kind::Emphasis) continue;
      end_text(i);
      nodes.push_back({.kind = pair.kind, .text = {}});
      if (!build_branches(i, pair, nodes.back())) return false;
      i = pair.end;
      start = i + 1;
    }
    end_text(end);
    return true;
  }

  bool build_branches(size_t at, const Pair& pair, Node& node) {
    size_t begin = at + 1;
    const auto add = [&](size_t end) {
      node.branches.emplace_back();
      const bool read = build(begin, end, node.branches.back());
      begin = end + 1;
      return read;
    };
    if (pair.kind == Kind::Edit) {
      if (pair.separators.size() == 1) node.branches.emplace_back();  // nothing at first
      for (const size_t separator : pair.separators) {
        if (!add(separator)) return false;
      }
      node.when = step_of(pair.when, steps_);
      if (node.when >= 1) ends_.insert(node.when);
      return true;
    }
    for (const size_t separator : pair.separators) {
      if (!add(separator)) return false;
    }
    alternates_ = true;
    return add(pair.end);
  }

  std::string_view text_;
  int64_t steps_;
  std::vector<Pair> pairs_;  // at their opening brackets
  std::set<int64_t> ends_;
  bool alternates_ = false;
};

void append(const Nodes& nodes, int64_t step, std::string& out) {
  for (const Node& node : nodes) {
    switch (node.kind) {
      case Kind::Edit:
        append(node.branches[step <= node.when ? 0 : 1], step, out);
        break;
      case Kind::Alternation:
        append(node.branches[static_cast<size_t>(step - 1) % node.branches.size()], step, out);
        break;
      default:
        out += node.text;
    }
  }
}

}  // namespace

std::vector<ScheduledText> parse_schedule(std::string_view text, int64_t steps) {
  text::check_prompt(text);
  Grammar grammar(text, steps);
  const std::optional<Nodes> nodes = grammar.read();
  if (!nodes) return {{steps, std::string(text)}};
  std::vector<ScheduledText> out;
  for (const int64_t end : grammar.ends()) {
    out.push_back({end, {}});
    append(*nodes, end, out.back().text);
  }
  return out;
}

bool has_schedule(std::string_view text) {
  text::check_prompt(text);
  const std::optional<Nodes> nodes = Grammar(text, 1).read();
  return nodes && std::any_of(nodes->begin(), nodes->end(),
                              [](const Node& node) { return node.kind != Kind::None; });
}

}  // namespace easel
