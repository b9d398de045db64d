#include "block_weights.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <easel/base/error.h>

namespace easel {
namespace {

// The blocks with attention of Stable Diffusion 1 and 2 among their 25.
constexpr size_t kBlocksOfV1 = 25;
constexpr std::array<size_t, 16> kWithAttention{1,  2,  4,  5,  7,  8,  12, 16,
                                                17, 18, 19, 20, 21, 22, 23, 24};

// The number behind `prefix` in a name of CompVis's layout: the block.
std::optional<size_t> block_in(std::string_view name, std::string_view prefix) {
  const size_t at = name.find(prefix);
  if (at == name.npos) return std::nullopt;
  size_t number = 0;
  const auto [end, error] =
      std::from_chars(name.data() + at + prefix.size(), name.data() + name.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

}  // namespace

UNetBlockPlaces::UNetBlockPlaces(const ModelConfig& config) {
  constexpr std::string_view kInput = ".input_blocks.";
  constexpr std::string_view kOutput = ".output_blocks.";
  const std::vector<KeyRule> rules = key_rules(config, WeightLayout::CompVis, Part::UNet);
  for (const KeyRule& rule : rules) {
    if (const auto block = block_in(rule.foreign, kInput)) input_ = std::max(input_, *block + 1);
    if (const auto block = block_in(rule.foreign, kOutput)) output_ = std::max(output_, *block + 1);
  }
  for (const KeyRule& rule : rules) {
    const std::string& name = rule.foreign;
    const auto input = block_in(name, kInput);
    const auto output = block_in(name, kOutput);
    places_[rule.native] = input                                      ? *input
                           : output                                   ? input_ + 1 + *output
                           : name.find(".middle_block.") != name.npos ? input_
                           : name.find(".out.") != name.npos          ? all() - 1
                                                                      : 0;
  }
}

std::vector<double> numbers_of_blocks(const std::vector<double>& given,
                                      const UNetBlockPlaces& places, const std::string& what) {
  if (given.size() == places.all() + 1) return given;
  const bool of_v1 = places.all() == kBlocksOfV1 && places.input() == 12;
  if (of_v1 && given.size() == kWithAttention.size() + 1) {
    std::vector<double> numbers(places.all() + 1, 1);
    numbers[0] = given[0];
    for (size_t i = 0; i < kWithAttention.size(); ++i)
      numbers[kWithAttention[i] + 1] = given[i + 1];
    return numbers;
  }
  fail_usage(
      "{}: there are {} numbers for blocks; this UNet has {} input blocks, a middle block and {} "
      "output blocks: give {} numbers, the first for the text encoder{}",
      what, given.size(), places.input(), places.output(), places.all() + 1,
      of_v1 ? ", or the 17 of the blocks with attention" : "");
}

}  // namespace easel
