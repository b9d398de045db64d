// easel-train: trains autoencoders, text encoders and latent diffusion models from a YAML config.

#include <chrono>
#include <ctime>
#include <span>
#include <string>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/base/fields.h>
#include <easel/pipeline/open_model.h>
#include <easel/train/run.h>

#include "cli/about.h"
#include "cli/arguments.h"
#include "cli/interrupt.h"
#include "cli/process_rank.h"
#include "cli/program.h"
#include "cli/terminal.h"
#include "cli/train_options.h"

namespace easel::cli {
namespace {

namespace fs = std::filesystem;

constexpr ProgramText kText{
    .name = "easel-train",
    .summary = "train Stable Diffusion models from a YAML config",
    .usage =
        "easel-train --base CONFIG.yaml [key=value ...] [options]\n"
        "easel-train --resume DIR [key=value ...]",
    .description =
        "Trains what the config describes (CompVis's schema): an autoencoder, a text encoder, a "
        "latent\ndiffusion model. Under torchrun, srun or mpirun the processes train together.",
    .examples =
        "easel-train --base configs/shapes/autoencoder.yaml --name first\n"
        "easel-train --base configs/shapes/diffusion.yaml data.params.batch_size=8\n"
        "easel-train --resume logs/2026-11-23T10-00-00_first lightning.trainer.max_steps=20000",
    .notes =
        "The run's folder gets checkpoints/ (last, best), images/, metrics.jsonl and "
        "TensorBoard's\nevent files. Ctrl-C saves and ends; --resume goes on exactly where it "
        "stopped.",
    .takes_files = true};

std::string default_name(const TrainOptions& options, const std::vector<std::string>& bases) {
  if (!options.name.empty()) return options.name;
  return bases.empty() ? std::string() : fs::path(bases.front()).stem().string();
}

fs::path run_folder(const TrainOptions& options, const std::vector<std::string>& bases) {
  if (!options.resume.empty()) return options.resume;
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  const std::string stamp = fmt::format("{:%Y-%m-%dT%H-%M-%S}", local);
  return options.logdir / fmt::format("{}_{}", stamp, default_name(options, bases));
}

bool was_interrupted() {
  try {
    check_interrupted();
    return false;
  } catch (const Error&) {
    return true;
  }
}

int train(const TrainOptions& options, const Given& given, const std::vector<std::string>& words) {
  TrainRequest request;
  std::vector<std::string> bases = options.base;
  for (const std::string& word : words) {
    if (word.find('=') == std::string::npos)
      bases.push_back(word);
    else
      request.overrides.push_back(word);
  }
  if (bases.empty() && options.resume.empty()) {
    fail_usage("nothing to train: give a config with --base, or a run's folder with --resume");
  }
  request.bases.assign(bases.begin(), bases.end());
  request.resume = !options.resume.empty();
  request.folder = run_folder(options, bases);
  // Only what was given: a resumed run has its own.
  if (given.has("seed")) request.overrides.push_back("run.seed=" + field_text(options.seed));
  if (given.has("scale_lr")) {
    request.overrides.push_back("run.scale_lr=" + field_text(options.scale_lr));
  }
  if (given.has("format")) request.overrides.push_back("run.format=" + options.format);
  request.device = options.device;
  request.vocabulary = data_folder() / "clip" / "bpe_simple_vocab_16e6.txt.gz";
  const ProcessPlace place = process_place();
  request.rank = place.rank;
  request.world = place.world;
  request.local_rank = place.local_rank;
  request.master_address = place.master_address;
  request.master_port = place.master_port;
  request.store_is_served = place.store_is_served;

  const LogLevel lowest = options.quiet     ? LogLevel::Warning
                          : options.verbose ? LogLevel::Debug
                                            : LogLevel::Info;
  Terminal terminal(options.quiet ? ProgressStyle::None : progress_style(options.progress), lowest);
  set_threads(options.threads);
  const TrainOutcome outcome = run_training(
      request, {.log = terminal.callback(),
                .on_step =
                    [&](const TrainProgress& at) {
                      terminal.train_step({.step = at.step,
                                           .steps = at.steps,
                                           .loss = at.loss,
                                           .learning_rate = at.learning_rate,
                                           .examples_per_second = at.examples_per_second});
                    },
                .on_encoded =
                    [&](int64_t done, int64_t all) {
                      terminal.count("encoding pictures", done, all);
                      check_interrupted();
                    },
                .stop = was_interrupted});
  terminal.clear_bar();
  if (place.rank == 0) {
    if (outcome.num_bad > 0) {
      terminal.log(LogLevel::Warning,
                   fmt::format("{} pictures could not be read and were left out", outcome.num_bad));
    }
    terminal.log(LogLevel::Info,
                 fmt::format("{} after step {}: {}", outcome.stopped ? "stopped" : "done",
                             outcome.step, outcome.last.string()));
  }
  return outcome.stopped ? 130 : 0;
}

int main_program(std::span<const char* const> arguments) {
  TrainOptions options;
  std::vector<std::string> words;
  const Given given = parse_arguments(options_of(options), arguments, &words);
  TrainOptions defaults;
  if (const auto text = about(kText, options.about, options_of(defaults))) {
    print_stdout(*text);
    return 0;
  }
  return train(options, given, words);
}

}  // namespace
}  // namespace easel::cli

int main(int argc, char** argv) {
  easel::cli::catch_interrupts();
  return easel::cli::run_program("easel-train", [&] {
    return easel::cli::main_program(
        std::span<const char* const>(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0));
  });
}
