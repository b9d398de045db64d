// A model by its path, on a device by its name. No LibTorch in this header.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <easel/base/progress.h>

namespace easel {

struct StableDiffusion;

struct ModelRequest {
  std::filesystem::path model;     // file or diffusers folder
  std::filesystem::path config{};  // as in LoadOptions
  std::filesystem::path default_config{};
  std::filesystem::path vocabulary{};
  std::filesystem::path vae{};
  std::vector<std::filesystem::path> embeddings{};  // files and folders, as read_embeddings() takes
  bool use_ema = false;
  std::string prediction = "auto";  // eps, v or x0, in the place of the config's
  std::string device = "auto";  // auto, cpu, cuda, cuda:N; auto is a CUDA device if there is one
  std::string dtype = "auto";   // auto, float32, float16, bfloat16; auto: float16 on CUDA
  bool low_memory = false;      // weights are brought layer by layer as they are needed
  Log log{};
};

// Throws Error (Usage) where the device or the dtype is no such name, and Error where the device is
// not there. Does nothing else.
void check_device(const std::string& device, const std::string& dtype);

std::shared_ptr<const StableDiffusion> open_model(const ModelRequest& request);

// What a model is made to draw with, from its config; no network is loaded.
struct ModelUse {
  int64_t side;    // of the pictures that it was trained on, in pixels
  bool few_steps;  // distilled to draw in a few (LCM)
};
ModelUse model_use(const ModelRequest& request);

struct ModelSummary {
  std::string name;
  std::string device;
  std::string dtype;
  int64_t latent_channels;
  int64_t downsampling;           // pixels per latent along a side
  int64_t size_unit = 8;          // sizes are multiples of it, in pixels
  int64_t best_size_unit = 64;    // multiples that the network halves evenly all the way down
  bool instruct_pix2pix = false;  // changes pictures by instructions
  bool takes_depth = false;       // goes by a map of depths
  int64_t enlarges = 1;           // an upscaler: how many times as wide and high it draws a picture
};
ModelSummary summarize(const StableDiffusion& model);

// Peak memory of the model's device in bytes since the program's start; 0 where it is the CPU.
int64_t peak_device_memory(const StableDiffusion& model);

// Threads that tensor operators use; 0 leaves LibTorch's own choice.
void set_threads(int64_t threads);

// Keeps the memory of tensors that are gone for the next ones (glibc): every operator makes large
// tensors, and asking the system for their pages again takes a tenth of the time on a CPU. For the
// whole process; its peak memory is the same.
void keep_freed_memory();

// Keeps float32 at its full precision on CUDA, where cuDNN's convolutions round to TF32 by default.
// For the whole process.
void use_exact_float32();

// LibTorch's version.
std::string_view libtorch_version();

}  // namespace easel
