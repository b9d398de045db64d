#include "cli/job_run.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include <fmt/format.h>

#include <easel/io/watermark.h>
#include <easel/pipeline/explain_prompt.h>
#include <easel/text/wildcards.h>

#include "cli/drawing_request.h"
#include "cli/program.h"

namespace easel::cli {
namespace {

void check_model(const ModelSummary& model, const BatchOptions& options, const Given& given) {
  const auto check = [&](std::string_view name, int64_t asked, int64_t own) {
    if (given.has(name) && asked != own) {
      fail_usage("--{} {} does not fit the model {}, which has {}", name, asked, model.name, own);
    }
  };
  check("C", options.latent_channels, model.latent_channels);
  check("f", options.downsampling, model.downsampling);
}

// Returns the exit code.
int report_difference(const std::filesystem::path& path, const Image& drawn) {
  const Image kept = read_image(path);
  if (kept.width != drawn.width || kept.height != drawn.height) {
    print_stdout(fmt::format("{}: it is {}x{}, and {}x{} when made again\n", path.string(),
                             kept.width, kept.height, drawn.width, drawn.height));
    return 1;
  }
  const size_t num = kept.pixels.size() / 3;
  size_t num_different = 0;
  int most = 0;
  for (size_t pixel = 0; pixel < num; ++pixel) {
    int difference = 0;
    for (size_t i = 3 * pixel; i < 3 * pixel + 3; ++i) {
      difference = std::max(difference, std::abs(int{kept.pixels[i]} - int{drawn.pixels[i]}));
    }
    num_different += difference > 0 ? 1 : 0;
    most = std::max(most, difference);
  }
  if (num_different == 0) {
    print_stdout(fmt::format("{}: the same, pixel for pixel\n", path.string()));
    return 0;
  }
  print_stdout(fmt::format(
      "{}: {} of {} pixels differ ({:.3g} %), by at most {} of 255\n", path.string(), num_different,
      num, 100.0 * static_cast<double>(num_different) / static_cast<double>(num), most));
  return 1;
}

}  // namespace

JobRun::JobRun(const DrawingProgram& program, std::vector<Job> jobs,
               std::optional<SheetWords> words, const Share& share, Terminal& terminal)
    : program_(program),
      jobs_(std::move(jobs)),
      words_(std::move(words)),
      share_(share),
      terminal_(terminal),
      restore_(program.remember()),
      output_options_(program.options.output) {
  const std::filesystem::path& wildcards = program_.options.prompt.wildcards;
  if (!wildcards.empty()) wildcards_.emplace(wildcards);
  for (const Job& job : jobs_) {
    num_pictures_ += job.num_pictures();
    num_batches_ += static_cast<int64_t>(job.batches.size());
  }
}

void JobRun::check_jobs() {
  check_counts();
  for (Job& job : jobs_) {
    try {
      if (job.error.empty()) prepare(job);
    } catch (const Error& error) {
      if (jobs_.size() == 1 && job.where.empty()) throw;
      job.error = error.what();
    }
    first_ += job.num_pictures();
  }
  first_ = 0;
  const auto wrong = [](const Job& job) { return !job.error.empty(); };
  const auto first = std::find_if(jobs_.begin(), jobs_.end(), wrong);
  if (first == jobs_.end()) return;
  if (!output_options_.continue_on_error || std::all_of(jobs_.begin(), jobs_.end(), wrong)) {
    fail_usage("{}: {}", first->where, first->error);
  }
}

int JobRun::explain(const ModelRequest& model) {
  std::set<std::string> prompts;
  int code = 0;
  for (const Job& job : jobs_) {
    if (!job.error.empty()) {
      failed(job.where, job.num_pictures(), Error(job.error));
      first_ += job.num_pictures();
      code = 1;
      continue;
    }
    const RunRequest request = prepare(job);
    first_ += job.num_pictures();
    for (const std::vector<std::string>& batch : request.batches) {
      for (const std::string& prompt : batch) {
        if (!prompts.insert(prompt).second) continue;
        print_stdout(explain_prompt(model, prompt, request.settings));
      }
    }
  }
  return code;
}

int JobRun::draw(const StableDiffusion& model) {
  const ModelSummary summary = summarize(model);
  const OutputOptions& asked = output_options_;
  if (!share_.alone()) join_others(summary);
  PictureOutput output(asked, asked.n_rows > 0 ? asked.n_rows : program_.options.batch.n_samples,
                       words_, terminal_, shared_ ? &shared_->folder() : nullptr);
  do {
    draw_jobs(model, summary, output);
  } while (shared_ && shared_->go_on(check_interrupted));
  if (shared_) {
    finish_shared(summary, output);
  } else {
    output.finish();
  }
  if (!asked.verify.empty()) return report_difference(asked.verify, output.verified());
  const int64_t num_kept = shared_ ? shared_->num_there() : output.num_kept();
  if (num_kept > 0) {
    terminal_.log(LogLevel::Info,
                  fmt::format("{} of {} pictures were there already", num_kept, num_pictures_));
  }
  if (num_failed_ == 0) return 0;
  terminal_.log(LogLevel::Warning,
                fmt::format("{} of {} pictures could not be drawn", num_failed_, num_pictures_));
  return 1;
}

void JobRun::draw_jobs(const StableDiffusion& model, const ModelSummary& summary,
                       PictureOutput& output) {
  first_ = first_batch_ = 0;
  for (const Job& job : jobs_) {
    const auto batch = static_cast<size_t>(first_batch_);
    try {
      if (!shared_ || shared_->may_want(batch, job.batches.size())) {
        if (!job.error.empty()) throw Error(job.error);
        draw_job(job, model, summary, output);
      }
    } catch (const Error& error) {
      if (!goes_on(error)) throw;
      int64_t num = job.num_pictures();
      if (shared_) {
        output.flush();  // what was drawn before it failed
        const int64_t own = shared_->give_up(batch, job.batches.size());
        if (job.error.empty()) num = own;
      }
      failed(job.where, num, error);
    }
    first_ += job.num_pictures();
    first_batch_ += static_cast<int64_t>(job.batches.size());
  }
  if (shared_) output.flush();
}

void JobRun::check_counts() const {
  const DrawingOptions& options = program_.options;
  if (!options.output.file.empty() && num_pictures_ != 1) {
    fail_usage(
        "-o names one file, and this would be {} pictures (n_samples {}, n_iter {}): use "
        "--outdir",
        num_pictures_, options.batch.n_samples, options.batch.n_iter);
  }
  if (!options.output.verify.empty() && num_pictures_ != 1) {
    fail_usage("--verify draws one picture, and this would be {}", num_pictures_);
  }
  if (!options.output.save_latents.empty() && jobs_.size() > 1) {
    fail_usage("--save-latents writes one file, and these pictures differ in their options");
  }
}

// The options as this job has them, and its request.
RunRequest JobRun::prepare(const Job& job) {
  restore_();
  apply_changes(job.changes, program_.list, program_.given);
  PictureSettings settings = settle(program_);
  RunRequest request = make_request(program_.options, std::move(settings), job.batches);
  if (!job.own_seed) request.seed += static_cast<uint64_t>(first_);
  request.safety_checker = checker_;
  make_choices(request);
  check(request);
  return request;
}

// What the prompts leave open goes by each picture's seed, like its noise.
void JobRun::make_choices(RunRequest& request) {
  if (!wildcards_) return;
  uint64_t seed = request.seed;
  for (std::vector<std::string>& batch : request.batches) {
    for (std::string& prompt : batch) {
      prompt = expand_wildcards(prompt, seed++,
                                [&](const std::string& name) { return wildcards_->lines(name); });
    }
  }
}

void JobRun::draw_job(const Job& job, const StableDiffusion& model, const ModelSummary& summary,
                      PictureOutput& output) {
  RunRequest request = prepare(job);
  check_model(summary, program_.options.batch, program_.given);
  if (program_.complete) program_.complete(request, summary);
  const std::string& watermark = program_.options.batch.watermark;
  if (!watermark.empty() && !request.hires && request.upscale.empty()) {
    check_watermark(watermark, request.settings.width, request.settings.height);
  }
  report_start(request, summary);

  output.start(made_with(request, summary),
               shared_ ? shared_->first_picture(static_cast<size_t>(first_batch_)) : first_);
  run_pictures(
      model, request,
      {.log = terminal_.callback(),
       .on_step = [&](const RunStep& at) { on_step(at, model, output); },
       .on_picture =
           [&](RunPicture&& picture) {
             if (picture.withheld) withheld(picture);
             const int64_t number = picture.number;
             ends_with_error([&] { output.add(std::move(picture)); });
             if (shared_) added(number, output);
           },
       .on_preview = [&](std::vector<Image>&& images) { output.preview(images); },
       .preview_every = output_options_.preview,
       .wants = [&](size_t batch, int64_t first) { return wants(request, batch, first, output); },
       .on_error =
           [&](int64_t first, int64_t num, const Error& error) {
             // What the user asked for cannot be meant for the other batches either.
             if (error.kind() == ErrorKind::Usage || !goes_on(error)) throw;
             if (shared_) shared_->give_up(taken_, 1);
             const int64_t number = first_ + first + 1;
             failed(num == 1 ? fmt::format("picture {}", number)
                             : fmt::format("pictures {} to {}", number, number + num - 1),
                    num, error);
           }});
}

bool JobRun::wants(const RunRequest& request, size_t batch, int64_t first, PictureOutput& output) {
  if (!shared_) return output.wants(request, batch, first);
  taken_ = static_cast<size_t>(first_batch_) + batch;
  check_interrupted();
  return shared_->take(taken_);
}

// The batch is done with when its last picture is in its file.
void JobRun::added(int64_t number, PictureOutput& output) {
  ++num_drawn_;
  const int64_t in_run = shared_->first_picture(static_cast<size_t>(first_batch_)) + number;
  if (in_run + 1 != shared_->first_picture(taken_ + 1)) return;
  ends_with_error(
      [&] { output.then([shared = shared_.get(), batch = taken_] { shared->drawn(batch); }); });
}

MadeWith JobRun::made_with(const RunRequest& request, const ModelSummary& model) const {
  MadeWith made;
  made.program = program_.name;
  made.drawing = program_.options;
  made.settings = request.settings;
  made.loras = request.loras;
  made.model = model;
  made.prompt = program_.options.prompt.prompt;
  made.seed = request.seed;
  if (program_.describe) program_.describe(made);
  return made;
}

void JobRun::withheld(const RunPicture& picture) {
  terminal_.log(LogLevel::Warning,
                fmt::format("the safety checker holds picture {} (seed {}) for unsafe: it is black",
                            first_ + picture.number + 1, picture.seed));
}

void JobRun::on_step(const RunStep& at, const StableDiffusion& model, PictureOutput& output) {
  const int64_t on_device = peak_device_memory(model);
  terminal_.step({.batch = first_batch_ + at.batch,
                  .batches = num_batches_,
                  .step = at.step,
                  .steps = at.steps,
                  .peak_memory = on_device > 0 ? on_device : peak_memory()});
  check_interrupted();
  ends_with_error([&] { output.check(); });
}

// A picture that cannot be written ends the run: the next ones could not be either.
template <class Work>
void JobRun::ends_with_error(const Work& work) {
  try {
    work();
  } catch (...) {
    output_failed_ = true;
    throw;
  }
}

bool JobRun::goes_on(const Error& error) const {
  return num_batches_ > 1 && output_options_.continue_on_error && !output_failed_ &&
         error.kind() != ErrorKind::Interrupted &&
         (jobs_.size() > 1 || error.kind() != ErrorKind::Usage);
}

void JobRun::failed(const std::string& which, int64_t num, const Error& error) {
  terminal_.log(LogLevel::Warning, fmt::format("{}: {}", which, error.what()));
  num_failed_ += num;
}

void JobRun::report_start(const RunRequest& request, const ModelSummary& model) {
  const PictureSettings& settings = request.settings;
  terminal_.log(LogLevel::Info,
                fmt::format("{} on {} in {}; {}, {} steps, {}x{}, seed {}", model.name,
                            model.device, model.dtype, resolved_sampler(settings).sampler,
                            settings.steps, settings.width, settings.height, request.seed));
}

}  // namespace easel::cli
