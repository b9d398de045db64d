// What bash, zsh and fish complete a program's options by.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <easel/pipeline/sampler_names.h>

#include "cli/about.h"

namespace easel::cli {
namespace {

enum class Values { None, Any, Words, Files, Folders };

std::vector<std::string_view> words_of(const Option& option) {
  if (option.info.name == "sampler") return sampler_names();
  if (option.info.name == "schedule") return schedule_names();
  return split_list(option.info.choices);
}

// By the word that the help has for the value.
Values values_of(const Option& option) {
  if (option.is_flag) return Values::None;
  if (!words_of(option).empty()) return Values::Words;
  const std::string_view value = option.info.value;
  if (value.starts_with("DIR")) return Values::Folders;
  if (value.starts_with("FILE") || value.starts_with("PATH")) return Values::Files;
  return Values::Any;
}

bool is_short(const Option& option, std::string_view name) {
  return name.size() == 1 && name != option.info.name;
}

// As it is typed, with its dashes.
std::vector<std::string> spellings(const Option& option) {
  std::vector<std::string> list;
  for (const std::string_view name : names_of(option)) {
    list.push_back(fmt::format("{}{}", is_short(option, name) ? "-" : "--", name));
  }
  return list;
}

std::string function_name(std::string_view program) {
  std::string name = "_";
  for (const char c : program) name += c == '-' ? '_' : c;
  return name;
}

// Between single quotes of any of the three shells.
std::string quoted(std::string_view text, std::string_view quote_in_quotes) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'')
      result += quote_in_quotes;
    else
      result += c;
  }
  return result + "'";
}

std::string bash(const ProgramText& program, std::span<const Option> options) {
  constexpr std::string_view head = R"(# bash completion of {0}
{1}() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}}
  # bash takes --name=value as three words.
  if [[ $cur == "=" ]]; then
    cur=
  elif [[ $prev == "=" && COMP_CWORD -gt 1 ]]; then
    prev=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  COMPREPLY=()
  case $prev in
)";
  std::string text = fmt::format(head, program.name, function_name(program.name));
  std::vector<std::string> all;
  for (const Option& option : options) {
    const std::vector<std::string> names = spellings(option);
    all.insert(all.end(), names.begin(), names.end());
    const Values values = values_of(option);
    if (values == Values::None) continue;
    text += fmt::format("    {})\n", fmt::join(names, " | "));
    if (values == Values::Words) {
      text += fmt::format("      mapfile -t COMPREPLY < <(compgen -W {} -- \"$cur\")\n",
                          quoted(fmt::format("{}", fmt::join(words_of(option), " ")), "'\\''"));
    } else if (values != Values::Any) {
      text += fmt::format(
          "      compopt -o filenames 2>/dev/null\n"
          "      mapfile -t COMPREPLY < <(compgen -{} -- \"$cur\")\n",
          values == Values::Files ? "f" : "d");
    }
    text += "      return\n      ;;\n";
  }
  text += "  esac\n";
  if (!program.commands.empty()) {
    text += fmt::format(
        "  if ((COMP_CWORD == 1)) && [[ $cur != -* ]]; then\n"
        "    mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\")\n    return\n  fi\n",
        fmt::join(split_list(program.commands), " "));
  }
  if (program.takes_files) {
    text +=
        "  if [[ $cur != -* ]]; then\n    compopt -o filenames 2>/dev/null\n"
        "    mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n    return\n  fi\n";
  }
  text += fmt::format("  mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\")\n}}\n",
                      fmt::join(all, " "));
  return text + fmt::format("complete -F {} {}\n", function_name(program.name), program.name);
}

// Text within an _arguments specification.
std::string zsh_text(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string zsh(const ProgramText& program, std::span<const Option> options) {
  std::string text = fmt::format("#compdef {}\n_arguments -S \\\n", program.name);
  for (const Option& option : options) {
    std::string value;
    switch (values_of(option)) {
      case Values::None:
        break;
      case Values::Any:
        value = ": ";
        break;
      case Values::Words:
        value = fmt::format(":({})", fmt::join(words_of(option), " "));
        break;
      case Values::Files:
        value = ":_files";
        break;
      case Values::Folders:
        value = ":_files -/";
        break;
    }
    if (!value.empty()) {
      value = ":" + zsh_text(option.info.value.empty() ? "VALUE" : option.info.value) + value;
    }
    const std::vector<std::string> names = spellings(option);
    for (const std::string& name : names) {
      // "+" and "=" let the value follow in the same word.
      const std::string_view joined = value.empty() ? "" : name.starts_with("--") ? "=" : "+";
      const std::string others = option.is_list ? "*" : fmt::format("({})", fmt::join(names, " "));
      text += "  " +
              quoted(fmt::format("{}{}{}[{}]{}", others, name, joined, zsh_text(option.info.help),
                                 value),
                     "'\\''") +
              " \\\n";
    }
  }
  if (!program.commands.empty()) {
    text += fmt::format("  '1:command:({})' \\\n", fmt::join(split_list(program.commands), " "));
  }
  return text + (program.takes_files ? "  '*:file:_files'\n" : "  '*: : '\n");
}

std::string fish(const ProgramText& program, std::span<const Option> options) {
  std::string text = fmt::format("# fish completion of {0}\n", program.name);
  if (!program.takes_files) text += fmt::format("complete -c {} -f\n", program.name);
  for (const std::string_view command : split_list(program.commands)) {
    text += fmt::format("complete -c {} -n __fish_use_subcommand -a {}\n", program.name, command);
  }
  for (const Option& option : options) {
    text += fmt::format("complete -c {}", program.name);
    for (const std::string_view name : names_of(option)) {
      text += fmt::format(" -{} {}", is_short(option, name) ? "s" : "l", name);
    }
    switch (values_of(option)) {
      case Values::None:
        break;
      case Values::Any:
        text += " -x";
        break;
      case Values::Words:
        text += fmt::format(" -x -a '{}'", fmt::join(words_of(option), " "));
        break;
      case Values::Files:
        text += " -r -F";
        break;
      case Values::Folders:
        text += " -x -a '(__fish_complete_directories)'";
        break;
    }
    text += fmt::format(" -d {}\n", quoted(option.info.help, "\\'"));
  }
  return text;
}

}  // namespace

std::string completion(const ProgramText& program, std::span<const Option> options,
                       std::string_view shell) {
  if (shell == "bash") return bash(program, options);
  if (shell == "zsh") return zsh(program, options);
  return fish(program, options);
}

}  // namespace easel::cli
