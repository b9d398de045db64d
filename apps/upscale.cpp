// easel-upscale: enlarges pictures that are there with an upscaler model.

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/io/file.h>
#include <easel/io/image.h>
#include <easel/io/resize.h>
#include <easel/pipeline/open_model.h>
#include <easel/pipeline/upscale.h>

#include "cli/about.h"
#include "cli/arguments.h"
#include "cli/interrupt.h"
#include "cli/output_files.h"
#include "cli/program.h"
#include "cli/terminal.h"

namespace easel::cli {
namespace {

namespace fs = std::filesystem;

constexpr ProgramText kText{
    .name = "easel-upscale",
    .summary = "enlarge pictures with an upscaler model",
    .usage = "easel-upscale MODEL PICTURE... [options]",
    .description =
        "Enlarges pictures with ESRGAN, Real-ESRGAN or one of its compact models (.pth, "
        ".safetensors).",
    .examples =
        "easel-upscale RealESRGAN_x4plus.pth photo.jpg -o large.png\n"
        "easel-upscale RealESRGAN_x4plus.pth *.png --outdir large --scale 2",
    .takes_files = true};

struct UpscaleProgramOptions {
  std::string file;
  fs::path outdir = "outputs/upscaled";
  std::optional<double> scale;
  int64_t tile = kUpscaleTile;
  std::string device = "auto";
  std::string dtype = "auto";
  int64_t threads = 0;
  bool overwrite = false;
  std::string progress = "auto";
  AboutOptions about{};

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    constexpr std::string_view group = "Options";
    visit(self.file, FieldInfo{.name = "output",
                               .aliases = "o",
                               .group = group,
                               .help = "where the one picture goes, .png or .jpg",
                               .value = "FILE"});
    visit(self.outdir,
          FieldInfo{.name = "outdir",
                    .group = group,
                    .help = "where pictures go otherwise, under their own names, as PNG",
                    .value = "DIR"});
    visit(self.scale, FieldInfo{.name = "scale",
                                .group = group,
                                .help = "how many times as large; by default what the model makes, "
                                        "else resized to it",
                                .value = "X"});
    visit(self.tile, FieldInfo{.name = "upscale-tile",
                               .aliases = "tile",
                               .group = group,
                               .help = "work in squares of N pixels, which bounds the memory; 0 is "
                                       "the whole picture",
                               .value = "N"});
    visit(self.device, FieldInfo{.name = "device",
                                 .group = group,
                                 .help = "auto, cpu, cuda or cuda:N; auto is a GPU if there is one",
                                 .value = "NAME"});
    visit(self.dtype, FieldInfo{.name = "dtype",
                                .group = group,
                                .help = "the network's numbers; auto is float16 on a GPU",
                                .value = "NAME",
                                .choices = "auto,float32,float16,bfloat16"});
    visit(self.threads, FieldInfo{.name = "threads",
                                  .group = group,
                                  .help = "CPU threads; 0 is one a core",
                                  .value = "N"});
    visit(self.overwrite,
          FieldInfo{.name = "overwrite", .group = group, .help = "replace files that are there"});
    visit(self.progress, FieldInfo{.name = "progress",
                                   .group = group,
                                   .help = "how it is shown on the standard error",
                                   .value = "STYLE",
                                   .choices = "auto,bar,lines,json,none"});
    AboutOptions::fields(self.about, visit, group);
  }
};

std::string ending(const fs::path& path) {
  std::string text = path.extension().string();
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return text;
}

bool is_jpeg(const fs::path& path) { return ending(path) == ".jpg" || ending(path) == ".jpeg"; }

// Where each picture goes; two never go to one file.
std::vector<fs::path> targets(std::span<const std::string> pictures,
                              const UpscaleProgramOptions& options) {
  if (!options.file.empty()) {
    if (pictures.size() != 1)
      fail_usage("-o names one file, and these are {} pictures", pictures.size());
    const fs::path file = options.file;
    if (ending(file) != ".png" && !is_jpeg(file)) {
      fail_usage("-o {}: the name ends in .png, .jpg or .jpeg", printable(options.file));
    }
    check_writable(file, options.overwrite);
    return {file};
  }
  std::vector<fs::path> list;
  prepare_folder(options.outdir);
  for (const std::string& picture : pictures) {
    const fs::path file = options.outdir / fs::path(picture).stem().concat(".png");
    if (std::find(list.begin(), list.end(), file) != list.end()) {
      fail_usage("two of the pictures would go to {}: use another --outdir for one of them",
                 file.string());
    }
    check_writable(file, options.overwrite);
    list.push_back(file);
  }
  return list;
}

Image enlarged(const Upscaler& upscaler, const Image& image, const UpscaleProgramOptions& options,
               Terminal& terminal) {
  Image larger = upscale(upscaler, image, options.tile, [&](int64_t done, int64_t all) {
    terminal.count("enlarging", done, all);
    check_interrupted();
  });
  if (!options.scale) return larger;
  const auto side = [&](int size) {
    return std::max(static_cast<int>(std::lround(size * *options.scale)), 1);
  };
  if (larger.width < side(image.width) || larger.height < side(image.height)) {
    return upscale_to(upscaler, larger, side(image.width), side(image.height), options.tile);
  }
  return resize(larger, side(image.width), side(image.height), ResizeFilter::Lanczos);
}

int run(std::span<const std::string> words, const UpscaleProgramOptions& options) {
  if (words.size() < 2) fail_usage("expected MODEL PICTURE...; --help says more");
  if (options.scale && !(*options.scale > 0 && *options.scale <= 64)) {
    fail_usage("--scale is {}; it is above 0, to 64", *options.scale);
  }
  check_upscale_tile(options.tile);
  check_device(options.device, options.dtype);
  set_threads(options.threads);
  keep_freed_memory();
  use_exact_float32();
  const auto pictures = words.subspan(1);
  for (const std::string& picture : pictures) {
    if (!fs::is_regular_file(picture)) fail("{}: there is no such file", picture);
  }
  const std::vector<fs::path> files = targets(pictures, options);
  Terminal terminal(progress_style(options.progress), LogLevel::Info);
  const auto upscaler = open_upscaler(words[0], options.device, options.dtype);
  for (size_t i = 0; i < pictures.size(); ++i) {
    const Image made = enlarged(*upscaler, read_upright_image(pictures[i]), options, terminal);
    // What the picture says of itself goes with it.
    const PngText text = ending(pictures[i]) == ".png" ? read_png_text(pictures[i]) : PngText();
    const auto bytes = is_jpeg(files[i]) ? encode_jpeg(made) : encode_png(made, text);
    write_atomically(files[i], options.overwrite ? IfExists::Replace : IfExists::Refuse,
                     [&](FileWriter& file) { file.write(bytes); });
    terminal.log(LogLevel::Info,
                 fmt::format("{}: {}x{}", files[i].string(), made.width, made.height));
  }
  return 0;
}

int main_program(std::span<const char* const> arguments) {
  UpscaleProgramOptions options;
  std::vector<std::string> words;
  parse_arguments(options_of(options), arguments, &words);
  UpscaleProgramOptions defaults;
  if (const auto text = about(kText, options.about, options_of(defaults))) {
    print_stdout(*text);
    return 0;
  }
  return run(words, options);
}

}  // namespace
}  // namespace easel::cli

int main(int argc, char** argv) {
  easel::cli::catch_interrupts();
  return easel::cli::run_program("easel-upscale", [&] {
    return easel::cli::main_program(
        std::span<const char* const>(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0));
  });
}
