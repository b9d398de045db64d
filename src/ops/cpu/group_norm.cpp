#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "float32.h"
#include "kernels.h"
#include "parallel.h"

namespace easel::ops::cpu {
namespace {

// How the positions of a map are cut up. The chunks depend on the map alone, so sums over them do
// not depend on the threads.
struct Chunks {
  int64_t batch, channels, pixels, size, num;

  explicit Chunks(const Tensor& x_BCHW)
      : batch(x_BCHW.size(0)),
        channels(x_BCHW.size(1)),
        pixels(x_BCHW.size(2) * x_BCHW.size(3)),
        size(std::clamp<int64_t>(pixels / 64, 32, 1024)),
        num(divide_up(pixels, size)) {}

  // run(chunk, image, first value, pixels)
  template <class Run>
  void for_each(const Run& run) const {
    parallel(batch * num, 8 * batch * channels * pixels, [&](const NextTask& next) {
      for (int64_t task = next(); task >= 0; task = next()) {
        const int64_t first = task % num * size;
        run(task, task / num, (task / num * pixels + first) * channels,
            std::min(size, pixels - first));
      }
    });
  }
};

// Scale and shift of every channel of one image, from its sums.
void scale_and_shift(const double* sums, const double* squares, int64_t channels, int64_t groups,
                     double pixels, const float* weight, const float* bias, double eps,
                     float* scale, float* shift) {
  const int64_t size = channels / groups;
  const double count = pixels * static_cast<double>(size);
  for (int64_t first = 0; first < channels; first += size) {
    double sum = 0;
    double square = 0;
    for (int64_t c = first; c < first + size; ++c) {
      sum += sums[c];
      square += squares[c];
    }
    const double mean = sum / count;
    const double variance = std::max(square / count - mean * mean, 0.0);
    const double inverse = 1 / std::sqrt(variance + eps);
    for (int64_t c = first; c < first + size; ++c) {
      scale[c] = static_cast<float>(weight[c] * inverse);
      shift[c] = static_cast<float>(bias[c] - mean * weight[c] * inverse);
    }
  }
}

}  // namespace

Tensor channel_sums(const Tensor& x_BCHW) {
  const Chunks chunks(x_BCHW);
  const int64_t channels = chunks.channels;
  Tensor parts = at::empty({chunks.batch, chunks.num, 2, channels}, x_BCHW.options());
  Tensor sums_2BC = at::zeros({2, chunks.batch, channels}, at::kDouble);
  const auto* x = x_BCHW.const_data_ptr<float>();
  auto* part = parts.mutable_data_ptr<float>();
  auto* sums = sums_2BC.mutable_data_ptr<double>();
  chunks.for_each([&](int64_t chunk, int64_t, int64_t first, int64_t count) {
    channel_sums(x + first, count, channels, part + chunk * 2 * channels);
  });
  for (int64_t b = 0; b < chunks.batch; ++b) {
    for (int64_t chunk = 0; chunk < chunks.num; ++chunk, part += 2 * channels) {
      for (int64_t c = 0; c < channels; ++c) {
        sums[b * channels + c] += part[c];
        sums[(chunks.batch + b) * channels + c] += part[channels + c];
      }
    }
  }
  return sums_2BC;
}

Tensor scale_channels(const Tensor& x_BCHW, const Tensor& scale_BC, const Tensor& shift_BC,
                      bool silu) {
  const Chunks chunks(x_BCHW);
  const int64_t channels = chunks.channels;
  Tensor y = at::empty_like(x_BCHW, at::MemoryFormat::ChannelsLast);
  const auto* x_data = x_BCHW.const_data_ptr<float>();
  const auto* scale = scale_BC.const_data_ptr<float>();
  const auto* shift = shift_BC.const_data_ptr<float>();
  auto* y_data = y.mutable_data_ptr<float>();
  chunks.for_each([&](int64_t, int64_t image, int64_t first, int64_t count) {
    scale_channels(x_data + first, count, channels, scale + image * channels,
                   shift + image * channels, silu, y_data + first);
  });
  return y;
}

Tensor group_norm(const Tensor& x_BCHW, int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps, bool silu) {
  const int64_t batch = x_BCHW.size(0);
  const int64_t channels = x_BCHW.size(1);
  const auto pixels = static_cast<double>(x_BCHW.size(2) * x_BCHW.size(3));
  const Tensor sums_2BC = channel_sums(x_BCHW);
  Tensor scale_BC = at::empty({batch, channels}, x_BCHW.options());
  Tensor shift_BC = at::empty({batch, channels}, x_BCHW.options());
  const auto* sums = sums_2BC.const_data_ptr<double>();
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t row = b * channels;
    scale_and_shift(sums + row, sums + batch * channels + row, channels, groups, pixels,
                    weight.const_data_ptr<float>(), bias.const_data_ptr<float>(), eps,
                    scale_BC.mutable_data_ptr<float>() + row,
                    shift_BC.mutable_data_ptr<float>() + row);
  }
  return scale_channels(x_BCHW, scale_BC, shift_BC, silu);
}

}  // namespace easel::ops::cpu
