// A whole model in memory, and how it is loaded from whatever a person has.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <ATen/core/TensorBody.h>

#include <easel/base/progress.h>
#include <easel/checkpoint/model_config.h>
#include <easel/checkpoint/weights.h>
#include <easel/models/autoencoder.h>
#include <easel/models/clip_text.h>
#include <easel/models/tiny_autoencoder.h>
#include <easel/models/unet.h>
#include <easel/nn/stored_weights.h>
#include <easel/text/tokenizer.h>

namespace easel {

// Immutable once loaded: may be shared between threads. Moves, does not copy cheaply by accident.
struct StableDiffusion {
  ModelConfig config;
  Tokenizer tokenizer;
  ClipText text_encoder;
  UNet unet;
  Autoencoder autoencoder;
  NoiseSchedule schedule;
  at::Device device = at::kCPU;
  at::ScalarType dtype = at::kFloat;   // of text encoder, UNet and autoencoder alike
  std::string name;                    // file or folder name, for the settings text
  TinyAutoencoder tiny_autoencoder{};  // takes the autoencoder's place as far as it goes
  bool low_memory = false;  // text encoder, UNet and autoencoder are on the CPU as stored

  // Where the layers are to bring their weights, for nn::StoredWeights around every forward().
  std::optional<nn::WeightPlace> weight_place() const;
};

struct LoadOptions {
  std::filesystem::path config;  // CompVis YAML; empty: `model`'s own (a diffusers folder, or a
                                 // .yaml beside the file with its name), else `default_config`
  std::filesystem::path default_config;  // v1-inference.yaml as installed; a file that is another
                                         // model takes that one's config beside it
  std::filesystem::path vocabulary;      // CLIP's BPE file, for models that bring no tokenizer
  std::filesystem::path vae;  // weights that replace the model's autoencoder, or TAESD; may be
                              // empty
  bool use_ema = false;       // take model_ema.* for the UNet
  std::optional<Parameterization> parameterization{};  // in the place of the config's
  at::Device device = at::kCPU;
  std::optional<at::ScalarType> dtype;  // nullopt: float32 on a CPU, float16 on CUDA
  bool low_memory = false;              // leave the weights where and as they are stored
  Log log;
};

// Loads a CompVis .ckpt or .safetensors file (either key layout) or a diffusers folder. On a CPU
// with the stored dtype the parameters are views of the mapped file. Throws one Error that lists
// every missing, unexpected and misshapen tensor, or says what the file is instead of a model.
StableDiffusion load(const std::filesystem::path& model, const LoadOptions& options);

// The two halves of load(), for programs that need no networks: the config that the options name,
// and the parameters under their native names (see weights.h), checked, on the CPU as stored.
ModelConfig find_model_config(const std::filesystem::path& model, const LoadOptions& options);
Tensors load_native(const std::filesystem::path& model, const ModelConfig& config,
                    const LoadOptions& options);

// The folder of that config, where relative paths in it start.
std::filesystem::path config_folder(const std::filesystem::path& model, const LoadOptions& options);

// The tokenizer of a config that was read from a file in `folder`: ModelConfig::tokenizer, or,
// where that is empty, CLIP's, whose BPE file is `vocabulary`. Throws Error where the text encoder
// has fewer entries than the tokenizer.
Tokenizer load_tokenizer(const std::filesystem::path& folder, const std::string& tokenizer,
                         const ClipTextConfig& text_encoder,
                         const std::filesystem::path& vocabulary);
Tokenizer load_tokenizer(const std::filesystem::path& folder, const ModelConfig& config,
                         const std::filesystem::path& vocabulary);

}  // namespace easel
