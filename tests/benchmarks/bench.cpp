// Times the parts of a model and prints one JSON object to stdout; scripts/bench runs it beside
// peers.
//
//   easel_bench MODEL VOCABULARY CONFIG SIZE REPEATS DEVICE DTYPE THREADS [aten]
//
// "aten": the UNet step and the decoding once more with LibTorch's operators alone, in turn with
// the hand-written ones, and how far apart the results are.
//
// A UNet step is one guided evaluation: a batch of two. Each part runs once before it is timed.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <iostream>
#include <limits>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/InferenceMode.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include "easel/base/error.h"
#include "easel/checkpoint/stable_diffusion.h"
#include "easel/ops/aten_only.h"
#include "easel/pipeline/open_model.h"

namespace {

using easel::Tensor;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Waits for the device: reading one number back orders after all work in its stream.
void finish(const Tensor& result) { result.flatten()[0].item<float>(); }

std::vector<double> time_runs(int repeats, const std::function<Tensor()>& run) {
  std::vector<double> seconds;
  for (int i = 0; i <= repeats; ++i) {
    const auto start = Clock::now();
    finish(run());
    if (i > 0) seconds.push_back(seconds_since(start));
  }
  return seconds;
}

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// `run` by the hand-written operators and by LibTorch's in turn: the least processor time of each,
// in all threads together, and the largest difference as a part of the largest value.
std::string compare_with_aten(int repeats, const std::function<Tensor()>& run) {
  double seconds = std::numeric_limits<double>::infinity();
  double aten_seconds = seconds;
  Tensor result, aten_result;
  for (int i = 0; i < repeats; ++i) {
    double start = processor_seconds();
    finish(result = run());
    seconds = std::min(seconds, processor_seconds() - start);
    const easel::ops::AtenOnly aten_only;
    start = processor_seconds();
    finish(aten_result = run());
    aten_seconds = std::min(aten_seconds, processor_seconds() - start);
  }
  const double largest = aten_result.abs().max().item<double>();
  return fmt::format(
      R"({{"processor_seconds": {}, "aten_processor_seconds": {}, "difference": {}}})", seconds,
      aten_seconds, (result - aten_result).abs().max().item<double>() / largest);
}

int64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

int64_t peak_device_bytes(at::Device device) {
  if (device.is_cpu()) return 0;
  return at::getDeviceAllocator(device.type())
      ->getDeviceStats(device.index() < 0 ? c10::DeviceIndex{0} : device.index())
      .allocated_bytes[0]
      .peak;
}

int run(char** argv, bool with_aten) {
  const int64_t size = std::atoll(argv[4]);
  const int repeats = std::atoi(argv[5]);
  easel::LoadOptions options;
  options.vocabulary = argv[2];
  options.default_config = argv[3];
  options.device = at::Device(argv[6]);
  options.dtype = easel::dtype_from_name(argv[7]);
  easel::set_threads(std::atoi(argv[8]));
  easel::keep_freed_memory();
  c10::InferenceMode inference;

  const auto start = Clock::now();
  const easel::StableDiffusion model = easel::load(argv[1], options);
  const double load_seconds = seconds_since(start);

  const auto like = at::TensorOptions().dtype(model.dtype).device(model.device);
  const int64_t side = size / model.config.autoencoder.downsampling();
  const Tensor tokens_BT =
      at::tensor(model.tokenizer.encode("a photograph of an astronaut riding a horse"))
          .unsqueeze(0)
          .to(model.device);
  const auto text = time_runs(repeats, [&] { return model.text_encoder.forward(tokens_BT); });
  const Tensor context_BTD = model.text_encoder.forward(tokens_BT.repeat({2, 1}));
  const Tensor x_BCHW = at::randn({2, model.config.unet.in_channels, side, side}).to(like);
  const Tensor t_B = at::full({2}, 500.0, like.dtype(at::kFloat));
  const auto unet =
      time_runs(repeats, [&] { return model.unet.forward(x_BCHW, t_B, context_BTD); });
  const int64_t after_unet = peak_resident_bytes();
  const Tensor z_BCHW =
      at::randn({1, model.config.autoencoder.embed_dim, side, side}).to(like) / 0.18215;
  const auto decode = time_runs(repeats, [&] { return model.autoencoder.decode(z_BCHW); });

  if (with_aten) {
    fmt::print(
        R"({{"unet_step": {}, "vae_decode": {}}})"
        "\n",
        compare_with_aten(repeats, [&] { return model.unet.forward(x_BCHW, t_B, context_BTD); }),
        compare_with_aten(repeats, [&] { return model.autoencoder.decode(z_BCHW); }));
  }
  fmt::print(
      R"({{"load_seconds": {}, "text_seconds": [{}], "unet_step_seconds": [{}], )"
      R"("vae_decode_seconds": [{}], "peak_bytes_unet": {}, "peak_bytes": {}, "device_peak_bytes": {}}})"
      "\n",
      load_seconds, fmt::join(text, ", "), fmt::join(unet, ", "), fmt::join(decode, ", "),
      after_unet, peak_resident_bytes(), peak_device_bytes(model.device));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool with_aten = argc == 10 && std::string_view(argv[9]) == "aten";
  if (argc != 9 && !with_aten) {
    std::cerr << "usage: easel_bench MODEL VOCABULARY CONFIG SIZE REPEATS DEVICE DTYPE THREADS "
                 "[aten]\n";
    return 2;
  }
  try {
    return run(argv, with_aten);
  } catch (const easel::Error& error) {
    std::cerr << "easel_bench: error: " << error.what() << "\n";
    return 1;
  }
}
