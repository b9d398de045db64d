// Devices by their names on a command line.
#pragma once

#include <string>

#include <ATen/core/TensorBody.h>

namespace easel {

// "auto" (a CUDA device if there is one), "cpu", "cuda", "cuda:N". Throws Error (Usage) on another
// name, and Error where the device is not there.
at::Device device_from_name(const std::string& name);

}  // namespace easel
