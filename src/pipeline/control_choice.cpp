#include "easel/pipeline/control_choice.h"

#include <cmath>
#include <string>
#include <vector>

#include <easel/base/error.h>
#include <easel/base/fields.h>

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
  const std::string whole(text);
  std::vector<double> numbers;
  while (numbers.size() < 3) {
    const size_t colon = text.rfind(':');
    double number = 0;
    if (colon == text.npos || !parse_field(text.substr(colon + 1), number)) break;
    numbers.insert(numbers.begin(), number);
    text = text.substr(0, colon);
  }
  ControlChoice choice;
  if (!numbers.empty()) choice.strength = numbers[0];
  if (numbers.size() > 1) choice.start = numbers[1];
  if (numbers.size() > 2) choice.end = numbers[2];
  size_t first = text.npos;
  for (size_t colon = text.find(':'); colon != text.npos; colon = text.find(':', colon + 1)) {
    if (first == text.npos) first = colon;
    if (!is_there(text.substr(0, colon)) || !is_there(text.substr(colon + 1))) continue;
    first = colon;
    break;
  }
  if (first == text.npos || first == 0 || first + 1 == text.size()) {
    fail_usage(
        "--control {}: it is MODEL:PICTURE, perhaps with numbers behind: :STRENGTH:START:END",
        printable(whole, 200));
  }
  choice.model = text.substr(0, first);
  choice.picture = text.substr(first + 1);
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
