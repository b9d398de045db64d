// What a file of weights is, and the reading of files and diffusers folders into named tensors.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <easel/checkpoint/weights.h>

namespace easel {

enum class ModelKind {
  StableDiffusion,  // text encoder, UNet and autoencoder in one of the two layouts
  UNet,             // alone
  Autoencoder,      // alone
  TextEncoder,      // alone
  StableDiffusionXL,
  StableDiffusion3,
  Flux,
  Lora,
  ControlNet,
  T2IAdapter,
  IpAdapter,
  TextualInversion,
  Hypernetwork,
  VqAutoencoder,
  TinyAutoencoder,  // TAESD, whole or a half
  Unknown,
};

// "a whole Stable Diffusion model", "a LoRA" ...
std::string_view kind_text(ModelKind kind);

struct FileInfo {
  ModelKind kind = ModelKind::Unknown;
  std::optional<WeightLayout> layout;  // for whole models and their parts
};

// Judges by the tensors' names and shapes.
FileInfo identify(const Tensors& tensors);

// A file's or a folder's tensors, names as stored; a folder's carry the native prefixes.
struct ModelFiles {
  Tensors tensors;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> unknown_globals;  // classes that pickles name and that stayed opaque
  std::vector<std::filesystem::path> files;  // that were read
  std::string format;                        // "safetensors", "torch zip" ..., "diffusers folder"
};

// Reads one tensor file, or the unet/, vae/ and text_encoder/ of a diffusers folder (.safetensors
// preferred to .bin, full precision to fp16; sharded files by their index). Throws Error.
ModelFiles read_model_files(const std::filesystem::path& path);

// The weights of one folder that holds a config.json: `base` is the files' name without extension,
// "diffusion_pytorch_model" or "model".
ModelFiles read_component(const std::filesystem::path& folder, std::string_view base);

}  // namespace easel
