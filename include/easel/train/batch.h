// What a training step works on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <easel/base/tensor.h>

namespace easel {

// B examples. Every random choice about an example (crop, caption, timestep, noise ...) comes from
// its seed, which depends on the run's seed and on the example's place in the stream of examples
// alone: a resumed run repeats an unbroken one, and any number of processes draws the same.
struct Batch {
  Tensor pictures_BCHW;               // float32 in [-1, 1]; undefined where latents are cached
  std::vector<std::string> captions;  // "" where there is none
  std::vector<int64_t> indices;       // in the dataset
  std::vector<uint64_t> seeds;

  int64_t size() const { return static_cast<int64_t>(indices.size()); }
};

// A seed that depends on all bits of both (SplitMix64's finaliser over their combination).
constexpr uint64_t mix_seed(uint64_t seed, uint64_t value) {
  uint64_t z = seed + 0x9e3779b97f4a7c15ULL * (value + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace easel
