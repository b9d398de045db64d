// txt2img: pictures from prompts, on CompVis's command line and beyond it.

#include <chrono>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include <fmt/format.h>
#include <sys/resource.h>

#include <easel/base/error.h>
#include <easel/pipeline/run.h>

#include "cli/find_model.h"
#include "cli/interrupt.h"
#include "cli/model_defaults.h"
#include "cli/picture_output.h"
#include "cli/program.h"
#include "cli/terminal.h"
#include "cli/txt2img_options.h"
#include "cli/txt2img_request.h"

namespace easel::cli {
namespace {

constexpr std::string_view kHelp =
    "Usage: txt2img --prompt TEXT [options]\n"
    "Draws pictures of a text with a Stable Diffusion v1 model.\n\n"
    "  txt2img --prompt \"a lighthouse in a storm\" -o lighthouse.png\n"
    "  txt2img --ckpt sd-v1-4.ckpt --prompt \"a lighthouse\" --plms --n_samples 4 --n_iter 1\n";

void check_model(const ModelSummary& model, const Txt2ImgOptions& options, const Given& given) {
  const auto check = [&](std::string_view name, int64_t asked, int64_t own) {
    if (given.has(name) && asked != own) {
      fail_usage("--{} {} does not fit the model {}, which has {}", name, asked, model.name, own);
    }
  };
  check("C", options.latent_channels, model.latent_channels);
  check("f", options.downsampling, model.downsampling);
}

void report_memory(const StableDiffusion& model, Terminal& terminal) {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  std::string text = fmt::format("peak memory: {} MiB", usage.ru_maxrss / 1024);
  if (const int64_t device = peak_device_memory(model); device > 0) {
    text += fmt::format(", on the GPU {} MiB", device >> 20);
  }
  terminal.log(LogLevel::Debug, text);
}

int draw(Txt2ImgOptions& options, std::span<const Option> list, const Given& given) {
  resolve(options, given);
  const LogLevel lowest = options.quiet     ? LogLevel::Warning
                          : options.verbose ? LogLevel::Debug
                                            : LogLevel::Info;
  const bool silent = options.quiet && !given.has("progress");
  Terminal terminal(silent ? ProgressStyle::None : progress_style(options.progress), lowest);

  check_device(options.device, options.dtype);
  set_threads(options.threads);
  keep_freed_memory();
  use_exact_float32();
  check(picture_settings(options));
  const std::filesystem::path data = data_folder();
  const FoundModel found = find_model(options.ckpt.empty() ? options.model : options.ckpt, data);
  apply_model_defaults(found.path, list, given);
  resolve(options, given);
  const PromptFile prompts = read_prompts(options);
  const RunRequest request = make_request(options, prompts.prompts);
  check(request);
  const std::filesystem::path config = find_config(options.config, data);
  prepare_output(options);
  for (const std::string& error : prompts.errors) terminal.log(LogLevel::Warning, error);

  const auto start = std::chrono::steady_clock::now();
  const auto model =
      open_model({.model = found.path,
                  .config = config,
                  .default_config = data / "configs" / "stable-diffusion" / "v1-inference.yaml",
                  .vocabulary = data / "clip" / "bpe_simple_vocab_16e6.txt.gz",
                  .vae = options.vae,
                  .use_ema = options.use_ema,
                  .device = options.device,
                  .dtype = options.dtype,
                  .log = terminal.callback()});
  const std::chrono::duration<double> loading = std::chrono::steady_clock::now() - start;
  const ModelSummary summary = summarize(*model);
  check_model(summary, options, given);
  const SamplerNames names = resolved_sampler(request.settings);
  terminal.log(LogLevel::Debug, fmt::format("loading: {:.3f} s", loading.count()));
  terminal.log(LogLevel::Info,
               fmt::format("{} on {} in {}; {}, {} steps, {}x{}, seed {}", summary.name,
                           summary.device, summary.dtype, names.sampler, options.steps,
                           options.width, options.height, options.seed));
  if (!found.notice.empty()) terminal.log(LogLevel::Warning, found.notice);

  PictureOutput output({.options = options,
                        .settings = request.settings,
                        .model = summary,
                        .prompt = options.prompt,
                        .seed = request.seed},
                       terminal);
  run_txt2img(*model, request,
              {.log = terminal.callback(),
               .on_step =
                   [&](const RunStep& at) {
                     terminal.step(at.batch, at.batches, at.step, at.steps);
                     check_interrupted();
                     output.check();
                   },
               .on_picture = [&](RunPicture&& picture) { output.add(std::move(picture)); }});
  output.finish();
  report_memory(*model, terminal);
  return prompts.errors.empty() ? 0 : 1;
}

int main_program(std::span<const char* const> arguments) {
  Txt2ImgOptions options;
  const std::vector<Option> list = options_of(options);
  const Given given = parse_arguments(list, arguments);
  Txt2ImgOptions defaults;
  if (options.help) {
    print_stdout(std::string(kHelp) + help_text(options_of(defaults)));
  } else if (options.version) {
    print_stdout(fmt::format("txt2img {} (Easel; LibTorch {})\n", version(), libtorch_version()));
  } else if (options.list_samplers) {
    print_stdout(sampler_table());
  } else {
    return draw(options, list, given);
  }
  return 0;
}

}  // namespace
}  // namespace easel::cli

int main(int argc, char** argv) {
  easel::cli::catch_interrupts();
  return easel::cli::run_program("txt2img", [&] {
    return easel::cli::main_program(
        std::span<const char* const>(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0));
  });
}
