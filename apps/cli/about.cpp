#include "cli/about.h"

#include <algorithm>

#include <fmt/format.h>

#include <easel/pipeline/open_model.h>

#include "cli/program.h"

namespace easel::cli {
namespace {

// Each line of `text` behind `indent`.
std::string indented(std::string_view text, std::string_view indent) {
  std::string result;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    result += fmt::format("{}{}\n", indent, line);
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return result;
}

}  // namespace

std::string version_line(std::string_view name) {
  return fmt::format("{} {} (Easel; LibTorch {})\n", name, version(), libtorch_version());
}

std::string help_text(const ProgramText& program, std::span<const Option> options) {
  std::string text = indented(program.usage, "       ");
  text.replace(0, 6, "Usage:");
  text += fmt::format("{}\n\n{}", program.description, indented(program.examples, "  "));
  if (!program.notes.empty()) text += fmt::format("\n{}\n", program.notes);
  return text + help_text(options);
}

std::optional<std::string> about(const ProgramText& program, const AboutOptions& asked,
                                 std::span<const Option> options) {
  if (asked.help) return help_text(program, options);
  if (asked.version) return version_line(program.name);
  if (asked.man_page) return man_page(program, options);
  if (!asked.completion.empty()) return completion(program, options, asked.completion);
  return std::nullopt;
}

}  // namespace easel::cli
