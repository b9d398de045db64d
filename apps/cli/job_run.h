// The jobs of a run, one after another, and what becomes of them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <easel/base/error.h>
#include <easel/pipeline/run.h>

#include "cli/drawing_program.h"
#include "cli/jobs.h"
#include "cli/picture_output.h"
#include "cli/share.h"
#include "cli/shared_run.h"
#include "cli/terminal.h"
#include "cli/wildcard_files.h"

namespace easel::cli {

// The program and the terminal must outlive it; the program's options are those of the job at hand.
class JobRun {
 public:
  JobRun(const DrawingProgram& program, std::vector<Job> jobs, std::optional<SheetWords> words,
         const Share& share, Terminal& terminal);

  // Finds what cannot be meant before a model is loaded. Throws Error where that is everything, or
  // where the run is not to go on.
  void check_jobs();
  // Says how the prompts are read, each once. Returns the exit code.
  int explain(const ModelRequest& model);
  // Pictures that `checker` holds for unsafe are to be black.
  void withhold(std::shared_ptr<const SafetyChecker> checker) { checker_ = std::move(checker); }
  // Returns the exit code.
  int draw(const StableDiffusion& model);

 private:
  void check_counts() const;
  RunRequest prepare(const Job& job);
  void make_choices(RunRequest& request);
  MadeWith made_with(const RunRequest& request, const ModelSummary& model) const;
  void join_others(const ModelSummary& model);
  MadeWith first_made_with(const ModelSummary& model);
  void draw_jobs(const StableDiffusion& model, const ModelSummary& summary, PictureOutput& output);
  void draw_job(const Job& job, const StableDiffusion& model, const ModelSummary& summary,
                PictureOutput& output);
  bool wants(const RunRequest& request, size_t batch, int64_t first, PictureOutput& output);
  void added(int64_t number, PictureOutput& output);
  void finish_shared(const ModelSummary& model, PictureOutput& output);
  void withheld(const RunPicture& picture);
  void on_step(const RunStep& at, const StableDiffusion& model, PictureOutput& output);
  template <class Work>
  void ends_with_error(const Work& work);
  bool goes_on(const Error& error) const;
  void failed(const std::string& which, int64_t num, const Error& error);
  void report_start(const RunRequest& request, const ModelSummary& model);

  const DrawingProgram& program_;
  std::vector<Job> jobs_;
  std::optional<SheetWords> words_;
  std::optional<WildcardFiles> wildcards_;
  std::shared_ptr<const SafetyChecker> checker_;
  const Share share_;
  Terminal& terminal_;
  std::function<void()> restore_;
  const OutputOptions output_options_;
  int64_t num_pictures_ = 0;
  int64_t num_batches_ = 0;
  int64_t first_ = 0;  // picture and batch of the job at hand
  int64_t first_batch_ = 0;
  int64_t num_failed_ = 0;
  bool output_failed_ = false;
  std::unique_ptr<SharedRun> shared_;  // null: the run is this process's alone
  size_t taken_ = 0;                   // the batch of it that is being drawn
  int64_t num_drawn_ = 0;
};

}  // namespace easel::cli
