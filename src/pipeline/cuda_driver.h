// NVIDIA's driver asked without LibTorch, which may be built without CUDA or for another version.
#pragma once

#include <string>
#include <string_view>

#include <easel/pipeline/machine.h>

namespace easel {

// Fills in what the machine's GPUs and driver are.
void look_at_driver(Machine& machine);

// "580.65.06" of the text of /proc/driver/nvidia/version; "" where it names none.
std::string driver_version(std::string_view text);

}  // namespace easel
