#include "cli/drawing_program.h"

#include <chrono>
#include <set>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <sys/resource.h>

#include <easel/base/error.h>
#include <easel/pipeline/explain_prompt.h>

#include "cli/drawing_request.h"
#include "cli/find_model.h"
#include "cli/model_defaults.h"
#include "cli/picture_output.h"
#include "cli/program.h"
#include "cli/terminal.h"

namespace easel::cli {
namespace {

using Clock = std::chrono::steady_clock;

void check_model(const ModelSummary& model, const BatchOptions& options, const Given& given) {
  const auto check = [&](std::string_view name, int64_t asked, int64_t own) {
    if (given.has(name) && asked != own) {
      fail_usage("--{} {} does not fit the model {}, which has {}", name, asked, model.name, own);
    }
  };
  check("C", options.latent_channels, model.latent_channels);
  check("f", options.downsampling, model.downsampling);
}

ProgressStyle style_of(const MessageOptions& options, const Given& given) {
  if (options.quiet && !given.has("progress")) return ProgressStyle::None;
  return progress_style(options.progress);
}

LogLevel lowest_level(const MessageOptions& options) {
  if (options.quiet) return LogLevel::Warning;
  return options.verbose ? LogLevel::Debug : LogLevel::Info;
}

PictureSettings settle(const DrawingProgram& program) {
  resolve(program.options, program.given);
  PictureSettings settings = picture_settings(program.options);
  if (program.settle) program.settle(settings);
  return settings;
}

ModelRequest model_request(const DrawingOptions& options, const std::filesystem::path& model,
                           const std::filesystem::path& config, const std::filesystem::path& data,
                           const Log& log) {
  const auto& embeddings = options.prompt.embeddings;
  return {.model = model,
          .config = config,
          .default_config = data / "configs" / "stable-diffusion" / "v1-inference.yaml",
          .vocabulary = data / "clip" / "bpe_simple_vocab_16e6.txt.gz",
          .vae = options.model.vae,
          .embeddings = {embeddings.begin(), embeddings.end()},
          .use_ema = options.model.use_ema,
          .device = options.device.device,
          .dtype = options.device.dtype,
          .log = log};
}

// Each prompt once.
void explain(const ModelRequest& model, const RunRequest& request) {
  std::set<std::string> prompts;
  for (const std::vector<std::string>& batch : request.batches) {
    for (const std::string& prompt : batch) {
      if (prompts.insert(prompt).second) {
        print_stdout(explain_prompt(model, prompt, request.settings));
      }
    }
  }
}

std::shared_ptr<const StableDiffusion> open(const ModelRequest& request, const Log& log) {
  const auto start = Clock::now();
  auto opened = open_model(request);
  const std::chrono::duration<double> loading = Clock::now() - start;
  say(log, LogLevel::Debug, fmt::format("loading: {:.3f} s", loading.count()));
  return opened;
}

void report_start(const RunRequest& request, const ModelSummary& model, Terminal& terminal) {
  const PictureSettings& settings = request.settings;
  terminal.log(LogLevel::Info,
               fmt::format("{} on {} in {}; {}, {} steps, {}x{}, seed {}", model.name, model.device,
                           model.dtype, resolved_sampler(settings).sampler, settings.steps,
                           settings.width, settings.height, request.seed));
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

}  // namespace

int draw(const DrawingProgram& program) {
  const DrawingOptions& options = program.options;
  PictureSettings settings = settle(program);
  Terminal terminal(style_of(options.messages, program.given), lowest_level(options.messages));

  check_device(options.device.device, options.device.dtype);
  set_threads(options.device.threads);
  use_exact_float32();
  check(settings);
  const std::filesystem::path data = data_folder();
  const FoundModel found =
      find_model(options.model.ckpt.empty() ? options.model.model : options.model.ckpt, data);
  apply_model_defaults(found.path, program.defaults, program.given);
  settings = settle(program);
  const PromptFile prompts = read_prompts(options);
  RunRequest request = make_request(options, std::move(settings), prompts.prompts);
  check(request);
  const std::filesystem::path config = find_config(options.model.config, data);
  for (const std::string& error : prompts.errors) terminal.log(LogLevel::Warning, error);
  const ModelRequest wanted = model_request(options, found.path, config, data, terminal.callback());
  if (options.prompt.explain) {
    explain(wanted, request);
    return prompts.errors.empty() ? 0 : 1;
  }
  prepare_output(options.output);

  const auto model = open(wanted, terminal.callback());
  const ModelSummary summary = summarize(*model);
  check_model(summary, options.batch, program.given);
  if (program.complete) program.complete(request, summary);
  report_start(request, summary, terminal);
  if (!found.notice.empty()) terminal.log(LogLevel::Warning, found.notice);

  MadeWith made;
  made.program = program.name;
  made.drawing = options;
  made.settings = request.settings;
  made.loras = request.loras;
  made.model = summary;
  made.prompt = options.prompt.prompt;
  made.seed = request.seed;
  if (program.describe) program.describe(made);
  PictureOutput output(std::move(made), terminal);
  run_pictures(*model, request,
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

std::string version_line(std::string_view name) {
  return fmt::format("{} {} (Easel; LibTorch {})\n", name, version(), libtorch_version());
}

}  // namespace easel::cli
