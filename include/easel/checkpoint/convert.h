// From one kind of checkpoint to another: layout, container, number type.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <easel/base/progress.h>
#include <easel/checkpoint/model_config.h>
#include <easel/checkpoint/weights.h>
#include <easel/io/file.h>

namespace easel {

struct ConvertOptions {
  std::optional<WeightLayout> layout;  // nullopt: the input's own; a folder is diffusers', and from
                                       // a folder to a file it is CompVis's
  std::optional<at::ScalarType> dtype;  // of the weights; nullopt: as stored
  bool use_ema = false;                 // model_ema.* takes the UNet's place and is left out
  IfExists if_exists = IfExists::Refuse;
  std::filesystem::path config;  // as in LoadOptions; needed where the layout changes
  std::filesystem::path default_config;
  std::filesystem::path vocabulary;  // CLIP's BPE file, for a folder from a file
  Log log;
};

// Writes `out` from `in`: .safetensors, .ckpt or .pt by its extension, a diffusers folder without
// one. Where the layout stays, every tensor is kept, of whatever model; where it changes, the three
// networks of a Stable Diffusion model are written, and beside a file its config as .yaml unless it
// is `default_config`'s. A SentencePiece tokenizer goes along: into a folder as T5Tokenizer's,
// beside a file as NAME.tokenizer.model (a folder NAME.tokenizer, if it has tokens that its model
// file does not know). `out` is whole or not there.
void convert(const std::filesystem::path& in, const std::filesystem::path& out,
             const ConvertOptions& options);

struct VerifyResult {
  int64_t num_tensors = 0;
  int64_t num_parameters = 0;
  bool fits_config = false;  // a Stable Diffusion model whose every parameter is there; false:
                             // another kind of file, whose numbers are fine
};

// Reads every number of a checkpoint. Throws Error on NaN, infinity, and weights that do not fit
// the config that goes with the file (ConvertOptions's rules).
VerifyResult verify(const std::filesystem::path& path, const ConvertOptions& options);

// The config in CompVis's schema, as read_model_config reads it.
std::string compvis_config_text(const ModelConfig& config);

// The JSON files of a diffusers folder but the tokenizer's, by their path within it. Throws Error
// (Usage) naming what diffusers' classes cannot express.
std::map<std::string, std::string> diffusers_config_files(const ModelConfig& config);

}  // namespace easel
