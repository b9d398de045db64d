// Pictures that say what to draw beside the prompt. No LibTorch in this header.
#pragma once

#include <filesystem>
#include <string_view>

namespace easel {

struct ImagePromptChoice {
  std::filesystem::path adapter;  // an IP-Adapter
  std::filesystem::path picture;
  double scale = 1;  // how much it counts beside the text
  bool operator==(const ImagePromptChoice&) const = default;
};

// "ADAPTER:PICTURE", perhaps with ":SCALE" behind. Either name may hold colons. Throws Error
// (Usage) where it cannot be meant or a file is not there.
ImagePromptChoice image_prompt_from_text(std::string_view text);

// Throws Error (Usage).
void check(const ImagePromptChoice& choice);

}  // namespace easel
