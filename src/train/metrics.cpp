#include "easel/train/metrics.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/base/utf8.h>
#include <easel/io/file.h>

#include "append_file.h"
#include "event_file.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kJsonlName = "metrics.jsonl";
constexpr std::string_view kEventPrefix = "events.out.tfevents.";
constexpr size_t kMaxOldBytes = size_t{4} << 30;

double system_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void check_step(int64_t step) {
  if (step < 0) fail("the step of a metric is from 0; got {}", step);
}

void check_name(std::string_view name) {
  if (name.empty() || name == "step" || name == "wall_time" || !is_valid_utf8(name)) {
    fail(
        "a metric cannot be called '{}'; its name is UTF-8, not empty, and neither 'step' nor "
        "'wall_time'",
        printable(name));
  }
}

// The step of a line that MetricsWriter wrote; nullopt of any other.
std::optional<int64_t> step_of(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto step = json.find("step");
  if (step == json.end() || !step->is_number_integer()) return std::nullopt;
  return step->get<int64_t>();
}

// Leaves the lines up to and with `last_step` in the file. A line that a crash cut off is dropped.
void drop_later_lines(const fs::path& file, int64_t last_step, const Log& log) {
  const std::string text = read_text_file(file, kMaxOldBytes);
  std::string kept;
  int64_t num_foreign = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;
    const std::string_view line = rest.substr(0, end + 1);
    rest.remove_prefix(line.size());
    const std::optional<int64_t> step = step_of(line);
    if (!step) ++num_foreign;
    if (step && *step <= last_step) kept += line;
  }
  if (num_foreign > 0) {
    say(log, LogLevel::Warning,
        fmt::format("{}: dropped {} lines that are no metrics", printable(file.native(), 4096),
                    num_foreign));
  }
  if (kept.size() == text.size()) return;
  write_atomically(file, IfExists::Replace, [&](FileWriter& out) { out.write(kept); });
}

// A name that sorts behind the event files of the folder: TensorBoard reads them in that order.
fs::path event_file_name(const fs::path& folder, double now) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().filename().string();
    if (name.starts_with(kEventPrefix)) names.push_back(std::move(name));
  }
  const auto seconds = static_cast<int64_t>(std::clamp(now, 0.0, 9999999999.0));
  for (int64_t later = 0;; ++later) {
    std::string name = fmt::format("{}{:010}.easel", kEventPrefix, seconds + later);
    const bool behind =
        std::none_of(names.begin(), names.end(), [&](const auto& old) { return old >= name; });
    if (behind) return folder / name;
  }
}

}  // namespace

class MetricsWriter::Impl {
 public:
  Impl(const fs::path& folder, MetricsOptions options, const Log& log)
      : clock_(options.clock ? std::move(options.clock) : system_clock) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
      fail("cannot make the folder '{}': {}", printable(folder.native(), 4096), error.message());
    }
    const fs::path file = folder / kJsonlName;
    if (fs::exists(file)) {
      if (!options.resume_step) {
        fail("'{}' exists; resume that run, or give the new one another folder",
             printable(file.native(), 4096));
      }
      drop_later_lines(file, *options.resume_step, log);
    }
    lines_.emplace(file, /*must_be_new=*/false);
    if (options.tensorboard) open_events(folder, options.resume_step);
  }

  void write(int64_t step, std::span<const Metric> metrics) {
    check_step(step);
    const double now = clock_();
    nlohmann::ordered_json line = {{"step", step}, {"wall_time", now}};
    std::set<std::string_view> names;
    for (const Metric& metric : metrics) {
      check_name(metric.name);
      if (!names.insert(metric.name).second) {
        fail("the metric '{}' is given twice in one step", printable(metric.name));
      }
      line[metric.name] = metric.value;  // null where it is not finite
    }
    lines_->append(line.dump() + '\n');
    if (events_) events_->append(tf_record(scalars_event(now, step, metrics)));
  }

  void write_image(int64_t step, std::string_view name, const Image& image) {
    check_step(step);
    check_name(name);
    if (!events_) return;
    const std::vector<std::byte> png = encode_png(image);
    events_->append(tf_record(
        image_event(clock_(), step, name, {image.height, image.width, image.channels, png})));
  }

 private:
  void open_events(const fs::path& folder, std::optional<int64_t> resume_step) {
    const double now = clock_();
    events_.emplace(event_file_name(folder, now), /*must_be_new=*/true);
    // TensorBoard drops what earlier files have from the step of the session's start on.
    const int64_t first = resume_step ? *resume_step + 1 : 0;
    std::string start = tf_record(version_event(now, first));
    if (resume_step) start += tf_record(session_start_event(now, first));
    events_->append(start);
  }

  std::function<double()> clock_;
  std::optional<AppendFile> lines_, events_;
};

MetricsWriter::MetricsWriter(const std::filesystem::path& folder, MetricsOptions options,
                             const Log& log)
    : impl_(std::make_unique<Impl>(folder, std::move(options), log)) {}

MetricsWriter::~MetricsWriter() = default;

void MetricsWriter::write(int64_t step, std::span<const Metric> metrics) {
  impl_->write(step, metrics);
}

void MetricsWriter::write_image(int64_t step, std::string_view name, const Image& image) {
  impl_->write_image(step, name, image);
}

}  // namespace easel
