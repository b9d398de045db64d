// Checks that the models' configs share.
#pragma once

#include <cstdint>
#include <string_view>

#include <easel/base/error.h>

namespace easel::models {

// Far above any model, far below where a product of sizes would overflow.
inline constexpr int64_t kMaxChannels = int64_t{1} << 20;
inline constexpr int64_t kMaxLevels = 16;
inline constexpr int64_t kMaxLayers = 1024;

// Throws Error (Usage) unless low <= value <= high. `name` is the field with its model in front:
// "UNet config: in_channels".
inline void check_range(std::string_view name, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) {
    fail_usage("{} is {}; it must be from {} to {}", name, value, low, high);
  }
}

// Throws Error (Usage) unless the groups of the group norms divide the channels.
inline void check_groups(std::string_view name, int64_t channels, int64_t groups) {
  check_range("norm_num_groups", groups, 1, kMaxChannels);
  check_range(name, channels, 1, kMaxChannels);
  if (channels % groups != 0) {
    fail_usage("{} is {}; it must be a multiple of norm_num_groups, which is {}", name, channels,
               groups);
  }
}

inline void check_dropout(std::string_view name, double dropout) {
  if (!(dropout >= 0 && dropout < 1)) {
    fail_usage("{} is {}; it must be at least 0 and below 1", name, dropout);
  }
}

}  // namespace easel::models
