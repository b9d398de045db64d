// What a program says while it works, on the standard error: log lines, and progress as a bar, as
// lines or as JSON. Safe to use from several threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include <easel/base/progress.h>

namespace easel::cli {

enum class ProgressStyle { Bar, Lines, Json, None };

// "auto", "bar", "lines", "json", "none"; auto is a bar where the standard error is a terminal.
// Throws Error (Usage).
ProgressStyle progress_style(std::string_view name);

class Terminal {
 public:
  // Shows lines of `lowest` and above.
  Terminal(ProgressStyle style, LogLevel lowest) : style_(style), lowest_(lowest) {}
  ~Terminal() { clear_bar(); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // One line. The same warning or notice is shown once.
  void log(LogLevel level, std::string_view line);
  Log callback() {
    return [this](LogLevel level, std::string_view line) { log(level, line); };
  }

  // A step of a batch (all from 1) is done. `peak_memory` is in bytes, of the device that draws.
  struct DrawStep {
    int64_t batch, batches, step, steps, peak_memory;
  };
  void step(const DrawStep& at);

  // A training step is done.
  struct TrainStep {
    int64_t step, steps;
    double loss, learning_rate, examples_per_second;
  };
  void train_step(const TrainStep& at);

  // `done` of `all` of some preparation are done.
  void count(std::string_view what, int64_t done, int64_t all);

  // `done` of `all` bytes are fetched; `what` is the file under way.
  void transfer(std::string_view what, uint64_t done, uint64_t all);

  // A picture is in its file.
  void saved(std::string_view path, uint64_t seed);

  // Ends the bar, where there is one.
  void clear_bar();

 private:
  void print(std::string_view line);
  void print_event(LogLevel level, std::string_view line);
  void show_progress(const std::string& text, int64_t done, int64_t all);

  using Clock = std::chrono::steady_clock;
  std::mutex mutex_;
  ProgressStyle style_;
  LogLevel lowest_;
  std::set<std::string, std::less<>> shown_;
  std::string bar_;  // as it stands on the screen now
  int64_t batch_ = 0;
  int64_t first_step_ = 0;      // of training: the first that this process did
  Clock::time_point start_;     // when the first step of this batch was done
  Clock::time_point shown_at_;  // when a transfer was shown last, and how far it was
  uint64_t shown_bytes_ = 0;
  double last_line_ = 0;  // seconds after start_ of the last line of ProgressStyle::Lines
};

// "0:07", "12:34", "1:02:03".
std::string duration_text(double seconds);

}  // namespace easel::cli
