#include "easel/checkpoint/lora_choice.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/ranges.h>

#include <easel/base/error.h>
#include <easel/base/fields.h>

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> kExtensions = {".safetensors", ".pt", ".ckpt", ".bin"};
constexpr double kMaxWeight = 100;
constexpr size_t kMaxFiles = 100000;
constexpr size_t kMaxNumbers = 1000;
constexpr std::string_view kBlocks = "lbw=";

std::optional<double> number(std::string_view text) {
  double value = 0;
  if (!parse_field(text, value)) return std::nullopt;
  return value;
}

double weight_of(std::string_view text, const std::string& whole) {
  const std::optional<double> value = number(text);
  if (!value || !(std::abs(*value) <= kMaxWeight)) {
    fail_usage("{}: the weight of a LoRA is a number of at most {} either way, not '{}'",
               printable(whole, 200), kMaxWeight, printable(text, 40));
  }
  return *value;
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// By name; of two files of one name the first in the order of paths stays.
void add_files(const fs::path& folder, std::map<std::string, fs::path>& files) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return;
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string extension = entry.path().extension().string();
    const bool known =
        std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
    if (known && entry.is_regular_file()) found.push_back(entry.path());
    if (found.size() > kMaxFiles) {
      fail_usage("{}: there are more than {} files in it", folder.string(), kMaxFiles);
    }
  }
  std::sort(found.begin(), found.end());
  for (const fs::path& path : found) files.emplace(path.stem().string(), path);
}

}  // namespace

fs::path LoraFinder::find(const std::string& name) {
  if (!files_) {
    files_.emplace();
    for (const fs::path& folder : folders_) add_files(folder, *files_);
  }
  const auto found = files_->find(name);
  if (found != files_->end()) return found->second;
  std::string places;
  for (const fs::path& folder : folders_) {
    places += (places.empty() ? "" : " and ") + folder.string();
  }
  if (files_->empty()) {
    fail_usage("there is no LoRA '{}': no such file, and no files in {} (--lora-dir)",
               printable(name, 200), places);
  }
  std::vector<std::string_view> known;
  for (const auto& [each, path] : *files_) known.push_back(each);
  fail_usage("{} (in {})", unknown_name("LoRA", name, known), places);
}

LoraChoice LoraFinder::from_text(std::string_view text) {
  const std::string whole(text);
  LoraChoice choice;
  if (const size_t colon = text.rfind(':');
      colon != text.npos && text.substr(colon + 1).starts_with(kBlocks)) {
    choice.blocks = parse_block_weights(text.substr(colon + 1 + kBlocks.size()));
    text = text.substr(0, colon);
  }
  // The name may hold colons: only numbers at the end are weights.
  std::vector<std::string_view> weights;
  while (weights.size() < 2 && !is_file(text)) {
    const size_t colon = text.rfind(':');
    if (colon == text.npos || !number(text.substr(colon + 1))) break;
    weights.insert(weights.begin(), text.substr(colon + 1));
    text = text.substr(0, colon);
  }
  if (text.empty()) fail_usage("--lora needs a file or a name, not '{}'", printable(whole));
  choice.file = is_file(text) ? fs::path(text) : find(std::string(text));
  if (!weights.empty()) {
    choice.text_encoder = weight_of(weights.front(), whole);
    choice.unet = weight_of(weights.back(), whole);
  }
  return choice;
}

LoraChoice LoraFinder::from_tag(const PromptTag& tag) {
  std::string whole = "<" + tag.kind;
  for (const std::string& argument : tag.arguments) whole += ":" + argument;
  whole += ">";
  LoraChoice choice;
  std::optional<double> text_encoder, unet;
  size_t position = 0;
  for (const std::string& argument : tag.arguments) {
    if (position == 0) {
      choice.file = find(argument);
    } else if (argument.starts_with("te=")) {
      text_encoder = weight_of(argument.substr(3), whole);
    } else if (argument.starts_with("unet=")) {
      unet = weight_of(argument.substr(5), whole);
    } else if (argument.starts_with(kBlocks)) {
      choice.blocks = parse_block_weights(std::string_view(argument).substr(kBlocks.size()));
    } else if (position == 1) {
      text_encoder = weight_of(argument, whole);
    } else if (position == 2) {
      unet = weight_of(argument, whole);
    } else {
      fail_usage("{} in the prompt has more than a name and two weights", printable(whole, 200));
    }
    ++position;
  }
  choice.text_encoder = text_encoder.value_or(1);
  choice.unet = unet.value_or(choice.text_encoder);
  return choice;
}

std::vector<double> parse_block_weights(std::string_view text) {
  std::vector<double> weights;
  size_t at = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find_first_of(", \t\n", at), text.size());
    const std::string_view word = text.substr(at, end - at);
    at = end + 1;
    if (word.empty()) continue;
    double weight = 0;
    if (!parse_field(word, weight)) {
      fail_usage("block weights are numbers, comma-separated; '{}' is none", printable(word, 40));
    }
    weights.push_back(weight);
    if (weights.size() > kMaxNumbers)
      fail_usage("there are more than {} block weights", kMaxNumbers);
  }
  return weights;
}

std::string loras_text(const std::vector<LoraChoice>& loras) {
  std::string text;
  for (const LoraChoice& lora : loras) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", lora.name(), lora.text_encoder);
    if (lora.unet != lora.text_encoder) text += fmt::format("/{}", lora.unet);
    if (!lora.blocks.empty()) text += fmt::format(" (blocks {})", fmt::join(lora.blocks, " "));
  }
  return text;
}

}  // namespace easel
