#include "cli/picture_output.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/io/file.h>
#include <easel/io/jpeg_text.h>
#include <easel/io/sheet.h>
#include <easel/io/watermark.h>

namespace easel::cli {
namespace {

std::vector<std::byte> encode(const Image& image, const MadeWith& made) {
  const OutputOptions& output = made.drawing.output;
  const std::string extension = std::filesystem::path(output.file).extension().string();
  if (extension == ".jpg" || extension == ".jpeg") {
    return with_jpeg_text(encode_jpeg(image), output.no_metadata ? "" : parameters_text(made));
  }
  return encode_png(image, output.no_metadata ? PngText() : settings_text(made));
}

Image marked(Image image, const MadeWith& made) {
  const std::string& watermark = made.drawing.batch.watermark;
  return watermark.empty() ? std::move(image) : with_watermark(image, watermark);
}

bool same_size(const std::vector<Image>& images) {
  return std::all_of(images.begin(), images.end(), [&](const Image& image) {
    return image.width == images[0].width && image.height == images[0].height;
  });
}

std::optional<Image> read_kept(const std::optional<std::filesystem::path>& path) {
  try {
    if (path) return read_image(*path);
  } catch (const Error&) {
    // What cannot be read is drawn again.
  }
  return std::nullopt;
}

}  // namespace

void prepare_output(const OutputOptions& options) {
  if (!options.save_latents.empty()) check_writable(options.save_latents, options.overwrite);
  if (options.file == "-") return;
  if (!options.file.empty()) return check_writable(options.file, options.overwrite);
  if (!options.verify.empty() || (options.skip_save && options.skip_grid)) return;
  prepare_folder(options.outdir);
  if (!options.skip_save) prepare_folder(options.outdir / "samples");
}

PictureOutput::PictureOutput(OutputOptions options, int64_t per_row,
                             std::optional<SheetWords> words, Terminal& terminal,
                             SharedFolder* shared)
    : options_(std::move(options)),
      per_row_(per_row),
      words_(std::move(words)),
      terminal_(terminal),
      shared_(shared) {
  if (shared_ != nullptr || !options_.file.empty() || !options_.verify.empty()) return;
  if (!options_.skip_save) samples_.emplace(options_.outdir / "samples", "", 5, ".png");
  if (!options_.skip_save || !options_.skip_grid)
    manifest_.emplace(options_.outdir, options_.resume);
}

void PictureOutput::start(MadeWith made, int64_t first) {
  first_ = first;
  made_ = std::move(made);
  if (!grid_made_) grid_made_ = made_;
}

MadeWith PictureOutput::made_with(const RunPicture& picture) const {
  MadeWith made = *made_;
  made.prompt = picture.prompt;
  made.seed = picture.seed;
  made.number = picture.number;
  return made;
}

bool PictureOutput::wants(const RunRequest& request, size_t batch, int64_t first) {
  there_.clear();
  if (!options_.resume) return true;
  const bool own_seeds = request.seeding == Seeding::Image;
  std::vector<std::string> ids;
  int64_t number = first;
  for (const std::string& prompt : request.batches[batch]) {
    const uint64_t seed = request.seed + (own_seeds ? static_cast<uint64_t>(number) : 0);
    ids.push_back(
        picture_id(made_with({.image = {}, .number = number, .prompt = prompt, .seed = seed})));
    if (auto image = read_kept(manifest_->take(ids.back()))) {
      there_.emplace(number, std::move(*image));
    }
    ++number;
  }
  num_kept_ += static_cast<int64_t>(there_.size());
  if (there_.size() < ids.size() || !own_seeds) return true;
  for (const std::string& id : ids) keep(id, &there_.at(first++));
  return false;
}

void PictureOutput::keep(const std::string& id, const Image* image) {
  if (options_.skip_grid || shared_ != nullptr) return;
  ids_ += id;
  grid_.push_back(*image);
}

void PictureOutput::write(const Image& image, const MadeWith& made, int64_t number) {
  const std::vector<std::byte> bytes = encode(image, made);
  const std::string settings = options_.no_metadata ? std::string() : settings_json(made);
  if (shared_ != nullptr) {
    const auto path = shared_->write(number, bytes, picture_id(made), settings);
    if (path) terminal_.saved(path->string(), made.seed);
  } else if (samples_) {
    const auto path = manifest_->write(*samples_, bytes, picture_id(made), settings);
    terminal_.saved(path.string(), made.seed);
  } else if (options_.file == "-") {
    write_stdout(bytes);
  } else {
    const IfExists if_exists = options_.overwrite ? IfExists::Replace : IfExists::Refuse;
    write_atomically(options_.file, if_exists, [&](FileWriter& file) { file.write(bytes); });
    terminal_.saved(options_.file, made.seed);
  }
}

void PictureOutput::add(RunPicture&& picture) {
  if (!options_.verify.empty()) {
    verified_ = marked(std::move(picture.image), *made_);
    return;
  }
  MadeWith made = made_with(picture);
  keep(options_.skip_grid ? std::string() : picture_id(made), &picture.image);
  if (shared_ == nullptr && !samples_ && options_.file.empty()) return;
  if (there_.contains(picture.number)) return;
  writer_.push([this, image = std::move(picture.image), made = std::move(made),
                number = first_ + picture.number]() mutable {
    write(marked(std::move(image), made), made, number);
  });
}

std::optional<Image> PictureOutput::make_grid_image() const {
  if (!same_size(grid_)) {
    terminal_.log(LogLevel::Info, "the pictures differ in size: there is no grid of them");
    return std::nullopt;
  }
  if (!words_) return make_grid(grid_, static_cast<int>(per_row_));
  if (grid_.size() == words_->columns.size() * words_->rows.size()) {
    return make_sheet(grid_, words_->columns, words_->rows);
  }
  terminal_.log(LogLevel::Info, "pictures of the sheet are missing: there is no grid");
  return std::nullopt;
}

void PictureOutput::write_grid() {
  const std::string id = grid_id(ids_);
  if (manifest_->take(id)) return;
  auto grid = make_grid_image();
  if (!grid) return;
  writer_.push([this, id, grid = std::move(*grid)] {
    NumberedFiles grids(options_.outdir, "grid-", 4, ".png");
    const auto path =
        manifest_->write(grids, encode(marked(grid, *grid_made_), *grid_made_), id, {});
    terminal_.saved(path.string(), grid_made_->seed);
  });
}

void PictureOutput::preview(const std::vector<Image>& images) {
  const bool to_folder = options_.file.empty() || options_.file == "-";
  const std::filesystem::path path = to_folder
                                         ? options_.outdir / "preview.png"
                                         : std::filesystem::path(options_.file + ".preview.png");
  try {
    const auto bytes = encode_png(make_grid(images, static_cast<int>(per_row_)));
    write_atomically(path, IfExists::Replace, [&](FileWriter& file) { file.write(bytes); });
    preview_ = path;
  } catch (const Error& error) {
    terminal_.log(LogLevel::Warning, fmt::format("no preview: {}", error.what()));
  }
}

void PictureOutput::remove_preview() {
  std::error_code error;
  if (!preview_.empty()) std::filesystem::remove(preview_, error);
}

void PictureOutput::finish() {
  if (!grid_.empty()) write_grid();
  writer_.finish();
}

void PictureOutput::finish_shared(int64_t num, MadeWith made) {
  std::optional<std::vector<std::byte>> grid;
  if (!options_.skip_grid) {
    for (int64_t number = 0; number < num; ++number) {
      grid_.push_back(read_image(shared_->picture(number)));
    }
    if (auto image = make_grid_image()) grid = encode(marked(std::move(*image), made), made);
  }
  shared_->finish(num, grid);
}

}  // namespace easel::cli
