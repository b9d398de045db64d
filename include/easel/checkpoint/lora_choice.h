// Which LoRA files are meant, and how strongly. No LibTorch in this header.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <easel/text/prompt.h>

namespace easel {

// A file and what its updates are multiplied with; 0 leaves a network as it is.
struct LoraChoice {
  std::filesystem::path file;
  double text_encoder = 1;
  double unet = 1;
  // What the update of each block of the UNet is multiplied with besides, as A1111's extension has
  // it: the text encoder, 12 input blocks, the middle one, 12 output blocks (for Stable Diffusion 1
  // and 2), or 17 numbers, without the blocks that have no attention. Empty: 1 for all.
  std::vector<double> blocks{};
  bool operator==(const LoraChoice&) const = default;

  std::string name() const { return file.stem().string(); }
};

// Finds files by their names without the extension (.safetensors, .pt, .ckpt or .bin) in folders
// and below them, the first folder's first. A folder that is not there is empty. The folders are
// looked through once, when the first name is asked for.
class LoraFinder {
 public:
  explicit LoraFinder(std::vector<std::filesystem::path> folders) : folders_(std::move(folders)) {}

  // "FILE", "FILE:0.8" or "FILE:0.8:0.5", a file or a name: one number is for both networks, two
  // are the text encoder's and the UNet's; ":lbw=1,0,..." behind it gives the blocks'. Throws Error
  // (Usage) where it cannot be meant.
  LoraChoice from_text(std::string_view text);
  // <lora:NAME:0.8>, with the same numbers, or te=0.8 and unet=0.5, and lbw=1,0,... likewise.
  LoraChoice from_tag(const PromptTag& tag);

 private:
  std::filesystem::path find(const std::string& name);

  std::vector<std::filesystem::path> folders_;
  std::optional<std::map<std::string, std::filesystem::path>> files_;
};

// The numbers of `text`, "0,0.25,1" or separated by blanks. Throws Error (Usage).
std::vector<double> parse_block_weights(std::string_view text);

// "name: 0.8" or, where they differ, "name: 0.8/0.5" (text encoder, UNet), comma-separated.
std::string loras_text(const std::vector<LoraChoice>& loras);

}  // namespace easel
