// What a training run measures, step by step: metrics.jsonl, and a TensorBoard event file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <easel/base/progress.h>
#include <easel/io/image.h>

namespace easel {

struct Metric {
  std::string name;  // as TensorBoard groups them: "train/loss"
  double value = 0;
};

struct MetricsOptions {
  // Goes on with the metrics of this folder after that step: later ones are dropped from
  // metrics.jsonl, and a new event file tells TensorBoard to do so. nullopt: the folder must not
  // have a metrics.jsonl yet.
  std::optional<int64_t> resume_step = {};
  bool tensorboard = true;
  std::function<double()> clock = {};  // seconds since 1970; empty: the system's
};

// Owns the open files. Every write reaches the system before the call returns, whole or not at all,
// so that a process that dies loses nothing. One thread at a time.
class MetricsWriter {
 public:
  // Makes the folder where it is missing. Throws Error where it cannot be written to, or has
  // metrics and resume_step is absent. Lines of an old metrics.jsonl that are none of ours are
  // dropped on resuming, which `log` is told.
  explicit MetricsWriter(const std::filesystem::path& folder, MetricsOptions options = {},
                         const Log& log = {});
  ~MetricsWriter();
  MetricsWriter(const MetricsWriter&) = delete;
  MetricsWriter& operator=(const MetricsWriter&) = delete;

  // One line {"step": 10, "wall_time": 1700000000.5, "train/loss": 0.25} with the metrics in their
  // order, null where a value is not finite, and one event. Throws Error on a failed write, a
  // negative step, and a name that is empty, not UTF-8, given twice or "step" or "wall_time".
  void write(int64_t step, std::span<const Metric> metrics);

  // The picture as PNG, in the event file only.
  void write_image(int64_t step, std::string_view name, const Image& image);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace easel
