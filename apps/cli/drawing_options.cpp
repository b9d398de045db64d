#include "cli/drawing_options.h"

#include <array>
#include <random>

#include <unistd.h>

#include <easel/base/error.h>
#include <easel/base/utf8.h>

#include "cli/share.h"

namespace easel::cli {
namespace {

void resolve_sampler(DrawingOptions& options, const Given& given) {
  const auto take = [&](bool flag, std::string_view name) {
    if (!flag) return;
    if (given.has("sampler") && options.sampling.sampler != name) {
      fail_usage("--{} asks for another sampler than --sampler {}: choose one", name,
                 options.sampling.sampler);
    }
    options.sampling.sampler = name;
  };
  if (options.sampling.plms && options.sampling.dpm_solver) {
    fail_usage("--plms and --dpm_solver are two samplers: choose one");
  }
  take(options.sampling.plms, "plms");
  take(options.sampling.dpm_solver, "dpm_solver");
}

void resolve_dtype(DrawingOptions& options) {
  if (options.device.precision != "full") return;
  if (options.device.dtype != "auto" && options.device.dtype != "float32") {
    fail_usage("--precision full is float32, which contradicts --dtype {}", options.device.dtype);
  }
  options.device.dtype = "float32";
}

void resolve_output(DrawingOptions& options, const Given& given) {
  const OutputOptions& output = options.output;
  if (!output.verify.empty()) {
    if (!output.file.empty()) fail_usage("--verify writes nothing, so -o has no meaning with it");
    options.output.skip_save = options.output.skip_grid = true;
  }
  if (output.resume && (!output.file.empty() || output.skip_save || !output.save_latents.empty())) {
    fail_usage("--resume goes on with the pictures of a folder, so {} has no meaning with it",
               output.skip_save       ? "--skip_save"
               : !output.file.empty() ? "-o"
                                      : "--save-latents");
  }
  if (options.output.file.empty()) {
    if (given.has("output")) fail_usage("-o needs the name of a file, or '-'");
    return;
  }
  for (const std::string_view other : {"outdir", "skip_save", "n_rows"}) {
    if (given.has(other))
      fail_usage("-o names the one file to write, so --{} has no meaning", other);
  }
  options.output.skip_grid = true;
  if (!given.has("n_samples")) options.batch.n_samples = 1;
  if (!given.has("n_iter")) options.batch.n_iter = 1;
  if (options.output.file == "-") {
    if (::isatty(STDOUT_FILENO)) {
      fail_usage(
          "-o - writes the picture to the standard output, which is a terminal: send it to a "
          "file or a program");
    }
    return;
  }
  const std::string extension = std::filesystem::path(options.output.file).extension().string();
  if (extension != ".png" && extension != ".jpg" && extension != ".jpeg") {
    fail_usage("-o {}: the name ends in .png, .jpg or .jpeg", printable(options.output.file));
  }
}

void check_count(std::string_view name, int64_t count, int64_t lowest) {
  constexpr int64_t highest = 100000;
  if (count < lowest || count > highest) {
    fail_usage("--{} is {}; it is {} to {}", name, count, lowest, highest);
  }
}

void check_text(std::string_view name, const std::string& text) {
  if (!is_valid_utf8(text)) fail_usage("--{} is not UTF-8: '{}'", name, printable(text));
}

}  // namespace

void resolve(DrawingOptions& options, const Given& given) {
  if (options.model.laion400m) {
    fail_usage(
        "--laion400m: that model, with its BERT text encoder, is not supported; use a Stable "
        "Diffusion v1 checkpoint with --ckpt");
  }
  if (options.messages.quiet && options.messages.verbose)
    fail_usage("--quiet and --verbose contradict each other");
  if (given.has("ckpt") && given.has("model")) fail_usage("--ckpt and --model both name the model");
  check_text("prompt", options.prompt.prompt);
  check_text("negative-prompt", options.prompt.negative_prompt);
  if (options.batch.tiling_axes != "xy" && !options.batch.tiling) {
    fail_usage("--tiling-axes needs --tiling");
  }
  resolve_sampler(options, given);
  resolve_dtype(options);
  check_shareable(options);
  resolve_output(options, given);
  check_count("n_samples", options.batch.n_samples, 1);
  check_count("n_iter", options.batch.n_iter, 1);
  check_count("n_rows", options.output.n_rows, 0);
  check_count("preview", options.output.preview, 0);
  if (options.noise.seed < -1) {
    fail_usage("--seed is {}; it is a number from 0 up, or -1 for one drawn by the system",
               options.noise.seed);
  }
  if (options.noise.seed == -1) options.noise.seed = std::random_device()();
}

}  // namespace easel::cli
