// The UNet's blocks as CompVis's layout counts them, and numbers for each.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <easel/checkpoint/weights.h>

namespace easel {

// Input blocks, the middle block, output blocks, in this order; the time embedding counts as the
// first and the output layers as the last.
class UNetBlockPlaces {
 public:
  explicit UNetBlockPlaces(const ModelConfig& config);

  size_t input() const { return input_; }
  size_t output() const { return output_; }
  size_t all() const { return input_ + 1 + output_; }
  // Of a parameter by its native name.
  size_t at(const std::string& native) const { return places_.at(native); }

 private:
  size_t input_ = 0, output_ = 0;
  std::map<std::string, size_t> places_;
};

// One number for the text encoder (and what else is no UNet), then one a block. `given` is that, or
// the 17 numbers that LoRAs have for the blocks with attention of a UNet of 12, 1 and 12 blocks;
// the others then have 1. Throws Error (Usage) on another count; `what` leads the message.
std::vector<double> numbers_of_blocks(const std::vector<double>& given,
                                      const UNetBlockPlaces& places, const std::string& what);

}  // namespace easel
