#include "cli/picture_output.h"

#include <utility>

#include <easel/io/file.h>

namespace easel::cli {
namespace {

std::vector<std::byte> encode(const Image& image, const MadeWith& made) {
  const std::string extension =
      std::filesystem::path(made.drawing.output.file).extension().string();
  if (extension == ".jpg" || extension == ".jpeg") return encode_jpeg(image);
  return encode_png(image, made.drawing.output.no_metadata ? PngText() : settings_text(made));
}

}  // namespace

void prepare_output(const OutputOptions& options) {
  if (!options.save_latents.empty()) check_writable(options.save_latents, options.overwrite);
  if (options.file == "-") return;
  if (!options.file.empty()) return check_writable(options.file, options.overwrite);
  if (options.skip_save && options.skip_grid) return;
  prepare_folder(options.outdir);
  if (!options.skip_save) prepare_folder(options.outdir / "samples");
}

PictureOutput::PictureOutput(MadeWith made, Terminal& terminal)
    : made_(std::move(made)), terminal_(terminal) {
  if (made_.drawing.output.file.empty() && !made_.drawing.output.skip_save) {
    samples_.emplace(made_.drawing.output.outdir / "samples", "", 5, ".png");
  }
}

void PictureOutput::write(const Image& image, const MadeWith& made) {
  const std::vector<std::byte> bytes = encode(image, made);
  if (samples_) {
    terminal_.saved(samples_->write(bytes).string(), made.seed);
  } else if (made.drawing.output.file == "-") {
    write_stdout(bytes);
  } else {
    const IfExists if_exists = made.drawing.output.overwrite ? IfExists::Replace : IfExists::Refuse;
    write_atomically(made.drawing.output.file, if_exists,
                     [&](FileWriter& file) { file.write(bytes); });
    terminal_.saved(made.drawing.output.file, made.seed);
  }
}

void PictureOutput::add(RunPicture&& picture) {
  if (!made_.drawing.output.skip_grid) grid_.push_back(picture.image);
  if (!samples_ && made_.drawing.output.file.empty()) return;
  MadeWith made = made_;
  made.prompt = std::move(picture.prompt);
  made.seed = picture.seed;
  made.number = picture.number;
  writer_.push(
      [this, image = std::move(picture.image), made = std::move(made)] { write(image, made); });
}

void PictureOutput::finish() {
  if (!grid_.empty()) {
    const int64_t n_rows = made_.drawing.output.n_rows;
    const int64_t per_row = n_rows > 0 ? n_rows : made_.drawing.batch.n_samples;
    writer_.push([this, grid = make_grid(grid_, static_cast<int>(per_row))] {
      NumberedFiles grids(made_.drawing.output.outdir, "grid-", 4, ".png");
      terminal_.saved(grids.write(encode(grid, made_)).string(), made_.seed);
    });
  }
  writer_.finish();
}

}  // namespace easel::cli
