#include "cli/jobs.h"

#include <algorithm>

#include <easel/base/error.h>

namespace easel::cli {
namespace {

constexpr int64_t kMostPictures = 1000000;

bool has_seed(const Changes& changes) {
  return std::any_of(changes.begin(), changes.end(),
                     [](const auto& change) { return change.first == "seed"; });
}

// How often a line is drawn in round `round`.
int64_t copies(const PromptLine& line, int64_t round, int64_t n_iter) {
  if (!line.count && !has_seed(line.changes)) return 1;
  return round == 0 ? line.count.value_or(n_iter) : 0;
}

class Builder {
 public:
  explicit Builder(int64_t n_samples) : n_samples_(static_cast<size_t>(n_samples)) {}

  void add(const PromptLine& line, const std::string& prompt, int64_t num) {
    const bool own_seed = has_seed(line.changes);
    if (jobs_.empty() || own_seed || jobs_.back().own_seed ||
        jobs_.back().changes != line.changes || jobs_.back().error != line.error) {
      jobs_.push_back({.changes = line.changes,
                       .batches = {},
                       .own_seed = own_seed,
                       .where = line.where,
                       .error = line.error});
      start_batch();
    }
    auto& batches = jobs_.back().batches;
    for (int64_t i = 0; i < num; ++i) {
      if (fresh_ || batches.back().size() == n_samples_) batches.emplace_back();
      batches.back().push_back(prompt);
      fresh_ = false;
    }
    if ((num_pictures_ += num) > kMostPictures) {
      fail_usage("this would be more than {} pictures: make fewer in one run", kMostPictures);
    }
  }
  void start_batch() { fresh_ = true; }
  std::vector<Job> take() { return std::move(jobs_); }

 private:
  size_t n_samples_;
  std::vector<Job> jobs_;
  bool fresh_ = true;
  int64_t num_pictures_ = 0;
};

}  // namespace

int64_t Job::num_pictures() const {
  int64_t num = 0;
  for (const auto& batch : batches) num += static_cast<int64_t>(batch.size());
  return num;
}

std::vector<Job> make_jobs(std::span<const PromptLine> lines, const std::string& prompt,
                           int64_t n_samples, int64_t n_iter) {
  Builder builder(n_samples);
  for (int64_t round = 0; round < n_iter; ++round) {
    builder.start_batch();
    for (const PromptLine& line : lines) {
      const int64_t num = copies(line, round, n_iter);
      if (num > 0) builder.add(line, line.prompt.value_or(prompt), num);
    }
  }
  return builder.take();
}

}  // namespace easel::cli
