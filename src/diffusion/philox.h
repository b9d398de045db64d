// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") and normal
// numbers from it as curand and PyTorch make them on a GPU.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace easel {

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// values[i] is the first Box-Muller output of counter {call, 0, i, 0} (64-bit halves: call and i),
// key = seed: what element i of a generator's call number `call` to torch.randn is on a CUDA
// device.
void philox_normal(uint64_t seed, uint64_t call, std::span<float> values);

}  // namespace easel
