#include "cli/prompt_line.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/base/utf8.h>

namespace easel::cli {
namespace {

constexpr size_t kMaxBytes = 1 << 16;
constexpr int64_t kMaxCount = 100000;

struct ShortName {
  std::string_view name;
  std::string_view option;
};
// dream's and invoke's, where they are not the program's own names.
constexpr std::array<ShortName, 10> kShortNames = {{{"n", "n_iter"},
                                                    {"iterations", "n_iter"},
                                                    {"s", "steps"},
                                                    {"S", "seed"},
                                                    {"C", "scale"},
                                                    {"A", "sampler"},
                                                    {"m", "sampler"},
                                                    {"I", "init-img"},
                                                    {"init_img", "init-img"},
                                                    {"f", "strength"}}};

std::string_view long_name(std::string_view name) {
  for (const ShortName& each : kShortNames) {
    if (each.name == name) return each.option;
  }
  return name;
}

const Option* find_in_line(std::span<const Option> options, std::string_view name) {
  return find_option(options, long_name(name));
}

bool is_space(char c) { return c == ' ' || c == '\t'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The next word of the text, which is shortened: quotes keep spaces, a backslash keeps what follows
// it. Nothing where the text is at its end.
std::optional<std::string> take_word(std::string_view& text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  std::string word;
  char quote = 0;
  while (!text.empty() && (quote != 0 || !is_space(text.front()))) {
    const char c = text.front();
    text.remove_prefix(1);
    if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'' && !text.empty()) {
      word += text.front();
      text.remove_prefix(1);
    } else {
      word += c;
    }
  }
  if (quote != 0) fail_usage("a quote ({}) is not closed", quote);
  return word;
}

// Whether an option starts at the front of `text`. A lone dash, or a letter that is no option with
// a value, is part of a prompt.
bool starts_option(std::string_view text, std::span<const Option> options) {
  if (text.size() > 2 && text.starts_with("--")) return is_letter(text[2]);
  if (text.size() < 2 || text[0] != '-') return false;
  const Option* option = find_in_line(options, text.substr(1, 1));
  if (option == nullptr || option->is_flag) return false;
  std::string_view value = text.substr(2);
  while (!value.empty() && is_space(value.front())) value.remove_prefix(1);
  value = value.substr(0, value.find_first_of(" \t"));
  const bool number = option->kind == "a whole number" || option->kind == "a number";
  double parsed = 0;
  return number ? parse_field(value, parsed) : !value.empty();
}

size_t trailing_part(std::string_view line, std::span<const Option> options) {
  for (size_t i = 0; i < line.size(); ++i) {
    if ((i == 0 || is_space(line[i - 1])) && starts_option(line.substr(i), options)) return i;
  }
  return line.size();
}

void set(PromptLine& line, std::span<const Option> options, std::string_view name,
         std::string_view value) {
  const Option* option = find_in_line(options, name);
  if (option == nullptr) fail_unknown_option(options, name);
  if (option->info.name == "prompt") {
    line.prompt = value;
  } else if (option->info.name == "n_iter") {
    int64_t count = 0;
    if (!parse_field(value, count) || count < 1 || count > kMaxCount) {
      fail_usage("the number of pictures is '{}'; it is 1 to {}", printable(value, 40), kMaxCount);
    }
    line.count = count;
  } else {
    add_change(line.changes, options, option->info.name, value);
  }
}

void parse_options(PromptLine& line, std::string_view text, std::span<const Option> options) {
  while (const auto word = take_word(text)) {
    const bool two_dashes = word->starts_with("--");
    if (!two_dashes && (word->size() < 2 || word->front() != '-')) {
      fail_usage(
          "'{}' stands behind the options; the prompt comes first, and a value of several "
          "words stands in quotes",
          printable(*word, 40));
    }
    const size_t start = two_dashes ? 2 : 1;
    const size_t equals = two_dashes ? word->find('=') : std::min<size_t>(word->size(), 2);
    const std::string name = word->substr(start, equals - start);
    std::optional<std::string> value;
    if (equals < word->size()) value = word->substr(equals + (two_dashes ? 1 : 0));
    const Option* option = find_in_line(options, name);
    if (option == nullptr) fail_unknown_option(options, *word);
    if (!value && option->is_flag) value = "true";
    if (!value) value = take_word(text);
    if (!value) fail_usage("{} needs a value", printable(*word, 40));
    set(line, options, name, *value);
  }
}

PromptLine parse_json(std::string_view text, std::span<const Option> options) {
  using Json = nlohmann::json;
  bool deep = false;
  const auto shallow = [&](int depth, Json::parse_event_t, Json&) {
    deep = deep || depth > 2;
    return !deep;
  };
  const Json json = Json::parse(text, shallow, false);
  if (deep || !json.is_object()) fail_usage("it is no JSON object of options and plain values");
  PromptLine line;
  for (const auto& [name, value] : json.items()) {
    if (value.is_structured()) fail_usage("\"{}\" is no plain value", printable(name, 40));
    if (value.is_null()) continue;
    set(line, options, name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return line;
}

// An object starts with a brace and a name; {a|b} is a prompt.
bool is_json(std::string_view line) {
  if (!line.starts_with('{')) return false;
  const size_t next = line.find_first_not_of(" \t", 1);
  return next != std::string_view::npos && (line[next] == '"' || line[next] == '}');
}

}  // namespace

PromptLine parse_prompt_line(std::string_view line, std::span<const Option> options) {
  if (line.size() > kMaxBytes) {
    fail_usage("the line has {} bytes, more than the {} that it may have", line.size(), kMaxBytes);
  }
  if (!is_valid_utf8(line)) fail_usage("the line is not UTF-8: '{}'", printable(line, 60));
  if (is_json(line)) return parse_json(line, options);
  const size_t end = trailing_part(line, options);
  PromptLine parsed;
  if (end == line.size()) {
    parsed.prompt = line;
    return parsed;
  }
  std::string_view prompt = line.substr(0, end);
  while (!prompt.empty() && is_space(prompt.back())) prompt.remove_suffix(1);
  if (prompt.size() > 1 && prompt.front() == '"' && prompt.back() == '"') {
    prompt = prompt.substr(1, prompt.size() - 2);
  }
  if (!prompt.empty()) parsed.prompt = prompt;
  parse_options(parsed, line.substr(end), options);
  return parsed;
}

void add_change(Changes& changes, std::span<const Option> options, std::string_view name,
                std::string_view value) {
  const Option* option = find_option(options, name);
  if (option == nullptr) fail_unknown_option(options, name);
  constexpr std::array<std::string_view, 4> whole_run = {"n_samples", "n_iter", "dtype", "use-ema"};
  constexpr std::array<std::string_view, 2> samplers = {"plms", "dpm_solver"};
  const std::string_view main = option->info.name;
  const auto among = [&](const auto& names) {
    return std::find(names.begin(), names.end(), main) != names.end();
  };
  if (among(whole_run) || (!option->info.setting && !among(samplers))) {
    fail_usage("--{} holds for the whole run: it cannot change from picture to picture", main);
  }
  changes.emplace_back(main, value);
}

void apply_changes(const Changes& changes, std::span<const Option> options, Given& given) {
  const auto turn_off = [&](std::string_view name) {
    if (const Option* option = find_option(options, name)) option->assign("false");
  };
  for (const auto& [name, value] : changes) {
    const Option* option = find_option(options, name);
    if (option == nullptr) fail_unknown_option(options, name);
    if (name == "sampler" || name == "plms" || name == "dpm_solver") {
      // The newest wish wins, in whichever of its spellings.
      turn_off("plms");
      turn_off("dpm_solver");
      given.remove("sampler");
    }
    assign_option(*option, "--" + name, value);
    given.add(name);
  }
}

}  // namespace easel::cli
