// What the endless stream and the single pass share: loading examples, remembering which cannot be,
// and putting batches together.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <easel/train/batch.h>
#include <easel/train/data_loader.h>
#include <easel/train/dataset.h>

namespace easel {

// A batch, and the examples that were left out while it was made.
struct ReadBatch {
  Batch batch;
  std::vector<std::pair<int64_t, std::string>> bad;  // index and reason
};

// Throws Error where an option is out of range or the dataset is empty.
void check_loader_options(const Dataset& dataset, const LoaderOptions& options);

// Safe to share between threads. Keeps references to what it is given.
class ExampleReader {
 public:
  ExampleReader(const Dataset& dataset, const LoaderOptions& options);

  // The example of that index, or nullopt where it cannot be loaded, which is put down in `bad`
  // unless LoaderOptions::bad has it already. An example that failed once is not tried again.
  std::optional<Example> read(int64_t index, uint64_t seed,
                              std::vector<std::pair<int64_t, std::string>>& bad);

 private:
  const Dataset& dataset_;
  const LoaderOptions& options_;
  std::mutex mutex_;
  std::map<int64_t, std::optional<std::string>> bad_;  // no reason: from the options
};

// Puts the examples of a batch together, one after another.
class BatchBuilder {
 public:
  BatchBuilder(const Dataset& dataset, int64_t capacity) : dataset_(dataset), capacity_(capacity) {}

  // Throws Error where the picture has another shape than the batch's first.
  void add(int64_t index, uint64_t seed, Example example);

  // The batch, as large as what was added.
  Batch take();

 private:
  const Dataset& dataset_;
  int64_t capacity_;
  Batch batch_;
};

// Tells `log` of the examples that `all` does not hold yet, and puts them there.
void report_bad(const Dataset& dataset, const std::vector<std::pair<int64_t, std::string>>& bad,
                std::map<int64_t, std::string>& all, const Log& log);

}  // namespace easel
