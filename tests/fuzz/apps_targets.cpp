// Command lines, lines of --from-file, and the settings that pictures carry.
#include <array>
#include <string>
#include <vector>

#include "cli/img2img_options.h"
#include "cli/prompt_file.h"
#include "cli/prompt_line.h"
#include "cli/saved_settings.h"
#include "cli/sweep.h"
#include "cli/txt2img_options.h"
#include "tests/fuzz/targets.h"

namespace easel::fuzz {
namespace {

// One argument a line.
template <class Options>
void command_line(std::string_view bytes) {
  const std::vector<std::string> words = cli::split_lines(bytes);
  std::vector<const char*> arguments;
  for (const std::string& word : words) arguments.push_back(word.c_str());
  Options options;
  const cli::Given given = cli::parse_arguments(cli::options_of(options), arguments);
  cli::resolve(options.drawing, given);
}

void prompt_lines(std::string_view bytes) {
  for (const std::string& line : cli::split_lines(bytes)) {
    cli::Txt2ImgOptions options;
    const auto list = cli::options_of(options);
    cli::Given given;
    cli::apply_changes(cli::parse_prompt_line(line, list).changes, list, given);
    cli::resolve(options.drawing, given);
  }
}

void parameters(std::string_view bytes) { cli::parse_parameters(bytes); }

void saved_settings(std::string_view bytes) {
  const MemoryFile file(bytes);
  cli::Txt2ImgOptions options;
  cli::Given given;
  cli::apply_saved_settings(file.path(), cli::options_of(options), given);
}

// One axis a line.
void sheet(std::string_view bytes) {
  cli::Txt2ImgOptions options;
  cli::xy_sweep(cli::split_lines(bytes), "a red cat", cli::options_of(options));
}

constexpr std::array<Target, 6> kTargets = {
    {{"txt2img_arguments", command_line<cli::Txt2ImgOptions>},
     {"img2img_arguments", command_line<cli::Img2ImgOptions>},
     {"prompt_lines", prompt_lines},
     {"parameters", parameters},
     {"saved_settings", saved_settings},
     {"sheet", sheet}}};

}  // namespace

std::span<const Target> targets() { return kTargets; }

}  // namespace easel::fuzz
