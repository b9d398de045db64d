#include "cli/picture_output.h"

#include <utility>

#include <easel/io/file.h>

namespace easel::cli {
namespace {

std::vector<std::byte> encode(const Image& image, const MadeWith& made) {
  const std::string extension = std::filesystem::path(made.options.output).extension().string();
  if (extension == ".jpg" || extension == ".jpeg") return encode_jpeg(image);
  return encode_png(image, made.options.no_metadata ? PngText() : settings_text(made));
}

}  // namespace

void prepare_output(const Txt2ImgOptions& options) {
  if (!options.save_latents.empty()) check_writable(options.save_latents, options.overwrite);
  if (options.output == "-") return;
  if (!options.output.empty()) return check_writable(options.output, options.overwrite);
  if (options.skip_save && options.skip_grid) return;
  prepare_folder(options.outdir);
  if (!options.skip_save) prepare_folder(options.outdir / "samples");
}

PictureOutput::PictureOutput(MadeWith made, Terminal& terminal)
    : made_(std::move(made)), terminal_(terminal) {
  if (made_.options.output.empty() && !made_.options.skip_save) {
    samples_.emplace(made_.options.outdir / "samples", "", 5, ".png");
  }
}

void PictureOutput::write(const Image& image, const MadeWith& made) {
  const std::vector<std::byte> bytes = encode(image, made);
  if (samples_) {
    terminal_.saved(samples_->write(bytes).string(), made.seed);
  } else if (made.options.output == "-") {
    write_stdout(bytes);
  } else {
    const IfExists if_exists = made.options.overwrite ? IfExists::Replace : IfExists::Refuse;
    write_atomically(made.options.output, if_exists, [&](FileWriter& file) { file.write(bytes); });
    terminal_.saved(made.options.output, made.seed);
  }
}

void PictureOutput::add(RunPicture&& picture) {
  if (!made_.options.skip_grid) grid_.push_back(picture.image);
  if (!samples_ && made_.options.output.empty()) return;
  MadeWith made = made_;
  made.prompt = std::move(picture.prompt);
  made.seed = picture.seed;
  made.number = picture.number;
  writer_.push(
      [this, image = std::move(picture.image), made = std::move(made)] { write(image, made); });
}

void PictureOutput::finish() {
  if (!grid_.empty()) {
    const Txt2ImgOptions& options = made_.options;
    const int64_t per_row = options.n_rows > 0 ? options.n_rows : options.n_samples;
    writer_.push([this, grid = make_grid(grid_, static_cast<int>(per_row))] {
      NumberedFiles grids(made_.options.outdir, "grid-", 4, ".png");
      terminal_.saved(grids.write(encode(grid, made_)).string(), made_.seed);
    });
  }
  writer_.finish();
}

}  // namespace easel::cli
