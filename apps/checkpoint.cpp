// easel-checkpoint: looks into checkpoints, checks, converts, merges and fetches them.

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/checkpoint/convert.h>
#include <easel/checkpoint/inspect.h>
#include <easel/checkpoint/lora_choice.h>
#include <easel/checkpoint/merge.h>

#include "cli/about.h"
#include "cli/arguments.h"
#include "cli/fetch_command.h"
#include "cli/find_model.h"
#include "cli/program.h"

namespace easel::cli {
namespace {

namespace fs = std::filesystem;

constexpr ProgramText kText{
    .name = "easel-checkpoint",
    .summary = "look into Stable Diffusion checkpoints, check, convert, merge and fetch them",
    .usage =
        "easel-checkpoint inspect FILE [--json]\n"
        "easel-checkpoint verify FILE\n"
        "easel-checkpoint convert IN OUT [--layout LAYOUT] [--dtype TYPE] [--ema] [--force]\n"
        "easel-checkpoint merge A B [C] OUT [--weight W] [--block-weights N,N,...] [--dtype "
        "TYPE]\n"
        "easel-checkpoint fetch OWNER/NAME [FILE] [--revision REVISION] [--variant fp16]",
    .description =
        "Looks into checkpoints (.ckpt, .safetensors, diffusers folders), checks, converts and "
        "merges\nthem, and fetches them from the Hugging Face hub into its cache, where --model "
        "OWNER/NAME finds them.",
    .examples =
        "easel-checkpoint fetch CompVis/stable-diffusion-v1-4\n"
        "easel-checkpoint inspect sd-v1-4.ckpt\n"
        "easel-checkpoint convert sd-v1-4.ckpt sd-v1-4.safetensors --dtype float16\n"
        "easel-checkpoint convert sd-v1-4.ckpt sd-v1-4-diffusers/\n"
        "easel-checkpoint merge a.ckpt b.safetensors both.safetensors --weight 0.3\n"
        "easel-checkpoint merge inpainting.ckpt mine.ckpt sd-v1-5.ckpt mine-inpainting.safetensors "
        "\\\n    --weight 1",
    .commands = "inspect,verify,convert,merge,fetch",
    .takes_files = true};

struct CheckpointOptions {
  bool json = false;
  bool no_hashes = false;
  std::string layout;
  std::string dtype;
  bool ema = false;
  bool force = false;
  double weight = 0.5;
  std::string block_weights;
  fs::path config;
  std::string revision = "main";
  std::string variant;
  std::string progress = "auto";
  AboutOptions about{};

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit(self.json, FieldInfo{.name = "json", .group = "inspect", .help = "One JSON object."});
    visit(self.no_hashes, FieldInfo{.name = "no-hashes",
                                    .group = "inspect",
                                    .help = "Leave SHA-256 out, which reads the whole file."});
    visit(self.layout,
          FieldInfo{.name = "layout",
                    .group = "convert, merge",
                    .help = "Names of the weights: the input's own if not given; from a "
                            "folder to a file compvis.",
                    .value = "LAYOUT",
                    .choices = "compvis,diffusers"});
    visit(self.dtype, FieldInfo{.name = "dtype",
                                .group = "convert, merge",
                                .help = "Number type of the weights: as stored if not given.",
                                .value = "TYPE",
                                .choices = "float32,float16,bfloat16"});
    visit(self.ema, FieldInfo{.name = "ema",
                              .group = "convert, merge",
                              .help = "Take the averaged weights (model_ema.*) for the UNet."});
    visit(self.force,
          FieldInfo{
              .name = "force", .group = "convert, merge", .help = "Replace what is there at OUT."});
    visit(self.weight,
          FieldInfo{.name = "weight",
                    .aliases = "ratio,multiplier",
                    .group = "merge",
                    .help = "W: of two models (1 - W) A + W B, of three A + W (B - C).",
                    .value = "W"});
    visit(self.block_weights,
          FieldInfo{.name = "block-weights",
                    .group = "merge",
                    .help = "W for each block of the UNet: 12 input blocks, the middle one, 12 "
                            "output blocks (Stable Diffusion 1 and 2); 26 numbers: with one in "
                            "front for text encoder and autoencoder.",
                    .value = "N,N,..."});
    visit(self.config,
          FieldInfo{.name = "config",
                    .group = "verify, convert, merge",
                    .help = "The model's config in CompVis's schema; a .yaml beside the "
                            "file with its name, else by what the file holds, if not given.",
                    .value = "FILE"});
    visit(self.revision, FieldInfo{.name = "revision",
                                   .group = "fetch",
                                   .help = "A branch, a tag or a commit.",
                                   .value = "REVISION"});
    visit(self.variant,
          FieldInfo{.name = "variant",
                    .group = "fetch",
                    .help = "Which weights of a diffusers folder: the plain ones if not given.",
                    .value = "VARIANT",
                    .choices = "fp16"});
    visit(self.progress, FieldInfo{.name = "progress",
                                   .group = "fetch",
                                   .help = "How to show it on the standard error.",
                                   .value = "STYLE",
                                   .choices = "auto,bar,lines,json,none"});
    AboutOptions::fields(self.about, visit, "anywhere");
  }
};

ConvertOptions convert_options(const CheckpointOptions& options) {
  const fs::path data = data_folder();
  ConvertOptions convert;
  if (!options.layout.empty()) convert.layout = layout_from_name(options.layout);
  if (!options.dtype.empty()) {
    convert.dtype = dtype_from_name(options.dtype);
    if (!convert.dtype) fail_usage("unknown dtype '{}'", printable(options.dtype));
  }
  convert.use_ema = options.ema;
  convert.if_exists = options.force ? IfExists::Replace : IfExists::Refuse;
  convert.config = find_config(options.config, data);
  convert.default_config = data / "configs" / "stable-diffusion" / "v1-inference.yaml";
  convert.vocabulary = data / "clip" / "bpe_simple_vocab_16e6.txt.gz";
  convert.log = [](LogLevel level, std::string_view line) {
    if (level == LogLevel::Warning) fmt::print(stderr, "easel-checkpoint: {}\n", line);
  };
  return convert;
}

int run(const std::vector<std::string>& words, const CheckpointOptions& options) {
  const std::string command = words.empty() ? "" : words[0];
  const std::vector<std::string_view> commands = split_list(kText.commands);
  if (std::find(commands.begin(), commands.end(), command) == commands.end()) {
    fail_usage("{}; --help says more",
               command.empty() ? "expected a command: inspect, verify, convert, merge, fetch"
                               : unknown_name("command", command, commands));
  }
  if (command == "fetch") {
    if (words.size() != 2 && words.size() != 3) {
      fail_usage("fetch takes OWNER/NAME and perhaps one FILE; got {}", words.size() - 1);
    }
    fetch({.repo = words[1],
           .revision = options.revision,
           .file = words.size() == 3 ? words[2] : std::string(),
           .variant = options.variant},
          options.progress);
    return 0;
  }
  if (command == "merge") {
    if (words.size() != 4 && words.size() != 5) {
      fail_usage("merge takes A B OUT or A B C OUT; got {} names", words.size() - 1);
    }
    merge(words.back(), {.models = {words.begin() + 1, words.end() - 1},
                         .weight = options.weight,
                         .block_weights = parse_block_weights(options.block_weights),
                         .write = convert_options(options)});
    return 0;
  }
  const size_t expected = command == "convert" ? 3 : 2;
  if (words.size() != expected) {
    fail_usage("{} takes {}; got {}", command, expected == 3 ? "IN and OUT" : "one FILE",
               words.size() - 1);
  }
  if (command == "inspect") {
    const CheckpointSummary summary = inspect(words[1], {.hashes = !options.no_hashes});
    print_stdout(options.json ? summary_json(summary) : summary_text(summary));
  } else if (command == "verify") {
    const VerifyResult result = verify(words[1], convert_options(options));
    print_stdout(fmt::format("{}: {} tensors, {} parameters, all finite{}\n", words[1],
                             result.num_tensors, result.num_parameters,
                             result.fits_config ? "; a whole model that fits its config"
                                                : "; no whole Stable Diffusion v1 model"));
  } else {
    convert(words[1], words[2], convert_options(options));
  }
  return 0;
}

int main_program(std::span<const char* const> arguments) {
  CheckpointOptions options;
  const std::vector<Option> list = options_of(options);
  std::vector<std::string> words;
  parse_arguments(list, arguments, &words);
  CheckpointOptions defaults;
  if (const auto text = about(kText, options.about, options_of(defaults))) {
    print_stdout(*text);
    return 0;
  }
  return run(words, options);
}

}  // namespace
}  // namespace easel::cli

int main(int argc, char** argv) {
  return easel::cli::run_program("easel-checkpoint", [&] {
    return easel::cli::main_program(
        std::span<const char* const>(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0));
  });
}
