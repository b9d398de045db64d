// Byte-pair encoding with CLIP's conventions: a token is spelled in GPT-2's printable alphabet for
// bytes, and the last symbol of a word ends in "</w>".
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace easel::text {

constexpr std::string_view kEndOfWord = "</w>";
// Vocabularies in use have up to 260,000 entries; the bound keeps a corrupt id from taking memory.
constexpr int64_t kMaxVocabularySize = 1'000'000;

// GPT-2's alphabet: the printable bytes of Latin-1 stand for themselves, the others for the
// characters from U+0100 on, in order.
constexpr bool stands_for_itself(size_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

// The character, as UTF-8, that stands for each byte.
const std::array<std::string, 256>& byte_alphabet();

// The bytes that a token stands for; a token with characters outside the alphabet is itself.
std::string token_bytes(std::string_view token);

using Vocabulary = std::unordered_map<std::string, int64_t>;
using Merges = std::vector<std::pair<std::string, std::string>>;

// Immutable once made.
class Bpe {
 public:
  Bpe() = default;
  // `source` names the merges in errors; bytes that the vocabulary lacks become `unknown`.
  Bpe(const Vocabulary& vocabulary, const Merges& merges, int64_t unknown, std::string_view source);

  // Appends the tokens of one non-empty word of bytes, in O(n log n).
  void append_word(std::string_view word, std::vector<int64_t>& out) const;

 private:
  struct Merge {
    int64_t rank, result;
  };
  static uint64_t key(int64_t left, int64_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right);
  }

  std::array<int64_t, 256> inner_{}, last_{};
  std::unordered_map<uint64_t, Merge> merges_;
};

}  // namespace easel::text
