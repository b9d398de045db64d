// An autoencoder in a file or folder of its own.
#pragma once

#include <filesystem>
#include <variant>

#include <easel/checkpoint/weights.h>

namespace easel {

// The tensors of TAESD, whose names have no prefix.
struct TinyVaeFile {
  Tensors tensors;
};

// Reads a file of CompVis's or diffusers' autoencoder weights (with or without the prefix they have
// in a whole model; the rest of a whole model is left aside) or diffusers' vae/ folder; or
// TAESD. Throws Error, saying what the file is instead.
std::variant<WeightSource, TinyVaeFile> read_vae_file(const std::filesystem::path& path);

}  // namespace easel
