#include "easel/pipeline/device.h"

#include <charconv>
#include <optional>
#include <string_view>

#include <ATen/ATen.h>

#include <easel/base/error.h>

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

}  // namespace

at::Device device_from_name(const std::string& name) {
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

}  // namespace easel
