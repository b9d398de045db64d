#include "easel/pipeline/control_choice.h"

#include <cmath>
#include <string>
#include <vector>

#include <easel/base/error.h>

#include "two_files.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr double kMaxStrength = 100;

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

}  // namespace

ControlChoice control_from_text(std::string_view text) {
  const TwoFiles read = two_files_from_text(text, 3);
  if (read.first.empty()) {
    fail_usage(
        "--control {}: it is MODEL:PICTURE, perhaps with numbers behind: :STRENGTH:START:END",
        printable(text, 200));
  }
  ControlChoice choice{.model = read.first, .picture = read.second};
  const std::vector<double>& numbers = read.numbers;
  if (!numbers.empty()) choice.strength = numbers[0];
  if (numbers.size() > 1) choice.start = numbers[1];
  if (numbers.size() > 2) choice.end = numbers[2];
  check(choice);
  return choice;
}

void check(const ControlChoice& choice) {
  for (const fs::path& path : {choice.model, choice.picture}) {
    if (!is_there(path)) fail_usage("--control: there is no {}", path.string());
  }
  if (!(std::abs(choice.strength) <= kMaxStrength)) {
    fail_usage("--control: the strength is {}; it is a number of at most {} either way, 1 is usual",
               choice.strength, kMaxStrength);
  }
  if (!(0 <= choice.start && choice.start < choice.end && choice.end <= 1)) {
    fail_usage(
        "--control: it acts from {} to {}; these are two parts of the run from 0 to 1, the first "
        "below the second",
        choice.start, choice.end);
  }
}

}  // namespace easel
