#include "easel/pipeline/open_model.h"

#include <charconv>
#include <optional>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/version.h>

#include <easel/base/error.h>
#include <easel/checkpoint/stable_diffusion.h>

#include "torch_errors.h"

namespace easel {
namespace {

int64_t num_cuda_devices() {
  if (!at::globalContext().hasCUDA()) return 0;
  return static_cast<int64_t>(at::detail::getCUDAHooks().deviceCount());
}

// "N" of "cuda:N"; nullopt where it is no number.
std::optional<int64_t> device_index(std::string_view text) {
  int64_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size() || index < 0) return std::nullopt;
  return index;
}

at::Device find_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name == "auto")
    return num_cuda_devices() > 0 ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  std::optional<int64_t> index;
  if (name == "cuda")
    index = 0;
  else if (name.starts_with("cuda:"))
    index = device_index(std::string_view(name).substr(5));
  if (!index) fail_usage("unknown device '{}'; it is auto, cpu, cuda or cuda:N", printable(name));
  if (!at::globalContext().hasCUDA()) {
    fail(
        "--device {}: LibTorch finds no CUDA (a build without it, or no NVIDIA driver or GPU on "
        "this "
        "machine); use --device cpu",
        name);
  }
  const int64_t num = num_cuda_devices();
  if (*index >= num) {
    fail("--device {}: there {} {} CUDA device{}{}", name, num == 1 ? "is" : "are", num,
         num == 1 ? "" : "s", num == 0 ? "; use --device cpu" : ", numbered from 0");
  }
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(*index));
}

std::optional<at::ScalarType> find_dtype(const std::string& name) {
  if (name == "auto") return std::nullopt;
  const auto dtype = dtype_from_name(name);
  if (!dtype || (*dtype != at::kFloat && *dtype != at::kHalf && *dtype != at::kBFloat16)) {
    fail_usage("unknown dtype '{}'; it is auto, float32, float16 or bfloat16", printable(name));
  }
  return dtype;
}

}  // namespace

void check_device(const std::string& device, const std::string& dtype) {
  find_device(device);
  find_dtype(dtype);
}

std::shared_ptr<const StableDiffusion> open_model(const ModelRequest& request) {
  const LoadOptions options{.config = request.config,
                            .default_config = request.default_config,
                            .vocabulary = request.vocabulary,
                            .vae = request.vae,
                            .use_ema = request.use_ema,
                            .device = find_device(request.device),
                            .dtype = find_dtype(request.dtype),
                            .log = request.log};
  return with_plain_errors("the model needs more than there is; use --dtype float16", [&] {
    return std::make_shared<const StableDiffusion>(load(request.model, options));
  });
}

ModelSummary summarize(const StableDiffusion& model) {
  return {.name = model.name,
          .device = model.device.str(),
          .dtype = dtype_name(model.dtype),
          .latent_channels = model.config.autoencoder.embed_dim,
          .downsampling = model.config.autoencoder.downsampling()};
}

int64_t peak_device_memory(const StableDiffusion& model) {
  if (model.device.is_cpu()) return 0;
  const auto stats = c10::getDeviceAllocator(model.device.type())
                         ->getDeviceStats(model.device.has_index() ? model.device.index() : 0);
  return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
      .peak;
}

void set_threads(int64_t threads) {
  if (threads < 0 || threads > 4096)
    fail_usage("{} threads; it is 0 (one a core) to 4096", threads);
  if (threads > 0) at::set_num_threads(static_cast<int>(threads));
}

void use_exact_float32() {
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
}

std::string_view libtorch_version() { return TORCH_VERSION; }

}  // namespace easel
