// Where a program's pictures go, as its options say: numbered files and a grid, one named file, the
// standard output, or nowhere.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <easel/pipeline/run.h>

#include "cli/output_files.h"
#include "cli/picture_writer.h"
#include "cli/settings_text.h"
#include "cli/terminal.h"

namespace easel::cli {

// Sees that everything can be written; makes the output folder. Throws Error.
void prepare_output(const OutputOptions& options);

class PictureOutput {
 public:
  // `made` holds what all pictures have in common. The terminal must outlive this.
  PictureOutput(MadeWith made, Terminal& terminal);

  // Takes one picture of the run. Throws what writing an earlier one threw.
  void add(RunPicture&& picture);
  // Throws what writing threw, so that a run whose pictures cannot be kept ends.
  void check() { writer_.check(); }
  // Writes the grid and waits for all files.
  void finish();

 private:
  void write(const Image& image, const MadeWith& made);

  MadeWith made_;
  Terminal& terminal_;
  std::optional<NumberedFiles> samples_;
  std::vector<Image> grid_;
  PictureWriter writer_;  // last: it stops before what its jobs use goes away
};

}  // namespace easel::cli
