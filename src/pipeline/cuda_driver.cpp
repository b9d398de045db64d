#include "cuda_driver.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>

#include <dlfcn.h>

namespace easel {
namespace {

namespace fs = std::filesystem;

// The driver's interface, as far as it is asked (CUDA driver API, whose binary form is fixed).
constexpr int kComputeMajor = 75;
constexpr int kComputeMinor = 76;
using Init = int (*)(unsigned flags);
using GetInt = int (*)(int* value);
using DeviceGet = int (*)(int* device, int index);
using DeviceName = int (*)(char* name, int size, int device);
using DeviceMemory = int (*)(size_t* bytes, int device);
using DeviceAttribute = int (*)(int* value, int attribute, int device);
using ErrorText = int (*)(int error, const char** text);

std::string whole_text(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// PCI class 03 is a display controller, vendor 10de NVIDIA.
bool has_gpu_on_bus() {
  std::error_code error;
  for (const auto& device : fs::directory_iterator("/sys/bus/pci/devices", error)) {
    if (whole_text(device.path() / "vendor").starts_with("0x10de") &&
        whole_text(device.path() / "class").starts_with("0x03")) {
      return true;
    }
  }
  return false;
}

class DriverLibrary {
 public:
  DriverLibrary() : handle_(::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL)) {}
  explicit operator bool() const { return handle_ != nullptr; }

  // Nullptr where there is no such function.
  template <class Function>
  Function find(const char* name) const {
    return reinterpret_cast<Function>(::dlsym(handle_, name));
  }

 private:
  void* handle_;  // stays open: LibTorch may be using it
};

std::string error_text(const DriverLibrary& library, int code) {
  const char* text = nullptr;
  const auto describe = library.find<ErrorText>("cuGetErrorString");
  if (describe != nullptr && describe(code, &text) == 0 && text != nullptr) return text;
  return "error " + std::to_string(code);
}

Gpu look_at_gpu(const DriverLibrary& library, int index) {
  const auto get = library.find<DeviceGet>("cuDeviceGet");
  const auto name = library.find<DeviceName>("cuDeviceGetName");
  const auto memory = library.find<DeviceMemory>("cuDeviceTotalMem_v2");
  const auto attribute = library.find<DeviceAttribute>("cuDeviceGetAttribute");
  Gpu gpu;
  int device = 0;
  if (!get || !name || !memory || !attribute || get(&device, index) != 0) return gpu;
  std::array<char, 256> text{};
  if (name(text.data(), static_cast<int>(text.size()) - 1, device) == 0) gpu.name = text.data();
  size_t bytes = 0;
  if (memory(&bytes, device) == 0) gpu.memory_bytes = static_cast<int64_t>(bytes);
  attribute(&gpu.major, kComputeMajor, device);
  attribute(&gpu.minor, kComputeMinor, device);
  return gpu;
}

}  // namespace

std::string driver_version(std::string_view text) {
  // NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:05:28 UTC 2025
  text = text.substr(0, text.find('\n'));
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    const bool is_number = std::all_of(
        word.begin(), word.end(), [](unsigned char c) { return std::isdigit(c) != 0 || c == '.'; });
    if (is_number && word.find('.') != std::string_view::npos) return std::string(word);
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return {};
}

void look_at_driver(Machine& machine) {
  machine.gpu_on_bus = has_gpu_on_bus();
  machine.driver = driver_version(whole_text("/proc/driver/nvidia/version"));
  const DriverLibrary library;
  if (!library) return;
  const auto init = library.find<Init>("cuInit");
  const auto version = library.find<GetInt>("cuDriverGetVersion");
  const auto count = library.find<GetInt>("cuDeviceGetCount");
  if (!init || !version || !count) return;
  int cuda = 0;
  if (version(&cuda) == 0) machine.driver_cuda = cuda;
  int num = 0;
  int code = init(0);
  if (code == 0) code = count(&num);
  if (code != 0) machine.driver_error = error_text(library, code);
  for (int i = 0; i < num; ++i) machine.gpus.push_back(look_at_gpu(library, i));
}

}  // namespace easel
