// What training examples are drawn from, as a value of functions: a folder of pictures, a generator
// of scenes, a test's own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <easel/base/tensor.h>

namespace easel {

struct Example {
  Tensor picture_CHW;   // float32 in [-1, 1], on the CPU; channels RGB
  std::string caption;  // UTF-8; "" where there is none
};

// Every function is called from several threads at once and must give the same for the same
// arguments; it owns or shares what it needs. `seed` decides all that is random about an example.
struct Dataset {
  int64_t size = 0;
  // Throws Error (of kind Runtime) where this one example cannot be had, such as a damaged file: a
  // loader goes on without it. Any other exception ends the run.
  std::function<Example(int64_t index, uint64_t seed)> load;
  // The caption that load gives, without the picture.
  std::function<std::string(int64_t index, uint64_t seed)> caption;
  // How messages call the example, such as a file's name.
  std::function<std::string(int64_t index)> name;
};

}  // namespace easel
