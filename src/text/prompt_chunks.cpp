#include "easel/text/prompt_chunks.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "easel/base/error.h"

namespace easel {
namespace {

constexpr size_t kCommaBacktrack = 20;  // A1111's comma_padding_backtrack
constexpr size_t kLargeWord = 8;        // ComfyUI's max_word_length
constexpr std::string_view kComfyEmbedding = "embedding:";

class Chunker {
 public:
  Chunker(const Tokenizer& tokenizer, size_t length)
      : tokenizer_(tokenizer), length_(length), room_(length - tokenizer.num_special_tokens()) {
    if (length <= tokenizer.num_special_tokens()) {
      fail_usage("the text encoder takes {} tokens, too few for any text", length);
    }
  }

  size_t num_tokens() const { return tokens_.size(); }
  size_t num_free() const { return room_ - tokens_.size(); }
  bool is_full() const { return num_free() == 0; }

  void add(int64_t token, double weight) {
    tokens_.push_back(token);
    weights_.push_back(weight);
  }

  void end_chunk() {
    if (chunks_.size() == kMaxPromptChunks) {
      fail_usage("the prompt fills more than {} chunks of {} tokens; shorten it", kMaxPromptChunks,
                 room_);
    }
    // Special tokens stand before and behind; the last one is EOS.
    weights_.insert(weights_.begin(), tokenizer_.num_special_tokens() - 1, 1.0);
    weights_.resize(length_, 1.0);
    chunks_.push_back(
        {tokenizer_.frame(std::exchange(tokens_, {}), length_), std::exchange(weights_, {})});
  }

  // Ends the chunk behind the token `last`; what stands there goes to the next one.
  void end_chunk_behind(size_t last) {
    const auto tokens_begin = tokens_.begin() + static_cast<std::ptrdiff_t>(last) + 1;
    const auto weights_begin = weights_.begin() + static_cast<std::ptrdiff_t>(last) + 1;
    std::vector<int64_t> tokens(tokens_begin, tokens_.end());
    std::vector<double> weights(weights_begin, weights_.end());
    tokens_.erase(tokens_begin, tokens_.end());
    weights_.erase(weights_begin, weights_.end());
    end_chunk();
    tokens_ = std::move(tokens);
    weights_ = std::move(weights);
  }

  std::vector<TokenChunk> finish() {
    if (!tokens_.empty() || chunks_.empty()) end_chunk();
    return std::move(chunks_);
  }

 private:
  const Tokenizer& tokenizer_;
  size_t length_;
  size_t room_;  // for tokens of the text
  std::vector<int64_t> tokens_;
  std::vector<double> weights_;
  std::vector<TokenChunk> chunks_;
};

// The token of a comma behind a word.
std::optional<int64_t> comma_token(const Tokenizer& tokenizer) {
  const std::vector<int64_t> tokens = tokenizer.tokenize("a,");
  if (tokens.size() != 2) return std::nullopt;
  return tokens.back();
}

std::vector<TokenChunk> chunks_of_a1111(const Tokenizer& tokenizer, std::string_view text,
                                        size_t length) {
  const std::optional<int64_t> comma = comma_token(tokenizer);
  Chunker chunker(tokenizer, length);
  std::optional<size_t> last_comma;  // in the chunk
  const auto end_chunk = [&] {
    chunker.end_chunk();
    last_comma.reset();
  };
  for (const WeightedText& run : parse_weights(text, Weighting::A1111)) {
    if (run.ends_chunk) {
      end_chunk();
      continue;
    }
    const std::vector<int64_t> tokens = tokenizer.tokenize(run.text);
    for (size_t i = 0; i < tokens.size();) {
      if (tokens[i] == comma) {
        last_comma = chunker.num_tokens();
      } else if (chunker.is_full() && last_comma &&
                 chunker.num_tokens() - *last_comma <= kCommaBacktrack) {
        chunker.end_chunk_behind(*last_comma);
        last_comma.reset();
      }
      if (chunker.is_full()) end_chunk();
      const size_t num = std::max<size_t>(tokenizer.placeholder_length(tokens, i), 1);
      if (num > chunker.num_free()) end_chunk();
      for (const size_t end = i + num; i < end; ++i) chunker.add(tokens[i], run.weight);
    }
  }
  return chunker.finish();
}

std::vector<int64_t> tokens_of_word(const Tokenizer& tokenizer, std::string_view word) {
  if (!word.starts_with(kComfyEmbedding)) return tokenizer.tokenize(word);
  const std::string_view name = word.substr(kComfyEmbedding.size());
  std::vector<int64_t> tokens = tokenizer.tokenize(name);
  if (tokens.empty() || tokenizer.placeholder_length(tokens, 0) == 0) {
    fail_usage("the prompt's '{}' names an embedding that is not there; give it with --embeddings",
               printable(word, 60));
  }
  return tokens;
}

std::vector<TokenChunk> chunks_of_comfy(const Tokenizer& tokenizer, std::string_view text,
                                        size_t length) {
  Chunker chunker(tokenizer, length);
  for (const WeightedText& run : parse_weights(text, Weighting::Comfy)) {
    const std::string_view rest = run.text;
    for (size_t begin = 0; begin < rest.size();) {
      const size_t end = std::min(rest.find_first_of(" \n", begin), rest.size());
      if (end > begin) {
        const auto tokens = tokens_of_word(tokenizer, rest.substr(begin, end - begin));
        if (tokens.size() < kLargeWord && tokens.size() > chunker.num_free()) chunker.end_chunk();
        for (const int64_t token : tokens) {
          if (chunker.is_full()) chunker.end_chunk();
          chunker.add(token, run.weight);
        }
      }
      begin = end + 1;
    }
  }
  return chunker.finish();
}

}  // namespace

std::vector<TokenChunk> make_chunks(const Tokenizer& tokenizer, std::string_view text,
                                    Weighting weighting, size_t length, size_t* num_cut) {
  if (num_cut) *num_cut = 0;
  switch (weighting) {
    case Weighting::None:
      return {{tokenizer.encode(parse_weights(text, weighting).front().text, length, num_cut),
               std::vector<double>(length, 1.0)}};
    case Weighting::A1111:
      return chunks_of_a1111(tokenizer, text, length);
    case Weighting::Comfy:
      return chunks_of_comfy(tokenizer, text, length);
  }
  fail("weighting {} is none of none, a1111, comfy", static_cast<int>(weighting));
}

TokenChunk empty_chunk(const Tokenizer& tokenizer, size_t length) {
  return {tokenizer.frame({}, length), std::vector<double>(length, 1.0)};
}

}  // namespace easel
