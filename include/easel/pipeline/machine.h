// What this machine has to draw with, and what to do about what it lacks. No LibTorch in this
// header.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace easel {

// An NVIDIA GPU as its driver describes it.
struct Gpu {
  std::string name;
  int major = 0;  // compute capability
  int minor = 0;
  int64_t memory_bytes = 0;
};

struct Machine {
  std::string libtorch;         // its version
  std::string libtorch_folder;  // where its libraries were loaded from; "" where that is unknown
  int64_t libtorch_cuda = 0;    // the CUDA that it was built for, as 13000; 0: none
  int64_t cudnn = 0;            // as 91002; 0: none
  int64_t usable_gpus = 0;      // that LibTorch can use

  bool gpu_on_bus = false;   // a graphics processor of NVIDIA's is plugged in
  std::string driver;        // of the kernel, "580.65.06"; "" where there is none
  int64_t driver_cuda = 0;   // the newest CUDA that the driver's library serves, as 13000; 0: none
  std::string driver_error;  // what its library answers where it cannot be used
  std::vector<Gpu> gpus;     // that it knows of

  std::string processor;
  std::vector<std::string> instructions;  // of those that matter here: avx2, avx512_bf16 ...
  int64_t cores = 0;                      // that this process may use
  int64_t threads = 0;                    // that LibTorch will use
  int64_t memory_bytes = 0;  // of the machine, or what a container's limit leaves of it
  int64_t free_bytes = 0;    // of it, what can be had now
};

// Asks the system, the driver and LibTorch; what cannot be found out stays empty. Sets CUDA up
// where there is a GPU, and changes nothing.
Machine look_at_machine();

// One thing that was looked at.
struct Finding {
  std::string topic{};
  std::string found{};
  std::string fix{};      // what to do about it; "": nothing
  bool prevents = false;  // nothing can be drawn before that is done
};
std::vector<Finding> examine(const Machine& machine);

// How fast a device multiplies matrices of one type of numbers.
struct NumberSpeed {
  std::string dtype;
  double gigaflops = 0;
  std::string error;  // why it cannot; then there is no speed
};
// float32, bfloat16 and float16 on a device by its name, some tenths of a second in all. Throws
// Error where the device is not there.
std::vector<NumberSpeed> try_numbers(const std::string& device);
Finding examine(const std::string& device, const std::vector<NumberSpeed>& speeds);

// "4.3 GB", "120 MB": powers of ten.
std::string bytes_text(int64_t bytes);

}  // namespace easel
