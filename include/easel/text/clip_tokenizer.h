// CLIP's byte-level BPE tokenizer (Radford et al. 2021), identical to transformers'
// CLIPTokenizerFast: NFC, whitespace collapsed, lower case, the published split pattern, 49,408
// entries.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace easel {

// Immutable once made, cheap to copy, safe to share between threads.
class ClipTokenizer {
 public:
  // OpenAI's bpe_simple_vocab_16e6.txt, plain or gzip-compressed.
  static ClipTokenizer from_bpe_file(const std::filesystem::path& path);
  // A diffusers or transformers tokenizer folder: vocab.json and merges.txt (other vocabulary sizes
  // too); the padding token is read from special_tokens_map.json or tokenizer_config.json, if
  // there.
  static ClipTokenizer from_folder(const std::filesystem::path& folder);

  // This tokenizer, padding with another token: OpenCLIP's text encoders were trained with 0.
  ClipTokenizer with_pad(int64_t pad) const;

  // Tokens of the text alone, no BOS, EOS or padding. Invalid UTF-8 is an Error.
  std::vector<int64_t> tokenize(std::string_view text) const;

  // What the text encoder takes: BOS, tokens, EOS, padding up to `length`; longer texts are cut
  // before EOS. `num_cut`, if given, receives how many tokens were cut.
  std::vector<int64_t> encode(std::string_view text, size_t length = 77,
                              size_t* num_cut = nullptr) const;
  // What encode() makes of a text's tokens.
  std::vector<int64_t> frame(std::vector<int64_t> tokens, size_t length,
                             size_t* num_cut = nullptr) const;

  // The text that tokens stand for, as it reads after normalisation (special tokens left out).
  std::string decode(const std::vector<int64_t>& tokens) const;

  int64_t bos() const;
  int64_t eos() const;
  int64_t pad() const;
  int64_t vocabulary_size() const;
  size_t num_special_tokens() const;  // that encode() adds: 2

 private:
  struct Tables;
  explicit ClipTokenizer(std::shared_ptr<const Tables> tables);
  std::shared_ptr<const Tables> tables_;
  int64_t pad_;
};

}  // namespace easel
