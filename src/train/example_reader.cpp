#include "example_reader.h"

#include <cstring>

#include <ATen/ATen.h>

#include <easel/base/error.h>

namespace easel {
namespace {

constexpr int64_t kMaxBatch = 1 << 20;
constexpr int64_t kMaxWorkers = 1024;
constexpr int64_t kMaxWorld = 1 << 20;

void check_range(std::string_view name, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) {
    fail_usage("{} is a number from {} to {}; got {}", name, low, high, value);
  }
}

}  // namespace

void check_loader_options(const Dataset& dataset, const LoaderOptions& options) {
  check_range("batch_size", options.batch_size, 1, kMaxBatch);
  check_range("num_workers", options.num_workers, 0, kMaxWorkers);
  check_range("world", options.world, 1, kMaxWorld);
  check_range("rank", options.rank, 0, options.world - 1);
  if (dataset.size < 1) fail("the dataset is empty");
  for (const int64_t index : options.bad) {
    if (index < 0 || index >= dataset.size) {
      fail("example {} is said to be bad, and the dataset has {}", index, dataset.size);
    }
  }
}

ExampleReader::ExampleReader(const Dataset& dataset, const LoaderOptions& options)
    : dataset_(dataset), options_(options) {
  for (const int64_t index : options.bad) bad_.emplace(index, std::nullopt);
}

std::optional<Example> ExampleReader::read(int64_t index, uint64_t seed,
                                           std::vector<std::pair<int64_t, std::string>>& bad) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = bad_.find(index); known != bad_.end()) {
      if (known->second) bad.emplace_back(index, *known->second);
      return std::nullopt;
    }
  }
  if (!options_.load_pictures) return Example{Tensor(), dataset_.caption(index, seed)};
  try {
    return dataset_.load(index, seed);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::Runtime) throw;
    const std::lock_guard lock(mutex_);
    bad_.emplace(index, error.what());
    bad.emplace_back(index, error.what());
    return std::nullopt;
  }
}

void BatchBuilder::add(int64_t index, uint64_t seed, Example example) {
  if (example.picture_CHW.defined()) {
    const Tensor picture_CHW = example.picture_CHW.contiguous();
    TORCH_CHECK(picture_CHW.dim() == 3 && picture_CHW.scalar_type() == at::kFloat &&
                    picture_CHW.device().is_cpu(),
                "Dataset::load gives float32 [C, H, W] on the CPU");
    Tensor& pictures_BCHW = batch_.pictures_BCHW;
    if (!pictures_BCHW.defined()) {
      pictures_BCHW = at::empty(
          {capacity_, picture_CHW.size(0), picture_CHW.size(1), picture_CHW.size(2)}, at::kFloat);
    } else if (picture_CHW.sizes() != pictures_BCHW.sizes().slice(1)) {
      fail(
          "'{}' is {} and '{}' is {} (channels, height, width), and the pictures of a batch are of "
          "one size; set size, or crop_size",
          dataset_.name(batch_.indices[0]), shape_text(pictures_BCHW.sizes().slice(1)),
          dataset_.name(index), shape_text(picture_CHW.sizes()));
    }
    // Not copy_, which starts LibTorch's threads from each of the workers.
    std::memcpy(pictures_BCHW.data_ptr<float>() + batch_.size() * picture_CHW.numel(),
                picture_CHW.data_ptr<float>(), picture_CHW.nbytes());
  }
  batch_.captions.push_back(std::move(example.caption));
  batch_.indices.push_back(index);
  batch_.seeds.push_back(seed);
}

Batch BatchBuilder::take() {
  if (batch_.pictures_BCHW.defined()) {
    batch_.pictures_BCHW = batch_.pictures_BCHW.narrow(0, 0, batch_.size());
  }
  return std::move(batch_);
}

void report_bad(const Dataset& dataset, const std::vector<std::pair<int64_t, std::string>>& bad,
                std::map<int64_t, std::string>& all, const Log& log) {
  for (const auto& [index, reason] : bad) {
    if (!all.emplace(index, reason).second) continue;
    say(log, LogLevel::Warning,
        fmt::format("left out '{}' ({} so far): {}", dataset.name(index), all.size(), reason));
  }
}

}  // namespace easel
