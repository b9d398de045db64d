// A tokenizer of either kind that text encoders are trained with.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <easel/text/clip_tokenizer.h>
#include <easel/text/sentencepiece_tokenizer.h>

namespace easel {

// A text that stands for tokens of its own, such as those that textual inversion has learnt.
struct Placeholder {
  std::string text;
  std::vector<int64_t> tokens;
  // false: wherever `text` stands, in exactly this spelling and even within a word, as transformers
  // does with added tokens. true: wherever the tokens of `text` stand one behind the other, as
  // A1111's webui finds embeddings: in any case, and as whole words.
  bool by_tokens = false;
};

// Immutable once made, cheap to copy, safe to share between threads. The members are those of the
// tokenizer inside.
class Tokenizer {
 public:
  Tokenizer(ClipTokenizer tokenizer) : kind_(std::move(tokenizer)) {}
  Tokenizer(SentencePieceTokenizer tokenizer) : kind_(std::move(tokenizer)) {}

  // A tokenizer folder, as its files are named: SentencePiece's, else CLIP's.
  static Tokenizer from_folder(const std::filesystem::path& folder);

  // This tokenizer with these texts known: wherever one stands it becomes its tokens, and the texts
  // between are tokenized each by itself. Where several could stand, the longest does. Throws Error
  // (Usage) on a text that is empty or there twice, and on tokens that the tokenizer has itself.
  Tokenizer with_placeholders(std::vector<Placeholder> placeholders) const;

  std::vector<int64_t> tokenize(std::string_view text) const;
  std::vector<int64_t> encode(std::string_view text, size_t length = 77,
                              size_t* num_cut = nullptr) const;
  // What encode() makes of a text's tokens.
  std::vector<int64_t> frame(std::vector<int64_t> tokens, size_t length,
                             size_t* num_cut = nullptr) const;
  // How many tokens at `position` belong to one placeholder; 0 where none stands.
  size_t placeholder_length(const std::vector<int64_t>& tokens, size_t position) const;
  std::string decode(const std::vector<int64_t>& tokens) const;
  std::optional<int64_t> bos() const {
    return std::visit([](const auto& kind) { return std::optional<int64_t>(kind.bos()); }, kind_);
  }
  int64_t eos() const {
    return std::visit([](const auto& kind) { return kind.eos(); }, kind_);
  }
  int64_t pad() const {
    return std::visit([](const auto& kind) { return kind.pad(); }, kind_);
  }
  int64_t vocabulary_size() const {
    return std::visit([](const auto& kind) { return kind.vocabulary_size(); }, kind_);
  }
  size_t num_special_tokens() const {
    return std::visit([](const auto& kind) { return kind.num_special_tokens(); }, kind_);
  }

  // The tokenizer inside, if it is of the kind; else nullptr.
  const ClipTokenizer* clip() const { return std::get_if<ClipTokenizer>(&kind_); }
  const SentencePieceTokenizer* sentencepiece() const {
    return std::get_if<SentencePieceTokenizer>(&kind_);
  }

 private:
  struct Placeholders;
  std::variant<ClipTokenizer, SentencePieceTokenizer> kind_;
  std::shared_ptr<const Placeholders> placeholders_;  // none: nullptr
};

}  // namespace easel
