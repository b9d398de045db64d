#include "easel/train/data_loader.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <numeric>
#include <utility>

#include <easel/base/error.h>

#include "example_reader.h"
#include "prefetch.h"

namespace easel {
namespace {

// What the run's seed is mixed with for the order of an epoch, apart from the seeds of examples.
constexpr uint64_t kOrderSeed = 0x726564726f;

// Uniform in 0 ... bound - 1; the state moves on. The multiply-shift has a bias below bound / 2^64.
uint64_t uniform_below(uint64_t bound, uint64_t seed, uint64_t& draw) {
  const unsigned __int128 wide = static_cast<unsigned __int128>(mix_seed(seed, draw++)) * bound;
  return static_cast<uint64_t>(wide >> 64);
}

// Fisher and Yates's shuffle of 0 ... size - 1.
std::vector<int64_t> permutation(int64_t size, uint64_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), int64_t{0});
  uint64_t draw = 0;
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[uniform_below(i, seed, draw)]);
  return order;
}

// The orders of the latest epochs. Safe to share between threads.
class EpochOrders {
 public:
  using Order = std::shared_ptr<const std::vector<int64_t>>;

  EpochOrders(int64_t size, uint64_t seed) : size_(size), seed_(mix_seed(seed, kOrderSeed)) {}

  Order of(int64_t epoch) {
    const std::lock_guard lock(mutex_);
    Order& order = orders_[epoch];
    if (!order) {
      order = std::make_shared<const std::vector<int64_t>>(
          permutation(size_, mix_seed(seed_, static_cast<uint64_t>(epoch))));
    }
    const Order wanted = order;
    while (orders_.size() > kKept) orders_.erase(orders_.begin());
    return wanted;
  }

 private:
  static constexpr size_t kKept = 3;
  int64_t size_;
  uint64_t seed_;
  std::mutex mutex_;
  std::map<int64_t, Order> orders_;
};

}  // namespace

class DataLoader::Impl {
 public:
  Impl(Dataset dataset, LoaderOptions options, Log log)
      : dataset_(std::move(dataset)),
        options_(std::move(options)),
        log_(std::move(log)),
        reader_(dataset_, options_),
        orders_(dataset_.size, options_.seed) {}

  Batch next() {
    if (!ahead_) {
      ahead_ = std::make_unique<Prefetch<ReadBatch>>(
          options_.num_workers, position_,
          [this](int64_t number, const std::stop_token& stop) { return read(number, stop); });
    }
    ReadBatch made = ahead_->next();
    ++position_;
    report_bad(dataset_, made.bad, bad_, log_);
    return std::move(made.batch);
  }

  void seek(int64_t batch) {
    const int64_t last = std::numeric_limits<int64_t>::max() / 2 / global_size();
    if (batch < 0 || batch > last) {
      fail("a batch's number is from 0 to {}; got {}", last, batch);
    }
    if (batch == position_) return;
    ahead_.reset();
    position_ = batch;
  }

  int64_t position() const { return position_; }
  int64_t batches_per_epoch() const { return (dataset_.size + global_size() - 1) / global_size(); }
  const std::map<int64_t, std::string>& bad() const { return bad_; }

 private:
  int64_t global_size() const { return options_.batch_size * options_.world; }

  ReadBatch read(int64_t number, const std::stop_token& stop) {
    ReadBatch made;
    BatchBuilder builder(dataset_, options_.batch_size);
    const int64_t first = number * global_size() + options_.rank * options_.batch_size;
    for (int64_t row = 0; row < options_.batch_size && !stop.stop_requested(); ++row) {
      add(first + row, builder, made.bad, stop);
    }
    made.batch = builder.take();
    return made;
  }

  void add(int64_t position, BatchBuilder& builder,
           std::vector<std::pair<int64_t, std::string>>& bad, const std::stop_token& stop) {
    const int64_t size = dataset_.size;
    const int64_t place = position % size;
    const uint64_t seed = mix_seed(options_.seed, static_cast<uint64_t>(position));
    const EpochOrders::Order order = options_.shuffle ? orders_.of(position / size) : nullptr;
    for (int64_t tried = 0; tried < size && !stop.stop_requested(); ++tried) {
      const int64_t other = (place + tried) % size;
      const int64_t index = order ? (*order)[static_cast<size_t>(other)] : other;
      if (auto example = reader_.read(index, seed, bad)) {
        builder.add(index, seed, *std::move(example));
        return;
      }
    }
    if (stop.stop_requested()) return;
    fail("none of the {} examples can be loaded{}", size,
         bad.empty() ? "" : "; the first: " + bad.front().second);
  }

  Dataset dataset_;
  LoaderOptions options_;
  Log log_;
  ExampleReader reader_;
  EpochOrders orders_;
  std::map<int64_t, std::string> bad_;
  int64_t position_ = 0;
  std::unique_ptr<Prefetch<ReadBatch>> ahead_;  // last: its threads use the rest
};

DataLoader::DataLoader(Dataset dataset, LoaderOptions options, Log log) {
  check_loader_options(dataset, options);
  impl_ = std::make_unique<Impl>(std::move(dataset), std::move(options), std::move(log));
}

DataLoader::~DataLoader() = default;

Batch DataLoader::next() { return impl_->next(); }

void DataLoader::seek(int64_t batch) { impl_->seek(batch); }

int64_t DataLoader::position() const { return impl_->position(); }

int64_t DataLoader::batches_per_epoch() const { return impl_->batches_per_epoch(); }

const std::map<int64_t, std::string>& DataLoader::bad() const { return impl_->bad(); }

int64_t for_each_batch(const Dataset& dataset, const LoaderOptions& options,
                       const std::function<bool(Batch&&)>& on_batch, const Log& log) {
  check_loader_options(dataset, options);
  ExampleReader reader(dataset, options);
  const int64_t global_size = options.batch_size * options.world;
  const auto read = [&](int64_t number, const std::stop_token& stop) {
    ReadBatch made;
    BatchBuilder builder(dataset, options.batch_size);
    const int64_t first = number * global_size + options.rank * options.batch_size;
    const int64_t last = std::min(dataset.size, first + options.batch_size);
    for (int64_t index = first; index < last && !stop.stop_requested(); ++index) {
      const uint64_t seed = mix_seed(options.seed, static_cast<uint64_t>(index));
      if (auto example = reader.read(index, seed, made.bad)) {
        builder.add(index, seed, *std::move(example));
      }
    }
    made.batch = builder.take();
    return made;
  };
  std::map<int64_t, std::string> bad;
  int64_t num_given = 0;
  Prefetch<ReadBatch> ahead(options.num_workers, 0, read);
  for (int64_t number = 0; number * global_size < dataset.size; ++number) {
    ReadBatch made = ahead.next();
    report_bad(dataset, made.bad, bad, log);
    if (made.batch.size() == 0) continue;
    num_given += made.batch.size();
    if (!on_batch(std::move(made.batch))) return static_cast<int64_t>(bad.size());
  }
  if (num_given == 0 && !bad.empty()) {
    fail("none of the {} examples can be loaded; the first: {}", dataset.size, bad.begin()->second);
  }
  return static_cast<int64_t>(bad.size());
}

}  // namespace easel
