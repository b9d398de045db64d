// Sizes from untrusted files.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include <ATen/core/Tensor.h>

namespace easel {

// The bytes of a tensor of `shape`; nullopt where a size is negative or the product of the non-zero
// sizes (and so any stride) does not fit into 63 bits.
inline std::optional<uint64_t> checked_bytes(at::IntArrayRef shape, size_t item_bytes) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  uint64_t bytes = item_bytes;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) {
      empty = true;
      continue;
    }
    if (bytes > kMax / static_cast<uint64_t>(size)) return std::nullopt;
    bytes *= static_cast<uint64_t>(size);
  }
  return empty ? 0 : bytes;
}

}  // namespace easel
