// From a prompt's text to what the text encoder takes, in chunks of its length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <easel/text/prompt_weights.h>
#include <easel/text/tokenizer.h>

namespace easel {

// Special tokens and padding included; weight 1 there.
struct TokenChunk {
  std::vector<int64_t> tokens;
  std::vector<double> weights;
  bool operator==(const TokenChunk&) const = default;
};

inline constexpr size_t kMaxPromptChunks = 32;

// `length` is what the text encoder takes, 77 for CLIP. A text without schedules; never empty.
// None: one chunk, the rest is cut; `num_cut`, if given, receives how many tokens were.
// A1111: a chunk is full, or BREAK ends it; where a comma is among its last 20 tokens, what is
// behind the comma goes to the next one. An embedding's tokens stay together.
// Comfy: a word of fewer than 8 tokens stays together; `embedding:name` is the embedding `name`.
// Throws Error (Usage) where it would be more than kMaxPromptChunks, and as parse_weights does.
std::vector<TokenChunk> make_chunks(const Tokenizer& tokenizer, std::string_view text,
                                    Weighting weighting, size_t length, size_t* num_cut = nullptr);

// A chunk without a text.
TokenChunk empty_chunk(const Tokenizer& tokenizer, size_t length);

}  // namespace easel
