// Textual inversion (Gal et al. 2022, arXiv 2208.01618): vectors that a word in a prompt stands
// for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <easel/base/tensor.h>
#include <easel/checkpoint/stable_diffusion.h>

namespace easel {

struct Embedding {
  std::string name;         // of its file, without the extension
  std::string placeholder;  // that the file itself names, as diffusers' does; may be empty
  Tensor vectors_ND;        // float32
  std::filesystem::path file;
};

// Files, and folders with all the .pt, .bin and .safetensors in them and below. The layouts are
// A1111's
// (.pt: string_to_param; .safetensors: emb_params) and diffusers' (one tensor under its
// placeholder, or several words in one file). Nothing in a file is executed. Throws Error where a
// file holds no such vectors, and (Usage) where there is no such file or two have one name.
std::vector<Embedding> read_embeddings(const std::vector<std::filesystem::path>& paths);

// The tokenizer that knows them, their tokens numbered from `first_token` on: by name wherever the
// name's tokens stand, as A1111's webui finds them; by placeholder wherever it is written, as
// diffusers does. Throws Error (Usage) where one has more vectors than `max_vectors`.
Tokenizer with_embeddings(const Tokenizer& tokenizer, const std::vector<Embedding>& embeddings,
                          int64_t first_token, int64_t max_vectors);

// Makes the model know them. Throws Error where a width is not the text encoder's.
void add_embeddings(StableDiffusion& model, const std::vector<Embedding>& embeddings);

// Throws Error where a width is not the text encoder's, saying what the file is made for.
void check_embeddings(const std::vector<Embedding>& embeddings, const ClipTextConfig& text_encoder);

}  // namespace easel
