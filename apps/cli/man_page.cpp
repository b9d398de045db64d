// A program's page for man, in roff.
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/about.h"
#include "cli/program.h"

namespace easel::cli {
namespace {

// Text as roff shows it unchanged: no escapes, no requests at a line's start, hyphens that can be
// copied into a shell.
std::string roff(std::string_view text) {
  std::string result;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\')
      result += "\\e";
    else if (c == '-')
      result += "\\-";
    else
      result += c;
    at_start = c == '\n';
  }
  return result;
}

// The same, its words filled into lines; mandoc asks for short ones.
std::string filled(std::string_view text) {
  std::string words(text);
  std::replace(words.begin(), words.end(), '\n', ' ');
  return roff(fmt::format("{}", fmt::join(wrapped(words, 72), "\n")));
}

std::string bold(std::string_view text) { return fmt::format("\\fB{}\\fR", roff(text)); }

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return result;
}

// Lines that stand as they are.
std::string block(std::string_view text) {
  return fmt::format(".nf\n.RS 2\n{}\n.RE\n.fi\n", roff(text));
}

std::string spellings(const Option& option) {
  std::vector<std::string> names;
  for (const std::string_view name : names_of(option)) {
    const bool is_short = name.size() == 1 && name != option.info.name;
    names.push_back(bold(fmt::format("{}{}", is_short ? "-" : "--", name)));
  }
  std::string text = fmt::format("{}", fmt::join(names, ", "));
  if (!option.is_flag) {
    text +=
        fmt::format(" \\fI{}\\fR", roff(option.info.value.empty() ? "VALUE" : option.info.value));
  }
  return text;
}

std::string paragraph(const Option& option) {
  return fmt::format(".TP\n{}\n{}\n", spellings(option), filled(help_of(option)));
}

constexpr std::string_view kExitStatus =
    ".SH EXIT STATUS\n"
    ".TP\n0\nAll was done.\n"
    ".TP\n1\nSomething could not be done; a line on the standard error says what.\n"
    ".TP\n2\nThe command line cannot be meant; nothing was done.\n"
    ".TP\n130\nInterrupted; what was finished is kept.\n";

}  // namespace

std::string man_page(const ProgramText& program, std::span<const Option> options) {
  std::string text =
      fmt::format(".TH {} 1 \"\" \"Easel {}\" \"Easel\"\n", upper(program.name), version());
  text += fmt::format(".SH NAME\n{} \\- {}\n", roff(program.name), filled(program.summary));
  text += fmt::format(".SH SYNOPSIS\n.nf\n{}\n.fi\n", roff(program.usage));
  text += fmt::format(".SH DESCRIPTION\n{}\n", filled(program.description));
  if (!program.notes.empty()) {
    text += fmt::format(".PP\n{}\n", filled(program.notes));
  }
  text += fmt::format(".SH EXAMPLES\n{}", block(program.examples));
  text += ".SH OPTIONS\n";
  for (const std::string_view group : groups_of(options)) {
    text += fmt::format(".SS {}\n", roff(group));
    for (const Option& option : options) {
      if (option.info.group == group) text += paragraph(option);
    }
  }
  return text + std::string(kExitStatus);
}

}  // namespace easel::cli
