#include "philox.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace easel {
namespace {

constexpr size_t kLanes = 64;  // counters worked on side by side, so that the rounds vectorise

// Structure of arrays: word[w][lane].
struct Block {
  std::array<std::array<uint32_t, kLanes>, 4> word;
};

void rounds(Block& block, uint32_t key0, uint32_t key1) {
  auto& [a, b, c, d] = block.word;
  for (int round = 0; round < 10; ++round) {
    for (size_t i = 0; i < kLanes; ++i) {
      const uint64_t first = uint64_t{0xD2511F53} * a[i];
      const uint64_t second = uint64_t{0xCD9E8D57} * c[i];
      a[i] = static_cast<uint32_t>(second >> 32) ^ b[i] ^ key0;
      b[i] = static_cast<uint32_t>(second);
      c[i] = static_cast<uint32_t>(first >> 32) ^ d[i] ^ key1;
      d[i] = static_cast<uint32_t>(first);
    }
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
}

// curand's _curand_box_muller. The GPU rounds u and v to float32, the product and sum of v fused
// into one rounding; log, sin and their product follow in float32.
float first_normal(uint32_t x, uint32_t y) {
  constexpr float kInverse = 2.3283064e-10f;                  // 2^-32
  constexpr float kInverse2Pi = 2.3283064e-10f * 6.2831855f;  // 2 pi 2^-32
  const float u = static_cast<float>(x) * kInverse + kInverse / 2;
  const auto v = static_cast<float>(static_cast<double>(static_cast<float>(y)) * kInverse2Pi +
                                    static_cast<double>(kInverse2Pi / 2));
  return std::sqrt(-2.0f * std::log(u)) * std::sin(v);
}

}  // namespace

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter,
                                      std::array<uint32_t, 2> key) {
  Block block;
  for (size_t w = 0; w < 4; ++w) block.word[w].fill(counter[w]);
  rounds(block, key[0], key[1]);
  return {block.word[0][0], block.word[1][0], block.word[2][0], block.word[3][0]};
}

void philox_normal(uint64_t seed, uint64_t call, std::span<float> values) {
  Block block;
  for (size_t start = 0; start < values.size(); start += kLanes) {
    for (size_t i = 0; i < kLanes; ++i) {
      const uint64_t element = start + i;
      block.word[0][i] = static_cast<uint32_t>(call);
      block.word[1][i] = static_cast<uint32_t>(call >> 32);
      block.word[2][i] = static_cast<uint32_t>(element);
      block.word[3][i] = static_cast<uint32_t>(element >> 32);
    }
    rounds(block, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
    const size_t count = std::min(kLanes, values.size() - start);
    for (size_t i = 0; i < count; ++i) {
      values[start + i] = first_normal(block.word[0][i], block.word[1][i]);
    }
  }
}

}  // namespace easel
