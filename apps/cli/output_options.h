// Options: how many pictures, where they go, and what is said meanwhile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include <easel/base/fields.h>

#include "cli/about.h"

namespace easel::cli {

// How many pictures, and of what kind.
struct BatchOptions {
  static constexpr std::string_view kGroup = "Pictures";

  int64_t latent_channels = 4;
  int64_t downsampling = 8;
  int64_t n_samples = 1;
  int64_t n_iter = 1;
  std::string pixel_rounding = "truncate";
  std::string watermark{};
  bool tiling = false;
  std::string tiling_axes = "xy";

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view group = kGroup;
    visit(self.latent_channels, FieldInfo{.name = "C",
                                          .group = group,
                                          .help = "latent channels; must be the model's",
                                          .value = "N",
                                          .setting = false});
    visit(self.downsampling,
          FieldInfo{.name = "f",
                    .group = group,
                    .help = "pixels per latent along a side; must be the model's",
                    .value = "N",
                    .setting = false});
    visit(self.n_samples, FieldInfo{.name = "n_samples",
                                    .group = group,
                                    .help = "pictures drawn at once, the batch (1 with -o)",
                                    .value = "N"});
    visit(self.n_iter, FieldInfo{.name = "n_iter",
                                 .group = group,
                                 .help = "how often it is all drawn (1 with -o)",
                                 .value = "N"});
    visit(self.pixel_rounding,
          FieldInfo{.name = "pixel-rounding",
                    .group = group,
                    .help = "how values become bytes, as CompVis and as diffusers does it",
                    .value = "HOW",
                    .choices = "truncate,nearest"});
    visit(self.watermark,
          FieldInfo{.name = "watermark",
                    .group = group,
                    .help = "hide TEXT in the pictures, where the package invisible-watermark "
                            "finds it; CompVis's is StableDiffusionV1",
                    .value = "TEXT"});
    visit(self.tiling,
          FieldInfo{.name = "tiling",
                    .group = group,
                    .help = "pictures that go on at their opposite edges: laid side by "
                            "side they show no seam"});
    visit(self.tiling_axes, FieldInfo{.name = "tiling-axes",
                                      .group = group,
                                      .help = "the directions of --tiling",
                                      .value = "AXES",
                                      .choices = "xy,x,y"});
  }
};

// Where pictures go.
struct OutputOptions {
  std::filesystem::path outdir;
  std::string file{};
  bool skip_save = false;
  bool skip_grid = false;
  int64_t n_rows = 0;
  std::filesystem::path save_latents{};
  bool no_metadata = false;
  bool overwrite = false;
  int64_t preview = 0;
  std::filesystem::path verify{};
  std::filesystem::path safety_checker{};
  bool resume = false;
  bool continue_on_error = true;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view group = "Output";
    visit(self.outdir, FieldInfo{.name = "outdir",
                                 .group = group,
                                 .help = "pictures go to DIR/samples, grids to DIR",
                                 .value = "DIR",
                                 .setting = false});
    visit(self.file, FieldInfo{.name = "output",
                               .aliases = "o",
                               .group = group,
                               .help = "the one picture goes to FILE, .png or .jpg; '-' is the "
                                       "standard output",
                               .value = "FILE",
                               .setting = false});
    visit(self.skip_save, FieldInfo{.name = "skip_save",
                                    .group = group,
                                    .help = "do not save the single pictures",
                                    .setting = false});
    visit(self.skip_grid,
          FieldInfo{
              .name = "skip_grid", .group = group, .help = "do not save a grid", .setting = false});
    visit(self.n_rows, FieldInfo{.name = "n_rows",
                                 .group = group,
                                 .help = "pictures in a row of the grid; 0 is n_samples",
                                 .value = "N",
                                 .setting = false});
    visit(self.save_latents, FieldInfo{.name = "save-latents",
                                       .group = group,
                                       .help = "write the final latents too, .safetensors or .npy",
                                       .value = "FILE",
                                       .setting = false});
    visit(self.no_metadata, FieldInfo{.name = "no-metadata",
                                      .group = group,
                                      .help = "leave the settings out of the files",
                                      .setting = false});
    visit(self.preview,
          FieldInfo{.name = "preview",
                    .group = group,
                    .help = "every N steps show how far the pictures are, roughly, in "
                            "DIR/preview.png or FILE.preview.png, which goes when they are done",
                    .value = "N",
                    .setting = false});
    visit(self.safety_checker,
          FieldInfo{.name = "safety-checker",
                    .group = group,
                    .help = "make pictures black that these weights (of "
                            "CompVis/stable-diffusion-safety-checker) hold for unsafe",
                    .value = "PATH",
                    .setting = false});
    visit(self.overwrite, FieldInfo{.name = "overwrite",
                                    .group = group,
                                    .help = "let -o and --save-latents replace a file",
                                    .setting = false});
    visit(self.verify,
          FieldInfo{.name = "verify",
                    .group = group,
                    .help = "draw the picture in FILE again, write nothing, and say how "
                            "the two differ; ends with 1 where they do",
                    .value = "FILE",
                    .setting = false});
    visit(self.resume,
          FieldInfo{.name = "resume",
                    .group = group,
                    .help = "draw only what the folder's manifest.jsonl does not have yet",
                    .setting = false});
    visit(self.continue_on_error,
          FieldInfo{.name = "continue-on-error",
                    .group = group,
                    .help = "go on where one of several batches fails, and end with 1; it is on, "
                            "=false turns it off",
                    .setting = false});
  }
};

// What is said on the standard error, and questions about the program.
struct MessageOptions {
  std::string progress = "auto";
  bool quiet = false;
  bool verbose = false;
  bool list_samplers = false;
  bool doctor = false;
  AboutOptions about{};

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view group = "Messages (on the standard error)";
    visit(self.progress, FieldInfo{.name = "progress",
                                   .group = group,
                                   .help = "auto is a bar on a terminal, else lines",
                                   .value = "HOW",
                                   .choices = "auto,bar,lines,json,none",
                                   .setting = false});
    visit(self.quiet, FieldInfo{.name = "quiet",
                                .aliases = "q",
                                .group = group,
                                .help = "warnings and errors only",
                                .setting = false});
    visit(self.verbose, FieldInfo{.name = "verbose",
                                  .aliases = "v",
                                  .group = group,
                                  .help = "times and memory as well",
                                  .setting = false});
    visit(self.list_samplers, FieldInfo{.name = "list-samplers",
                                        .group = group,
                                        .help = "list the samplers and schedules, and end",
                                        .setting = false});
    visit(self.doctor,
          FieldInfo{.name = "doctor",
                    .group = group,
                    .help = "say what this machine has to draw with and what to do about what is "
                            "missing, and end",
                    .setting = false});
    AboutOptions::fields(self.about, visit, group);
  }
};

}  // namespace easel::cli
