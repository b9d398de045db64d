// An autoencoder in a file or folder of its own.
#pragma once

#include <filesystem>

#include <easel/checkpoint/weights.h>

namespace easel {

// Reads a file of CompVis's or diffusers' autoencoder weights (with or without the prefix they have
// in a whole model; the rest of a whole model is left aside) or diffusers' vae/ folder. Throws
// Error, saying what the file is instead.
WeightSource read_vae_file(const std::filesystem::path& path);

}  // namespace easel
