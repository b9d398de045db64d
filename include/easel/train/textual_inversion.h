// Textual inversion (Gal et al. 2022, arXiv 2208.01618): a new word whose embedding alone is
// learnt.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <easel/checkpoint/stable_diffusion.h>
#include <easel/train/adapter.h>

namespace easel {

// The params of the EmbeddingManager in the paper's code, under its names, and `layout`.
struct TextualInversionOptions {
  std::vector<std::string> placeholder_strings;  // what captions call the new words
  std::vector<std::string> initializer_words;    // one for each: whose embedding they start from
  int64_t num_vectors_per_token = 1;             // of each placeholder; 1 or more
  // Tensors of the saved file. "diffusers": PLACEHOLDER [n, D] for each (diffusers itself loads
  // files of one); "a1111": emb_params [n, D], for a single placeholder.
  std::string layout = "diffusers";
};

// Throws Error (Usage) naming the field that cannot be honoured.
void check(const TextualInversionOptions& options);

// Gives the model's tokenizer the placeholders, and its text encoder room for their vectors behind
// the vocabulary: vector i of placeholder p has the token vocab_size + p * num_vectors_per_token +
// i. The model's config stays as it is. An initializer word is one token, which all vectors start
// from, or as many as there are vectors; otherwise Error (Usage).
Adapter make_textual_inversion(const TextualInversionOptions& options,
                               std::shared_ptr<StableDiffusion> model);

}  // namespace easel
