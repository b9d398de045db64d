// How much memory there is left.
#pragma once

#include <cstdint>
#include <optional>

namespace easel {

// Bytes that this process may still take on the CPU without pushing anything out: what Linux counts
// as available, what the heap keeps for later, and no more than the control group allows. nullopt
// where the system does not say.
std::optional<int64_t> free_memory();

}  // namespace easel
