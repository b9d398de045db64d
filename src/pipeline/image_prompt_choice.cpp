#include "easel/pipeline/image_prompt_choice.h"

#include <cmath>
#include <string>

#include <easel/base/error.h>

#include "two_files.h"

namespace easel {

namespace fs = std::filesystem;

ImagePromptChoice image_prompt_from_text(std::string_view text) {
  const TwoFiles read = two_files_from_text(text, 1);
  if (read.first.empty()) {
    fail_usage("--ip-adapter {}: it is ADAPTER:PICTURE, perhaps with a number behind: :SCALE",
               printable(text, 200));
  }
  ImagePromptChoice choice{.adapter = read.first, .picture = read.second};
  if (!read.numbers.empty()) choice.scale = read.numbers[0];
  check(choice);
  return choice;
}

void check(const ImagePromptChoice& choice) {
  constexpr double kMaxScale = 100;
  for (const fs::path& path : {choice.adapter, choice.picture}) {
    std::error_code error;
    if (!fs::exists(path, error)) fail_usage("--ip-adapter: there is no {}", path.string());
  }
  if (!(std::abs(choice.scale) <= kMaxScale)) {
    fail_usage("--ip-adapter: the scale is {}; it is a number of at most {} either way, 1 is usual",
               choice.scale, kMaxScale);
  }
}

}  // namespace easel
