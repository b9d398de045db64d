// What an adapter makes of one weight.
#pragma once

#include <string>

#include "lora_file.h"

namespace easel {

// The weight [O, I] or [O, I, kernel, kernel] with the module's update, `strength` times, float32
// on its device. Throws Error with a message that starts with `what` where they do not fit.
Tensor adapted(const Tensor& weight, const LoraModule& module, double strength,
               const std::string& what);

}  // namespace easel
