// easel-train's options, CompVis's main.py's with their spellings and defaults.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <easel/base/fields.h>

#include "cli/about.h"

namespace easel::cli {

struct TrainOptions {
  std::vector<std::string> base;
  std::filesystem::path resume;
  std::string name;
  std::filesystem::path logdir = "logs";
  int64_t seed = 23;
  bool scale_lr = true;
  std::string device = "auto";
  int64_t threads = 0;
  std::string format = "safetensors";
  std::string progress = "auto";
  bool quiet = false;
  bool verbose = false;
  AboutOptions about{};

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view run = "The run";
    visit(self.base, FieldInfo{.name = "base",
                               .aliases = "b",
                               .group = run,
                               .help = "a config (YAML); several are merged from left to right",
                               .value = "FILE"});
    visit(self.resume, FieldInfo{.name = "resume",
                                 .aliases = "r",
                                 .group = run,
                                 .help = "the folder of a run to go on with",
                                 .value = "DIR"});
    visit(self.name, FieldInfo{.name = "name",
                               .aliases = "n",
                               .group = run,
                               .help = "the run's name; the config's own if not given",
                               .value = "NAME"});
    visit(self.logdir, FieldInfo{.name = "logdir",
                                 .aliases = "l",
                                 .group = run,
                                 .help = "where the run's folder, DATE_NAME, is made",
                                 .value = "DIR"});
    visit(self.seed, FieldInfo{.name = "seed",
                               .aliases = "s",
                               .group = run,
                               .help = "of fresh weights, noise and the order of the pictures",
                               .value = "N"});
    visit(self.scale_lr,
          FieldInfo{.name = "scale_lr",
                    .group = run,
                    .help = "learning rate = processes * batch_size * accumulate_grad_batches * "
                            "base_learning_rate; false: base_learning_rate"});
    visit(self.format, FieldInfo{.name = "format",
                                 .group = run,
                                 .help = "of the saved models",
                                 .value = "FORMAT",
                                 .choices = "safetensors,ckpt"});
    constexpr std::string_view device = "Device";
    visit(self.device, FieldInfo{.name = "device",
                                 .group = device,
                                 .help = "auto, cpu, cuda or cuda:N; auto is a GPU if there is one",
                                 .value = "DEVICE"});
    visit(self.threads, FieldInfo{.name = "threads",
                                  .group = device,
                                  .help = "CPU threads; 0 is one a core",
                                  .value = "N"});
    constexpr std::string_view messages = "Messages (on the standard error)";
    visit(self.progress, FieldInfo{.name = "progress",
                                   .group = messages,
                                   .help = "auto is a bar on a terminal, else lines",
                                   .value = "HOW",
                                   .choices = "auto,bar,lines,json,none"});
    visit(self.quiet, FieldInfo{.name = "quiet",
                                .aliases = "q",
                                .group = messages,
                                .help = "warnings and errors only"});
    visit(self.verbose, FieldInfo{.name = "verbose",
                                  .aliases = "v",
                                  .group = messages,
                                  .help = "more of what is going on"});
    AboutOptions::fields(self.about, visit, messages);
  }
};

}  // namespace easel::cli
