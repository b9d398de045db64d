#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "float32.h"
#include "kernels.h"
#include "parallel.h"

namespace easel::ops::cpu {
namespace {

// Scale and shift of every channel of one image, from the sums over its chunks of pixels.
void scale_and_shift(const float* sums, int64_t num_chunks, int64_t channels, int64_t groups,
                     double pixels, const float* weight, const float* bias, double eps,
                     float* scale, float* shift) {
  std::vector<double> total(static_cast<size_t>(2 * channels));
  for (int64_t chunk = 0; chunk < num_chunks; ++chunk) {
    for (int64_t c = 0; c < 2 * channels; ++c) {
      total[static_cast<size_t>(c)] += sums[chunk * 2 * channels + c];
    }
  }
  const int64_t size = channels / groups;
  const double count = pixels * static_cast<double>(size);
  for (int64_t first = 0; first < channels; first += size) {
    double sum = 0;
    double squares = 0;
    for (int64_t c = first; c < first + size; ++c) {
      sum += total[static_cast<size_t>(c)];
      squares += total[static_cast<size_t>(channels + c)];
    }
    const double mean = sum / count;
    const double variance = std::max(squares / count - mean * mean, 0.0);
    const double inverse = 1 / std::sqrt(variance + eps);
    for (int64_t c = first; c < first + size; ++c) {
      scale[c] = static_cast<float>(weight[c] * inverse);
      shift[c] = static_cast<float>(bias[c] - mean * weight[c] * inverse);
    }
  }
}

}  // namespace

Tensor group_norm(const Tensor& x_BCHW, int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps, bool silu) {
  const int64_t batch = x_BCHW.size(0);
  const int64_t channels = x_BCHW.size(1);
  const int64_t pixels = x_BCHW.size(2) * x_BCHW.size(3);
  // Chunks depend on the map alone, so the sums do not depend on the threads.
  const int64_t chunk = std::clamp<int64_t>(pixels / 64, 32, 1024);
  const int64_t chunks = (pixels + chunk - 1) / chunk;
  Tensor y = at::empty_like(x_BCHW, at::MemoryFormat::ChannelsLast);
  Tensor sums = at::empty({batch, chunks, 2, channels}, x_BCHW.options());
  Tensor scale_shift = at::empty({2, batch, channels}, x_BCHW.options());

  const auto* x_data = x_BCHW.const_data_ptr<float>();
  auto* y_data = y.mutable_data_ptr<float>();
  auto* sum_data = sums.mutable_data_ptr<float>();
  auto* scale = scale_shift.mutable_data_ptr<float>();
  float* shift = scale + batch * channels;
  const auto for_chunks = [&](const auto& run) {  // run(chunk, image, first value, pixels)
    parallel(batch * chunks, 8 * x_BCHW.numel(), [&](const NextTask& next) {
      for (int64_t task = next(); task >= 0; task = next()) {
        const int64_t first = task % chunks * chunk;
        run(task, task / chunks, (task / chunks * pixels + first) * channels,
            std::min(chunk, pixels - first));
      }
    });
  };
  for_chunks([&](int64_t task, int64_t, int64_t first, int64_t count) {
    channel_sums(x_data + first, count, channels, sum_data + task * 2 * channels);
  });
  for (int64_t b = 0; b < batch; ++b) {
    scale_and_shift(sum_data + b * chunks * 2 * channels, chunks, channels, groups,
                    static_cast<double>(pixels), weight.const_data_ptr<float>(),
                    bias.const_data_ptr<float>(), eps, scale + b * channels, shift + b * channels);
  }
  for_chunks([&](int64_t, int64_t image, int64_t first, int64_t count) {
    scale_channels(x_data + first, count, channels, scale + image * channels,
                   shift + image * channels, silu, y_data + first);
  });
  return y;
}

}  // namespace easel::ops::cpu
