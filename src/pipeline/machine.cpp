#include "easel/pipeline/machine.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/version.h>

#include <easel/base/error.h>
#include <easel/base/tensor.h>
#include <easel/pipeline/device.h>

#include "cuda_driver.h"
#include "torch_errors.h"

namespace easel {
namespace {

// What Easel's and LibTorch's kernels choose by, on x86 and Arm, slowest first.
constexpr std::array<std::string_view, 11> kInstructions = {
    "avx2",     "f16c",     "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile",
    "amx_bf16", "amx_fp16", "asimd",   "asimdhp",     "bf16"};

void look_at_processor(Machine& machine) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && (machine.processor.empty() || machine.instructions.empty())) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    const std::string value = line.substr(colon + 2);
    if (line.starts_with("model name")) machine.processor = printable(value);
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(value);
    std::string word;
    while (words >> word) {
      if (std::find(kInstructions.begin(), kInstructions.end(), word) != kInstructions.end()) {
        machine.instructions.push_back(word);
      }
    }
  }
  machine.cores = std::thread::hardware_concurrency();
  machine.threads = at::get_num_threads();
}

// A number in a file of one number ("max" is none).
int64_t number_in(const char* path) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? number : std::numeric_limits<int64_t>::max();
}

void look_at_memory(Machine& machine) {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  int64_t kibibytes = 0;
  while (file >> name >> kibibytes) {
    if (name == "MemTotal:") machine.memory_bytes = kibibytes << 10;
    if (name == "MemAvailable:") machine.free_bytes = kibibytes << 10;
    std::getline(file, unit);
  }
  // A container's limit, by control groups of version 2 and 1.
  for (const auto& [limit, used] :
       {std::pair("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        std::pair("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                  "/sys/fs/cgroup/memory/memory.usage_in_bytes")}) {
    const int64_t most = number_in(limit);
    if (most >= machine.memory_bytes) continue;
    machine.memory_bytes = most;
    const int64_t left = most - std::min(most, number_in(used));
    machine.free_bytes = std::min(machine.free_bytes, left);
  }
}

std::string folder_of_libtorch() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&at::get_num_threads), &info) == 0) return {};
  const std::string file = info.dli_fname != nullptr ? info.dli_fname : "";
  return file.substr(0, file.rfind('/'));
}

void look_at_libtorch(Machine& machine) {
  machine.libtorch = TORCH_VERSION;
  machine.libtorch_folder = folder_of_libtorch();
  const auto& cuda = at::detail::getCUDAHooks();
  if (!cuda.hasCUDART()) return;
  machine.libtorch_cuda = cuda.versionCUDART();
  if (cuda.compiledWithCuDNN()) machine.cudnn = cuda.versionCuDNN();
  if (cuda.hasCUDA()) machine.usable_gpus = cuda.deviceCount();
}

void finish(const at::Tensor& result) {
  if (result.is_cuda()) result.flatten()[0].item();  // waits for the device
}

double gigaflops(at::Device device, at::ScalarType dtype) {
  using Clock = std::chrono::steady_clock;
  const int64_t size = device.is_cuda() ? 4096 : 512;
  const auto a = at::ones({size, size}, at::TensorOptions(device).dtype(dtype));
  at::Tensor product = at::mm(a, a);
  finish(product);
  int64_t times = 0;
  const auto start = Clock::now();
  std::chrono::duration<double> taken{};
  while (taken.count() < 0.1) {
    product = at::mm(a, a);
    finish(product);
    taken = Clock::now() - start;
    ++times;
  }
  if (product[0][0].item<double>() != static_cast<double>(size)) {
    fail("{} ones times ones give {}", size, product[0][0].item<double>());
  }
  const auto side = static_cast<double>(size);
  return 2e-9 * side * side * side * static_cast<double>(times) / taken.count();
}

}  // namespace

Machine look_at_machine() {
  Machine machine;
  look_at_driver(machine);
  look_at_libtorch(machine);
  look_at_processor(machine);
  look_at_memory(machine);
  return machine;
}

std::vector<NumberSpeed> try_numbers(const std::string& device) {
  const at::Device on = device_from_name(device);
  std::vector<NumberSpeed> speeds;
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    NumberSpeed speed{.dtype = dtype_name(dtype), .gigaflops = 0, .error = {}};
    try {
      speed.gigaflops = with_plain_errors("", [&] { return gigaflops(on, dtype); });
    } catch (const Error& error) {
      speed.error = error.what();
    }
    speeds.push_back(std::move(speed));
  }
  return speeds;
}

}  // namespace easel
