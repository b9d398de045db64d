#include "cli/arguments.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <easel/base/error.h>

namespace easel::cli {
namespace {

std::string folded(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

}  // namespace

std::vector<std::string_view> names_of(const Option& option) {
  std::vector<std::string_view> names = {option.info.name};
  for (const std::string_view alias : split_list(option.info.aliases)) names.push_back(alias);
  return names;
}

std::vector<std::string_view> groups_of(std::span<const Option> options) {
  std::vector<std::string_view> groups;
  for (const Option& option : options) {
    if (std::find(groups.begin(), groups.end(), option.info.group) == groups.end()) {
      groups.push_back(option.info.group);
    }
  }
  return groups;
}

std::string help_of(const Option& option) {
  std::string help(option.info.help);
  if (!option.info.choices.empty()) {
    if (help.ends_with('.')) help.pop_back();
    help += fmt::format(": {}", fmt::join(split_list(option.info.choices), ", "));
  }
  if (!option.default_text.empty()) help += fmt::format(" [{}]", option.default_text);
  return help;
}

std::vector<std::string> wrapped(std::string_view text, size_t width) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width)
      lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return lines;
}

// One-letter names answer to one dash and to two (CompVis has --H, --W, --C and --f).
const Option* find_option(std::span<const Option> options, std::string_view name, bool one_dash) {
  for (const Option& option : options) {
    for (const std::string_view known : names_of(option)) {
      if (folded(known) == folded(name) && (!one_dash || name.size() == 1)) return &option;
    }
  }
  return nullptr;
}

namespace {

struct Split {
  const Option* option = nullptr;
  std::string_view name;  // as written, with its dashes
  std::optional<std::string_view> value;
};

// The option that an argument names, if any.
Split split_argument(std::span<const Option> options, std::string_view argument) {
  Split split{.option = nullptr, .name = argument, .value = std::nullopt};
  if (argument.starts_with("--") && argument.size() > 2) {
    const size_t equals = argument.find('=');
    split.name = argument.substr(0, equals);
    if (equals != std::string_view::npos) split.value = argument.substr(equals + 1);
    split.option = find_option(options, split.name.substr(2), false);
  } else if (argument.size() > 1 && argument[0] == '-') {
    split.name = argument.substr(0, 2);
    if (argument.size() > 2) split.value = argument.substr(argument[2] == '=' ? 3 : 2);
    split.option = find_option(options, split.name.substr(1), true);
  }
  return split;
}

std::string label_of(const Option& option) {
  std::string label;
  for (const std::string_view alias : split_list(option.info.aliases)) {
    if (alias.size() == 1) label += fmt::format("-{}, ", alias);
  }
  label += fmt::format("--{}", option.info.name);
  for (const std::string_view alias : split_list(option.info.aliases)) {
    if (alias.size() > 1) label += fmt::format(", --{}", alias);
  }
  if (!option.is_flag) {
    label += ' ';
    label += option.info.value.empty() ? "VALUE" : option.info.value;
  }
  return label;
}

}  // namespace

void fail_unknown_option(std::span<const Option> options, std::string_view name) {
  std::vector<std::string> known;
  for (const Option& option : options) {
    for (const std::string_view each : names_of(option)) {
      known.push_back((each.size() == 1 && each != option.info.name ? "-" : "--") +
                      std::string(each));
    }
  }
  const std::vector<std::string_view> views(known.begin(), known.end());
  // The whole list would be a page: the nearest names are enough.
  std::string message = unknown_name("option", name, views);
  size_t end = message.find(" Known: ");
  for (int i = 0; i < 5 && end != std::string::npos; ++i) end = message.find(", ", end + 1);
  if (end != std::string::npos) message = message.substr(0, end) + " ...";
  throw Error(message, ErrorKind::Usage);
}

void assign_option(const Option& option, std::string_view name, std::string_view value) {
  if (!option.info.choices.empty()) {
    const auto choices = split_list(option.info.choices);
    if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
      throw Error(fmt::format("{}: {}", name, unknown_name("value", value, choices)),
                  ErrorKind::Usage);
    }
  }
  if (!option.assign(value)) {
    fail_usage("{} takes {}, not '{}'", name, option.kind, printable(value));
  }
}

Given parse_arguments(std::span<const Option> options, std::span<const char* const> arguments,
                      std::vector<std::string>* positional) {
  Given given;
  const Option* list = nullptr;  // the option of the argument before, where it is one
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    const Split split = split_argument(options, argument);
    if (!split.option) {
      if (argument.size() > 1 && argument[0] == '-') fail_unknown_option(options, split.name);
      if (positional != nullptr) {
        positional->emplace_back(argument);
        continue;
      }
      if (list != nullptr) {
        assign_option(*list, "--" + std::string(list->info.name), argument);
        continue;
      }
      fail_usage(
          "unexpected argument '{}'; every value follows an option, and a text of several "
          "words stands in quotes: --prompt \"...\"",
          printable(argument));
    }
    std::optional<std::string_view> value = split.value;
    if (!value && split.option->is_flag) value = "true";
    if (!value) {
      if (i + 1 == arguments.size()) fail_usage("{} needs a value", split.name);
      const std::string_view next = arguments[i + 1];
      if (next.starts_with("--") && split_argument(options, next).option) {
        fail_usage("{} needs a value, and '{}' is an option; if it is meant, write {}={}",
                   split.name, printable(next), split.name, printable(next));
      }
      value = next;
      ++i;
    }
    assign_option(*split.option, split.name, *value);
    given.add(split.option->info.name);
    list = split.option->is_list ? split.option : nullptr;
  }
  return given;
}

std::string help_text(std::span<const Option> options, size_t width) {
  constexpr size_t column = 32;
  std::string text;
  for (const std::string_view group : groups_of(options)) {
    text += fmt::format("\n{}:\n", group);
    for (const Option& option : options) {
      if (option.info.group != group) continue;
      std::string line = "  " + label_of(option);
      for (const std::string& part : wrapped(help_of(option), width - column)) {
        if (line.size() + 2 > column) {
          text += line + "\n";
          line.clear();
        }
        line.resize(column, ' ');
        text += line + part + "\n";
        line.clear();
      }
    }
  }
  return text;
}

}  // namespace easel::cli
