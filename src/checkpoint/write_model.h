// How a whole model is written: a file of either layout or a diffusers folder, with config and
// tokenizer.
#pragma once

#include <filesystem>

#include <easel/checkpoint/convert.h>
#include <easel/checkpoint/stable_diffusion.h>

#include "tokenizer_folder.h"

namespace easel {

enum class Container { Safetensors, Torch, Folder };

// By the name's extension; throws Error (Usage) on others than convert() knows.
Container container_of(const std::filesystem::path& out);

// Throws Error where something is at `path` that may not be replaced.
void refuse_existing(const std::filesystem::path& path, const ConvertOptions& options);

LoadOptions load_options(const ConvertOptions& options);

std::filesystem::path yaml_beside(const std::filesystem::path& file);
void write_text(const std::filesystem::path& path, const std::string& text, IfExists if_exists);
// What is there already may stay if it is the same.
void write_tokenizer(const std::filesystem::path& out, const TokenizerBeside& tokenizer,
                     const ConvertOptions& options);
void write_weights(const std::filesystem::path& out, WeightLayout layout, const Tensors& tensors,
                   IfExists if_exists);

// Writes the networks under their native names as `out`; the tokenizer is that of the model `in`.
// A folder has diffusers' layout, whatever `layout` is.
void write_model(const std::filesystem::path& in, const std::filesystem::path& out,
                 ModelConfig config, const Tensors& native, WeightLayout layout,
                 const ConvertOptions& options);

}  // namespace easel
