#include "cli/terminal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include <easel/base/error.h>

namespace easel::cli {
namespace {

constexpr double kSecondsBetweenLines = 10;

size_t terminal_width() {
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
  return size.ws_col;
}

void write_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

std::string json_line(const nlohmann::ordered_json& event) {
  return event.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

// Of something that has `all` bytes.
std::string bytes_text(double bytes, double all) {
  constexpr double kMega = 1e6;
  constexpr double kGiga = 1e9;
  return all < kGiga ? fmt::format("{:.1f} MB", bytes / kMega)
                     : fmt::format("{:.2f} GB", bytes / kGiga);
}

std::string_view level_name(LogLevel level) {
  if (level == LogLevel::Warning) return "warning";
  return level == LogLevel::Info ? "info" : "debug";
}

std::string pace_text(double seconds_per_step) {
  if (seconds_per_step >= 1) return fmt::format("{:.2f} s/it", seconds_per_step);
  return fmt::format("{:.2f} it/s", 1 / std::max(seconds_per_step, 1e-6));
}

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::max(seconds, 0.0)));
  if (whole >= 3600) {
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

ProgressStyle progress_style(std::string_view name) {
  constexpr std::array<std::string_view, 5> names = {"auto", "bar", "lines", "json", "none"};
  if (name == "auto") return ::isatty(STDERR_FILENO) ? ProgressStyle::Bar : ProgressStyle::Lines;
  if (name == "bar") return ProgressStyle::Bar;
  if (name == "lines") return ProgressStyle::Lines;
  if (name == "json") return ProgressStyle::Json;
  if (name == "none") return ProgressStyle::None;
  throw Error(unknown_name("progress", name, names), ErrorKind::Usage);
}

void Terminal::clear_bar() {
  const std::lock_guard lock(mutex_);
  if (!bar_.empty()) write_stderr("\r\033[K");
  bar_.clear();
}

void Terminal::print(std::string_view line) {
  std::string text = bar_.empty() ? std::string() : "\r\033[K";
  text.append(line).append("\n").append(bar_);
  write_stderr(text);
}

void Terminal::log(LogLevel level, std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (level < lowest_) return;
  if (level != LogLevel::Debug && !shown_.emplace(line).second) return;
  if (style_ == ProgressStyle::Json) {
    print(json_line({{"event", "log"}, {"level", level_name(level)}, {"message", line}}));
  } else {
    print(fmt::format("{}{}", level == LogLevel::Warning ? "warning: " : "", line));
  }
}

void Terminal::saved(std::string_view path, uint64_t seed) {
  const std::lock_guard lock(mutex_);
  if (style_ == ProgressStyle::Json) {
    print(json_line({{"event", "picture"}, {"path", path}, {"seed", seed}}));
  } else if (lowest_ <= LogLevel::Info) {
    print(fmt::format("{} (seed {})", path, seed));
  }
}

void Terminal::step(const DrawStep& at) {
  const std::lock_guard lock(mutex_);
  if (style_ == ProgressStyle::None) return;
  const auto now = Clock::now();
  if (at.batch != batch_) {
    batch_ = at.batch;
    start_ = now;
    last_line_ = 0;
  }
  // The first step is not timed: it carries the warm-up, and the text encoder before it.
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  std::optional<double> pace;
  if (at.step > 1) pace = elapsed / static_cast<double>(at.step - 1);
  const double left = pace.value_or(0) * static_cast<double>(at.steps - at.step);

  if (style_ == ProgressStyle::Json) {
    nlohmann::ordered_json event = {{"event", "step"},       {"batch", at.batch},
                                    {"batches", at.batches}, {"step", at.step},
                                    {"steps", at.steps},     {"peak_memory_bytes", at.peak_memory}};
    if (pace) event.update({{"seconds_per_step", *pace}, {"seconds_left", left}});
    return print(json_line(event));
  }
  std::string text =
      at.batches > 1 ? fmt::format("batch {}/{}, ", at.batch, at.batches) : std::string();
  text += fmt::format("step {}/{}", at.step, at.steps);
  if (pace) text += fmt::format(", {}, {} left", pace_text(*pace), duration_text(left));
  text += fmt::format(", {:.2f} GiB", static_cast<double>(at.peak_memory) * 0x1p-30);
  show_progress(text, at.step, at.steps);
}

// As a bar, or as a line now and then.
void Terminal::show_progress(const std::string& text, int64_t done, int64_t all) {
  if (style_ == ProgressStyle::Lines) {
    const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
    if (done != 1 && done != all && elapsed - last_line_ < kSecondsBetweenLines) return;
    last_line_ = elapsed;
    return print(text);
  }
  const size_t width = terminal_width();
  const size_t room = width > text.size() + 5 ? std::min<size_t>(width - text.size() - 5, 40) : 0;
  const auto filled = static_cast<size_t>(static_cast<double>(room) * static_cast<double>(done) /
                                          static_cast<double>(std::max<int64_t>(all, 1)));
  bar_ = fmt::format("[{:=<{}}{:{}}] {}", "", std::min(filled, room), "",
                     room - std::min(filled, room), text);
  if (bar_.size() >= width) bar_.resize(width - 1);
  write_stderr("\r\033[K" + bar_);
  if (done == all) {  // the finished bar stays out of the way of what follows
    write_stderr("\r\033[K");
    bar_.clear();
  }
}

void Terminal::train_step(const TrainStep& at) {
  const std::lock_guard lock(mutex_);
  if (style_ == ProgressStyle::None) return;
  if (batch_ != 1) {
    batch_ = 1;
    start_ = Clock::now();
    last_line_ = 0;
    first_step_ = at.step;
  }
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const int64_t timed = at.step - first_step_;
  const double left =
      timed > 0 ? elapsed / static_cast<double>(timed) * static_cast<double>(at.steps - at.step)
                : 0;
  if (style_ == ProgressStyle::Json) {
    return print(json_line({{"event", "step"},
                            {"step", at.step},
                            {"steps", at.steps},
                            {"loss", at.loss},
                            {"learning_rate", at.learning_rate},
                            {"examples_per_second", at.examples_per_second},
                            {"seconds_left", left}}));
  }
  std::string text = fmt::format("step {}/{}, loss {:.4g}, {:.3g} pictures/s", at.step, at.steps,
                                 at.loss, at.examples_per_second);
  if (timed > 0) text += fmt::format(", {} left", duration_text(left));
  show_progress(text, at.step, at.steps);
}

void Terminal::count(std::string_view what, int64_t done, int64_t all) {
  const std::lock_guard lock(mutex_);
  if (style_ == ProgressStyle::None) return;
  if (style_ == ProgressStyle::Json) {
    return print(json_line({{"event", "count"}, {"what", what}, {"done", done}, {"all", all}}));
  }
  show_progress(fmt::format("{} {}/{}", what, done, all), done, all);
}

void Terminal::transfer(std::string_view what, uint64_t done, uint64_t all) {
  const std::lock_guard lock(mutex_);
  if (style_ == ProgressStyle::None) return;
  const auto now = Clock::now();
  constexpr std::chrono::milliseconds kPause(100);
  if (batch_ != 1) {
    batch_ = 1;
    start_ = now;
    last_line_ = 0;
    first_step_ = static_cast<int64_t>(done);
  } else if (done == shown_bytes_ || (done != all && now - shown_at_ < kPause)) {
    return;  // blocks come by the thousand
  }
  shown_at_ = now;
  shown_bytes_ = done;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double fetched = static_cast<double>(done) - static_cast<double>(first_step_);
  const double pace = elapsed > 0 && fetched > 0 ? fetched / elapsed : 0;
  const double left = pace > 0 ? static_cast<double>(all - done) / pace : 0;
  if (style_ == ProgressStyle::Json) {
    return print(json_line({{"event", "transfer"},
                            {"file", what},
                            {"done", done},
                            {"all", all},
                            {"bytes_per_second", pace},
                            {"seconds_left", left}}));
  }
  const auto size = static_cast<double>(all);
  std::string text =
      fmt::format("{} of {}", bytes_text(static_cast<double>(done), size), bytes_text(size, size));
  if (pace > 0) text += fmt::format(", {}/s, {} left", bytes_text(pace, 0), duration_text(left));
  show_progress(fmt::format("{}, {}", text, what), static_cast<int64_t>(done),
                static_cast<int64_t>(all));
}

}  // namespace easel::cli
