// What a machine's figures mean for the one who wants to draw.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <easel/pipeline/machine.h>

namespace easel {
namespace {

// Weights of Stable Diffusion v1 and what a picture of 512x512 takes beside them, rounded up.
constexpr int64_t kFloat32Bytes = 6'000'000'000;
constexpr int64_t kHalfBytes = 3'500'000'000;

std::string cuda_text(int64_t version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

Finding examine_libtorch(const Machine& machine) {
  Finding finding{.topic = "LibTorch", .found = machine.libtorch};
  finding.found += machine.libtorch_cuda > 0
                       ? fmt::format(", for CUDA {}", cuda_text(machine.libtorch_cuda))
                       : ", without CUDA";
  if (machine.cudnn > 0) {
    // 8907 is 8.9.7, 91002 is 9.10.2.
    const int64_t unit = machine.cudnn >= 90000 ? 10000 : 1000;
    finding.found += fmt::format(" and cuDNN {}.{}.{}", machine.cudnn / unit,
                                 machine.cudnn % unit / 100, machine.cudnn % 100);
  }
  if (!machine.libtorch_folder.empty()) {
    finding.found += fmt::format(", in {}", machine.libtorch_folder);
  }
  return finding;
}

std::string gpu_text(const Gpu& gpu) {
  return fmt::format("{} ({}, compute capability {}.{})", gpu.name, bytes_text(gpu.memory_bytes),
                     gpu.major, gpu.minor);
}

// Why LibTorch cannot use a GPU that is there; "" where none is.
std::string gpu_fix(const Machine& machine) {
  if (!machine.gpu_on_bus && machine.gpus.empty() && machine.driver.empty()) return {};
  if (machine.driver.empty() && machine.driver_cuda == 0) {
    return "a GPU is plugged in, but NVIDIA's driver is not installed: on Debian and Ubuntu "
           "install the package nvidia-driver (Ubuntu: `ubuntu-drivers install`) and restart";
  }
  if (machine.driver_cuda == 0) {
    return "the driver runs, but its library libcuda.so.1 is not here: install the driver's "
           "libcuda1 (Ubuntu: libnvidia-compute), or start the container with --gpus all";
  }
  if (machine.libtorch_cuda == 0) {
    return "this LibTorch is built without CUDA: take one with it (scripts/setup fetches one; "
           "else set CMAKE_PREFIX_PATH to yours) and build Easel again";
  }
  if (machine.driver_cuda / 1000 < machine.libtorch_cuda / 1000) {
    return fmt::format(
        "the driver serves CUDA {} and LibTorch needs {}: update the driver, or take a LibTorch "
        "for an older CUDA",
        cuda_text(machine.driver_cuda), cuda_text(machine.libtorch_cuda));
  }
  if (!machine.driver_error.empty()) {
    return fmt::format(
        "the driver answers '{}': see that no CUDA_VISIBLE_DEVICES hides the GPU, that this user "
        "may open /dev/nvidia*, and restart after an update of the driver",
        machine.driver_error);
  }
  return "LibTorch finds none of the GPUs: see that CUDA_VISIBLE_DEVICES does not hide them";
}

Finding examine_gpus(const Machine& machine) {
  Finding finding{.topic = "GPU"};
  std::vector<std::string> names;
  for (const Gpu& gpu : machine.gpus) names.push_back(gpu_text(gpu));
  finding.found = fmt::format("{}", fmt::join(names, "; "));
  if (names.empty()) {
    finding.found = machine.gpu_on_bus ? "one of NVIDIA's, out of reach"
                                       : "none of NVIDIA's; pictures are drawn on the processor";
  }
  if (!machine.driver.empty()) finding.found += fmt::format("; driver {}", machine.driver);
  if (machine.driver_cuda > 0) {
    finding.found += fmt::format("; CUDA up to {}", cuda_text(machine.driver_cuda));
  }
  if (machine.usable_gpus == 0) {
    finding.fix = gpu_fix(machine);
    return finding;
  }
  const auto smallest =
      std::min_element(machine.gpus.begin(), machine.gpus.end(),
                       [](const Gpu& a, const Gpu& b) { return a.memory_bytes < b.memory_bytes; });
  if (smallest != machine.gpus.end() && smallest->memory_bytes < kHalfBytes) {
    finding.fix = fmt::format(
        "a v1 model takes about {} in float16: draw smaller pictures, or on "
        "the processor (--device cpu)",
        bytes_text(kHalfBytes));
  }
  return finding;
}

Finding examine_processor(const Machine& machine) {
  Finding finding{
      .topic = "Processor",
      .found = fmt::format("{}{}{}, {} of {} cores in use",
                           machine.processor.empty() ? "unknown" : machine.processor,
                           machine.instructions.empty() ? "" : ", ",
                           fmt::join(machine.instructions, " "), machine.threads, machine.cores)};
  if (machine.threads < machine.cores) {
    finding.fix = "more cores could be used: see OMP_NUM_THREADS, or give --threads";
  }
  const auto has = [&](std::string_view name) {
    return std::find(machine.instructions.begin(), machine.instructions.end(), name) !=
           machine.instructions.end();
  };
  if (!machine.instructions.empty() && !has("avx2") && !has("asimd")) {
    finding.fix =
        "it has no AVX2, without which drawing takes several times as long; in a virtual "
        "machine, pass the host's processor through";
  }
  return finding;
}

Finding examine_memory(const Machine& machine) {
  Finding finding{.topic = "Memory",
                  .found = fmt::format("{} of {} free", bytes_text(machine.free_bytes),
                                       bytes_text(machine.memory_bytes))};
  if (machine.free_bytes < kHalfBytes) {
    finding.fix = fmt::format(
        "a v1 model takes about {} at 512x512 in bfloat16: close other "
        "programs or draw smaller pictures",
        bytes_text(kHalfBytes));
  } else if (machine.free_bytes < kFloat32Bytes) {
    finding.fix = fmt::format(
        "a v1 model takes about {} at 512x512 in float32: on the processor "
        "give --dtype bfloat16",
        bytes_text(kFloat32Bytes));
  }
  return finding;
}

}  // namespace

std::string bytes_text(int64_t bytes) {
  const auto amount = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.1f} GB", amount / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.0f} MB", amount / 1e6);
  return fmt::format("{:.0f} kB", amount / 1e3);
}

std::vector<Finding> examine(const Machine& machine) {
  return {examine_libtorch(machine), examine_gpus(machine), examine_processor(machine),
          examine_memory(machine)};
}

Finding examine(const std::string& device, const std::vector<NumberSpeed>& speeds) {
  Finding finding{.topic = "Numbers"};
  std::vector<std::string> parts;
  for (const NumberSpeed& speed : speeds) {
    if (speed.error.empty()) {
      parts.push_back(fmt::format("{} {:.3g}", speed.dtype, speed.gigaflops));
      continue;
    }
    parts.push_back(fmt::format("{} does not work", speed.dtype));
    finding.fix = fmt::format("{}: {}", speed.dtype, speed.error);
    finding.prevents = finding.prevents || speed.dtype == "float32";
  }
  finding.found =
      fmt::format("billions of operations a second on {}: {}", device, fmt::join(parts, ", "));
  return finding;
}

}  // namespace easel
