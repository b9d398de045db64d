// Where a program's pictures go, as its options say: numbered files and a grid, one named file, the
// standard output, or nowhere.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <easel/pipeline/run.h>

#include "cli/manifest.h"
#include "cli/output_files.h"
#include "cli/picture_writer.h"
#include "cli/settings_text.h"
#include "cli/shared_folder.h"
#include "cli/terminal.h"

namespace easel::cli {

// Sees that everything can be written; makes the output folder. Throws Error.
void prepare_output(const OutputOptions& options);

struct SheetWords {
  std::vector<std::string> columns;
  std::vector<std::string> rows;
};

class PictureOutput {
 public:
  // The grid has `per_row` pictures in a row, or the words of a sheet at its columns and rows.
  // `shared` is the folder of a run that is shared, or null. It and the terminal must outlive this.
  PictureOutput(OutputOptions options, int64_t per_row, std::optional<SheetWords> words,
                Terminal& terminal, SharedFolder* shared);
  ~PictureOutput() { remove_preview(); }
  PictureOutput(const PictureOutput&) = delete;
  PictureOutput& operator=(const PictureOutput&) = delete;

  // `made` is what the pictures that follow have in common; `first` is the number in the run of the
  // first of them.
  void start(MadeWith made, int64_t first);
  // Whether a picture of this batch is not there yet; those that are, are taken as they are.
  bool wants(const RunRequest& request, size_t batch, int64_t first);
  // Takes one picture of the run. Throws what writing an earlier one threw.
  void add(RunPicture&& picture);
  // Calls `work` on the thread that writes, when what was added is in its files.
  void then(std::function<void()> work) { writer_.push(std::move(work)); }
  // Shows quick looks at the batch at hand. A file that cannot be written is only a warning.
  void preview(const std::vector<Image>& images);
  // Throws what writing threw, so that a run whose pictures cannot be kept ends.
  void check() { writer_.check(); }
  // Waits for all files.
  void flush() { writer_.finish(); }
  // Writes the grid and waits for all files.
  void finish();
  // The same for a shared run, whose `num` pictures are all in the folder. `made` is the first's.
  void finish_shared(int64_t num, MadeWith made);

  // The picture of --verify.
  const Image& verified() const { return verified_; }
  int64_t num_kept() const { return num_kept_; }

 private:
  MadeWith made_with(const RunPicture& picture) const;
  void write(const Image& image, const MadeWith& made, int64_t number);
  std::optional<Image> make_grid_image() const;
  void write_grid();
  void remove_preview();
  void keep(const std::string& id, const Image* image);

  OutputOptions options_;
  std::filesystem::path preview_;  // empty: none was written
  int64_t per_row_;
  std::optional<SheetWords> words_;
  Terminal& terminal_;
  SharedFolder* shared_;
  int64_t first_ = 0;  // of the pictures that were started last
  std::optional<MadeWith> made_;
  std::optional<MadeWith> grid_made_;
  std::optional<NumberedFiles> samples_;
  std::optional<Manifest> manifest_;
  std::map<int64_t, Image> there_;  // pictures of the batch at hand that were there before
  int64_t num_kept_ = 0;
  Image verified_;
  std::vector<Image> grid_;
  std::string ids_;       // of all pictures, which together are the grid's
  PictureWriter writer_;  // last: it stops before what its jobs use goes away
};

}  // namespace easel::cli
