// What every program says about itself: its help, its version, its page for man and what shells
// complete, all from one description and the options' own table.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <easel/base/fields.h>

#include "cli/arguments.h"

namespace easel::cli {

struct ProgramText {
  std::string_view name;
  std::string_view summary;        // what it does, in the words that follow "txt2img - "
  std::string_view usage;          // one form a line
  std::string_view description;    // whole sentences, broken into lines
  std::string_view examples;       // one command a line
  std::string_view notes = "";     // as the description
  std::string_view commands = "";  // first words that it takes, comma-separated
  bool takes_files = false;        // arguments without an option are files
};

struct AboutOptions {
  std::string completion;
  bool man_page = false;
  bool version = false;
  bool help = false;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit, std::string_view group) {
    visit(self.completion, FieldInfo{.name = "completion",
                                     .group = group,
                                     .help = "print what this shell completes the program's "
                                             "options by, and end",
                                     .value = "SHELL",
                                     .choices = "bash,zsh,fish",
                                     .setting = false});
    visit(self.man_page, FieldInfo{.name = "man-page",
                                   .group = group,
                                   .help = "print the page for man, and end",
                                   .setting = false});
    visit(self.version, FieldInfo{.name = "version",
                                  .group = group,
                                  .help = "say which version this is, and end",
                                  .setting = false});
    visit(self.help, FieldInfo{.name = "help",
                               .aliases = "h",
                               .group = group,
                               .help = "show this, and end",
                               .setting = false});
  }
};

// What is printed where one of these was asked for; nothing where none was. `options` are those of
// the program with their defaults.
std::optional<std::string> about(const ProgramText& program, const AboutOptions& asked,
                                 std::span<const Option> options);

// "txt2img 0.1.0 (Easel; LibTorch 2.11.0)\n".
std::string version_line(std::string_view name);

std::string help_text(const ProgramText& program, std::span<const Option> options);
// In roff, with the macros of man(7).
std::string man_page(const ProgramText& program, std::span<const Option> options);
// `shell`: bash, zsh or fish.
std::string completion(const ProgramText& program, std::span<const Option> options,
                       std::string_view shell);

}  // namespace easel::cli
