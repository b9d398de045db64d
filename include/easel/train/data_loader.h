// Batches of a dataset, made ahead of time by worker threads.
//
// The stream of examples is endless. Example number p is the one at place p mod n of the order of
// epoch p / n, n being the size of the dataset; an epoch's order is a permutation that depends on
// the run's seed and the epoch alone, and the seed of the example is mix_seed(run's seed, p). A
// global batch is the next world * batch_size examples, of which the process of rank r takes the
// r-th run of batch_size. So neither the number of workers nor that of processes changes what is
// drawn, and a stream that starts at batch k is the same as one that has come there.
//
// An example that cannot be loaded is left out: the next one in the epoch's order that can be takes
// its place (with the place's seed).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <easel/base/progress.h>
#include <easel/train/batch.h>
#include <easel/train/dataset.h>

namespace easel {

struct LoaderOptions {
  int64_t batch_size = 1;         // examples a batch in this process, from 1
  int64_t num_workers = 0;        // threads that load; 0: the caller's own
  bool shuffle = true;            // false: every epoch in the dataset's order
  uint64_t seed = 0;              // the run's
  int64_t rank = 0;               // of this process, from 0
  int64_t world = 1;              // number of processes
  bool load_pictures = true;      // false: captions, indices and seeds only
  std::vector<int64_t> bad = {};  // indices that are known not to load, and left out from the start
};

// Used by one thread; its workers end with it.
class DataLoader {
 public:
  // Throws Error where an option is out of range or the dataset is empty. `log` gets one line for
  // every example that could not be loaded, on the thread that calls next().
  DataLoader(Dataset dataset, LoaderOptions options, Log log = {});
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  // The batch at position(), which moves on. Throws Error where no example of the dataset can be
  // loaded or pictures of one batch differ in size, and passes on what Dataset::load throws; the
  // position stays then.
  Batch next();

  // Makes next() give batch number `batch` of the stream, counted from 0.
  void seek(int64_t batch);

  int64_t position() const;

  // Global batches that an epoch takes, rounded up.
  int64_t batches_per_epoch() const;

  // The examples left out so far, index and reason, those of LoaderOptions::bad not among them.
  const std::map<int64_t, std::string>& bad() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Gives every example once, in the dataset's order, in batches of at most `batch_size`, until
// `on_batch` returns false. Of each global batch a process takes its part as above, so processes
// may see different numbers of batches. What cannot be loaded is left out and reported through
// `log`; the seed of an example is mix_seed(options.seed, index); options.shuffle is not looked at.
// Returns the number of examples left out. Throws Error where all were.
int64_t for_each_batch(const Dataset& dataset, const LoaderOptions& options,
                       const std::function<bool(Batch&&)>& on_batch, const Log& log = {});

}  // namespace easel
