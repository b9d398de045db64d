// Whether the autoencoder works in strips.
#pragma once

#include <cstdint>
#include <new>

#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <easel/base/progress.h>
#include <easel/base/tensor.h>
#include <easel/models/autoencoder.h>
#include <easel/pipeline/settings.h>

#include "free_memory.h"
#include "torch_errors.h"

namespace easel {

class AutoencoderMemory {
 public:
  // For pictures of this shape, numbers of this type.
  AutoencoderMemory(const AutoencoderConfig& config, at::IntArrayRef picture_BCHW,
                    at::ScalarType dtype, at::Device device);

  // What work(strip_rows) gives: as a whole (0), or in strips where `tiling` or the memory asks for
  // it; then the log says so.
  template <class Work>
  auto run(VaeTiling tiling, const Log& log, const Work& work) const {
    if (tiling == VaeTiling::On) return work(kStripRows);
    if (tiling == VaeTiling::Off) return work(0);
    if (!is_short()) {
      try {
        return work(0);
      } catch (const c10::Error& error) {
        if (!is_out_of_memory(error)) throw;
      } catch (const std::bad_alloc&) {
        // In strips, below: what has failed is to be given up first.
      }
    }
    say(log, LogLevel::Info, "memory is short: the autoencoder works in strips");
    return work(kStripRows);
  }

  // What it takes as a whole beside its weights, in bytes.
  int64_t needed() const { return needed_; }

 private:
  // Of each map that is cut up. Every strip has a few rows more, so narrow ones cost time.
  static constexpr int64_t kStripRows = 32;

  bool is_short() const;

  int64_t needed_;
  bool on_cpu_;
};

}  // namespace easel
