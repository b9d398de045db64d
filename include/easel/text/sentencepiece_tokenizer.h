// SentencePiece tokenizers (Kudo and Richardson 2018) through Google's library, with the
// conventions of transformers' slow T5Tokenizer: the pieces of the text, then EOS, no BOS.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace easel {

// Immutable once made, cheap to copy, safe to share between threads. Model files are untrusted:
// what is no model, or one that the library could trip over, is an Error.
class SentencePieceTokenizer {
 public:
  // A model as SentencePiece trains it, of any kind (unigram, BPE, word, char); it says itself
  // which pieces are EOS, padding and unknown. As T5Tokenizer with extra_ids=0 does, a model
  // without an EOS or padding piece gets "</s>" or "<pad>" as a token behind its pieces.
  static SentencePieceTokenizer from_file(const std::filesystem::path& path);
  // A folder of transformers' T5Tokenizer: spiece.model (also sentencepiece.bpe.model or
  // tokenizer.model); special and added tokens from tokenizer_config.json, special_tokens_map.json
  // and added_tokens.json. Other tokenizer classes number the pieces differently and are an Error.
  static SentencePieceTokenizer from_folder(const std::filesystem::path& folder);
  // The model file in such a folder; empty if there is none.
  static std::filesystem::path model_file_in(const std::filesystem::path& folder);

  // Tokens of the text alone, no EOS or padding. Invalid UTF-8 is an Error.
  std::vector<int64_t> tokenize(std::string_view text) const;

  // What the text encoder takes: tokens, EOS, padding up to `length`; longer texts are cut before
  // EOS, and a text that ends in EOS gets no second one. `num_cut`, if given, receives how many
  // tokens were cut.
  std::vector<int64_t> encode(std::string_view text, size_t length = 77,
                              size_t* num_cut = nullptr) const;
  // What encode() makes of a text's tokens.
  std::vector<int64_t> frame(std::vector<int64_t> tokens, size_t length,
                             size_t* num_cut = nullptr) const;

  // The text that tokens stand for, as it reads after normalisation (special tokens left out).
  std::string decode(const std::vector<int64_t>& tokens) const;

  std::optional<int64_t> bos() const;  // if the model has one; encode() does not use it
  int64_t eos() const;
  int64_t pad() const;
  int64_t unknown() const;
  int64_t vocabulary_size() const;                  // 1 + the greatest id
  size_t num_special_tokens() const;                // that encode() adds: 1
  const std::string& token_text(int64_t id) const;  // "" where an id stands for none

  // The model as in its file.
  const std::string& model() const;
  // Whether both are made of the same, so that they give the same tokens for every text.
  bool operator==(const SentencePieceTokenizer& other) const;

 private:
  struct Tables;
  explicit SentencePieceTokenizer(std::shared_ptr<const Tables> tables);
  std::shared_ptr<const Tables> tables_;
};

}  // namespace easel
