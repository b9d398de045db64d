#include "autoencoder_memory.h"

namespace easel {

// As measured: the most is taken where the decoder comes to the full size, by the map that was
// enlarged, its normalised copy, what the convolution makes of it and what that works with.
AutoencoderMemory::AutoencoderMemory(const AutoencoderConfig& config, at::IntArrayRef picture_BCHW,
                                     at::ScalarType dtype, at::Device device)
    : on_cpu_(device.is_cpu()) {
  const int64_t positions = picture_BCHW[0] * picture_BCHW[2] * picture_BCHW[3];
  const int64_t fine = config.ch * config.ch_mult.front();
  const int64_t enlarged = config.ch_mult.size() > 1 ? config.ch * config.ch_mult[1] : fine;
  needed_ = positions * (3 * enlarged + fine) * static_cast<int64_t>(c10::elementSize(dtype));
}

bool AutoencoderMemory::is_short() const {
  // What a GPU has left is known best by asking it for more.
  if (!on_cpu_) return false;
  const auto free = free_memory();
  return free && *free < needed_;
}

}  // namespace easel
