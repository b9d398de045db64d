#include "cli/drawing_program.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <easel/base/error.h>

#include "cli/drawing_request.h"
#include "cli/find_model.h"
#include "cli/job_run.h"
#include "cli/jobs.h"
#include "cli/model_defaults.h"
#include "cli/picture_output.h"
#include "cli/saved_settings.h"
#include "cli/share.h"
#include "cli/shared_folder.h"
#include "cli/terminal.h"

namespace easel::cli {
namespace {

using Clock = std::chrono::steady_clock;

ProgressStyle style_of(const MessageOptions& options, const Given& given) {
  if (options.quiet && !given.has("progress")) return ProgressStyle::None;
  return progress_style(options.progress);
}

LogLevel lowest_level(const MessageOptions& options) {
  if (options.quiet) return LogLevel::Warning;
  return options.verbose ? LogLevel::Debug : LogLevel::Info;
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
          .prediction = options.model.prediction,
          .device = options.device.device,
          .dtype = options.device.dtype,
          .log = log};
}

std::shared_ptr<const StableDiffusion> open(const ModelRequest& request, const Log& log) {
  const auto start = Clock::now();
  auto opened = open_model(request);
  const std::chrono::duration<double> loading = Clock::now() - start;
  say(log, LogLevel::Debug, fmt::format("loading: {:.3f} s", loading.count()));
  return opened;
}

void report_memory(const StableDiffusion& model, Terminal& terminal) {
  std::string text = fmt::format("peak memory: {} MiB", peak_memory() >> 20);
  if (const int64_t device = peak_device_memory(model); device > 0) {
    text += fmt::format(", on the GPU {} MiB", device >> 20);
  }
  terminal.log(LogLevel::Debug, text);
}

// The picture whose settings are to be taken; may be none.
const std::filesystem::path& saved_in(const DrawingOptions& options) {
  return options.output.verify.empty() ? options.prompt.from_image : options.output.verify;
}

// Takes over what a picture was made with. Returns its model's name.
std::string take_saved_settings(const DrawingProgram& program, Terminal& terminal) {
  const std::filesystem::path& path = saved_in(program.options);
  if (path.empty()) return {};
  const SavedSettings saved = apply_saved_settings(path, program.list, program.given);
  if (!saved.left_out.empty()) {
    terminal.log(LogLevel::Warning, fmt::format("{} was made with what is not taken over: {}",
                                                path.string(), fmt::join(saved.left_out, ", ")));
  }
  return saved.model;
}

// A1111 and stable-diffusion.cpp differ in whether the name has its extension.
void warn_of_other_model(const std::string& saved, const std::string& own, Terminal& terminal) {
  const auto stem = [](const std::string& name) {
    return std::filesystem::path(name).filename().stem().string();
  };
  if (saved.empty() || saved == own || stem(saved) == own || saved == stem(own)) return;
  terminal.log(LogLevel::Warning, fmt::format("the picture was made with the model '{}', and this "
                                              "is '{}'",
                                              printable(saved, 60), own));
}

}  // namespace

PictureSettings settle(const DrawingProgram& program) {
  resolve(program.options, program.given);
  PictureSettings settings = picture_settings(program.options);
  if (program.settle) program.settle(settings);
  return settings;
}

int draw(const DrawingProgram& program) {
  const DrawingOptions& options = program.options;
  Terminal terminal(style_of(options.messages, program.given), lowest_level(options.messages));
  const std::string made_with = take_saved_settings(program, terminal);
  const PictureSettings settings = settle(program);

  const Share share = read_share(options.share);
  if (share.alone()) {
    const std::string notice = unshared_notice();
    if (!notice.empty()) terminal.log(LogLevel::Info, notice);
  } else {
    program.options.device.device = shared_device(options.device.device);
  }
  check_device(options.device.device, options.device.dtype);
  set_threads(options.device.threads);
  keep_freed_memory();
  use_exact_float32();
  check(settings);
  const std::filesystem::path data = data_folder();
  const std::filesystem::path model_path =
      find_model(options.model.ckpt.empty() ? options.model.model : options.model.ckpt, data);
  const std::filesystem::path config = find_config(options.model.config, data);
  apply_model_use(model_use(model_request(options, model_path, config, data, terminal.callback())),
                  program.defaults, program.given);
  apply_model_defaults(model_path, config, program.defaults, program.given);
  settle(program);
  std::optional<Sweep> sweep = read_sweep(options, program.list, program.given);
  std::optional<SheetWords> words;
  if (sweep) words = {.columns = sweep->columns, .rows = sweep->rows};
  JobRun run(program,
             make_jobs(sweep ? sweep->cells : read_lines(options, program.list),
                       options.prompt.prompt, options.batch.n_samples, options.batch.n_iter),
             std::move(words), share, terminal);
  run.check_jobs();
  const ModelRequest wanted = model_request(options, model_path, config, data, terminal.callback());
  if (options.prompt.explain) return run.explain(wanted);
  const bool to_folder = options.output.file.empty() && options.output.verify.empty();
  if (share.alone() && to_folder) check_not_shared(options.output.outdir);
  prepare_output(options.output);

  if (!options.output.safety_checker.empty()) {
    run.withhold(open_safety_checker(options.output.safety_checker, options.device.device));
  }
  const auto model = open(wanted, terminal.callback());
  warn_of_other_model(made_with, summarize(*model).name, terminal);
  const int code = run.draw(*model);
  report_memory(*model, terminal);
  return code;
}

}  // namespace easel::cli
