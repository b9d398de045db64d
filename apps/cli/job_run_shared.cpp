// What JobRun does where other processes draw parts of the same run.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cli/interrupt.h"
#include "cli/job_run.h"
#include "cli/manifest.h"

namespace easel::cli {
namespace {

// All that makes the jobs what they are, beside the options that they have in common.
std::string jobs_text(const std::vector<Job>& jobs) {
  std::string text;
  for (const Job& job : jobs) {
    text += fmt::format("job {} {}\n", job.own_seed, job.error.empty());
    for (const auto& [name, value] : job.changes) text += fmt::format("{}={}\n", name, value);
    for (const auto& batch : job.batches) {
      text += "batch\n";
      for (const std::string& prompt : batch) text += prompt + '\n';
    }
  }
  return text;
}

}  // namespace

void JobRun::join_others(const ModelSummary& model) {
  std::vector<int64_t> sizes;
  for (const Job& job : jobs_) {
    for (const auto& batch : job.batches) {
      sizes.push_back(job.error.empty() ? static_cast<int64_t>(batch.size()) : 0);
    }
  }
  shared_ = std::make_unique<SharedRun>(share_, output_options_.outdir, std::move(sizes));

  // The options as they are without any job's own.
  const MadeWith made = made_with(prepare({.changes = {}, .batches = {{""}}}), model);
  auto record = nlohmann::ordered_json::parse(settings_json(made));
  for (const char* name : {"prompt", "picture", "picture_seed"}) record.erase(name);
  record["pictures"] = shared_->num_pictures();
  record["batches"] = num_batches_;
  record["prompts and their options"] = text_id(picture_id(made) + jobs_text(jobs_));
  shared_->join(record);
}

// What the first picture of the run was made with: the grid's settings.
MadeWith JobRun::first_made_with(const ModelSummary& model) {
  const auto first =
      std::find_if(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.error.empty(); });
  first_ = 0;
  for (auto job = jobs_.begin(); job != first; ++job) first_ += job->num_pictures();
  RunRequest request = prepare(*first);
  if (program_.complete) program_.complete(request, model);
  return made_with(request, model);
}

void JobRun::finish_shared(const ModelSummary& model, PictureOutput& output) {
  const bool complete = shared_->finish(check_interrupted, [&] {
    output.finish_shared(shared_->num_pictures(), first_made_with(model));
  });
  std::string text = fmt::format("{} of {} pictures were drawn here", num_drawn_, num_pictures_);
  if (!complete) text += "; whoever draws the last one makes the manifest and the grid";
  terminal_.log(LogLevel::Info, text);
}

}  // namespace easel::cli
