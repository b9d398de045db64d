#include "easel/text/clip_tokenizer.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "bpe.h"
#include "easel/base/error.h"
#include "split_tokens.h"
#include "tokenizer_files.h"
#include "unicode.h"

namespace easel {
namespace {

using text::AddedToken;
using text::CharClass;
using text::Patterns;

// Longer words are rarely repeated.
constexpr size_t kMaxCachedWord = 64;

Patterns patterns(const std::vector<AddedToken>& added, bool normalized) {
  Patterns out;
  for (const AddedToken& token : added)
    if (token.normalized == normalized) {
      std::string pattern = normalized ? text::normalize_clip(token.content) : token.content;
      if (!pattern.empty()) out.emplace_back(std::move(pattern), &token);
    }
  return out;
}

// Hands over the matches of the published pattern in a normalised text:
//   's|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
template <class OnWord>
void split_words(std::string_view text, OnWord on_word) {
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (text[i] == '\'') {
      for (const std::string_view contraction : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
        if (text.substr(i).starts_with(contraction)) {
          i += contraction.size();
          break;
        }
      if (i > begin) {
        on_word(text.substr(begin, i - begin));
        continue;
      }
    }
    const CharClass kind = text::char_class(text::next_code_point(text, i));
    if (kind == CharClass::Space) continue;
    if (kind != CharClass::Number)
      while (i < text.size()) {
        size_t next = i;
        if (text::char_class(text::next_code_point(text, next)) != kind) break;
        i = next;
      }
    on_word(text.substr(begin, i - begin));
  }
}

}  // namespace

struct ClipTokenizer::Tables {
  text::Bpe bpe;
  std::vector<AddedToken> added;
  Patterns raw, normalized;         // patterns of `added`
  std::vector<std::string> tokens;  // by id; empty where an id stands for none
  std::unordered_set<int64_t> special;
  int64_t bos = 0, eos = 0, pad = 0;

  explicit Tables(text::TokenizerFiles files)
      : bpe(files.vocabulary, files.merges, files.unknown, files.source),
        added(std::move(files.added)),
        raw(patterns(added, false)),
        normalized(patterns(added, true)),
        bos(files.bos),
        eos(files.eos),
        pad(files.pad) {
    const auto store = [&](const std::string& token, int64_t id) {
      if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(static_cast<size_t>(id) + 1);
      tokens[static_cast<size_t>(id)] = token;
    };
    for (const auto& [token, id] : files.vocabulary) store(token, id);
    for (const AddedToken& token : added) {
      store(token.content, token.id);
      if (token.special) special.insert(token.id);
    }
  }
};

ClipTokenizer::ClipTokenizer(std::shared_ptr<const Tables> tables)
    : tables_(std::move(tables)), pad_(tables_->pad) {}

ClipTokenizer ClipTokenizer::from_bpe_file(const std::filesystem::path& path) {
  return ClipTokenizer(std::make_shared<const Tables>(text::read_bpe_file(path)));
}

ClipTokenizer ClipTokenizer::from_folder(const std::filesystem::path& folder) {
  return ClipTokenizer(std::make_shared<const Tables>(text::read_tokenizer_folder(folder)));
}

ClipTokenizer ClipTokenizer::with_pad(int64_t pad) const {
  if (pad < 0 || pad >= vocabulary_size()) {
    fail_usage("the padding token {} is not in the vocabulary, expected 0 to {}", pad,
               vocabulary_size() - 1);
  }
  ClipTokenizer other = *this;
  other.pad_ = pad;
  return other;
}

std::vector<int64_t> ClipTokenizer::tokenize(std::string_view text) const {
  std::vector<int64_t> out;
  std::unordered_map<std::string, std::vector<int64_t>> cache;
  const auto on_word = [&](std::string_view word) {
    if (word.size() > kMaxCachedWord) return tables_->bpe.append_word(word, out);
    const auto [entry, is_new] = cache.try_emplace(std::string(word));
    if (is_new) tables_->bpe.append_word(word, entry->second);
    out.insert(out.end(), entry->second.begin(), entry->second.end());
  };
  const auto on_token = [&](const AddedToken& token) { out.push_back(token.id); };
  // Validated as a whole, so that an offset in an error counts from the start of the text.
  for (size_t i = 0; i < text.size();) text::next_code_point(text, i);
  text::split(
      text, tables_->raw,
      [&](std::string_view part) {
        text::split(
            text::normalize_clip(part), tables_->normalized,
            [&](std::string_view words) { split_words(words, on_word); }, on_token);
      },
      on_token);
  return out;
}

std::vector<int64_t> ClipTokenizer::encode(std::string_view text, size_t length,
                                           size_t* num_cut) const {
  return frame(tokenize(text), length, num_cut);
}

std::vector<int64_t> ClipTokenizer::frame(std::vector<int64_t> tokens, size_t length,
                                          size_t* num_cut) const {
  if (length < 2)
    fail_usage("the token length is {}, expected at least 2 (a start and an end token)", length);
  const size_t kept = std::min(tokens.size(), length - 2);
  if (num_cut) *num_cut = tokens.size() - kept;
  tokens.resize(kept);
  tokens.insert(tokens.begin(), bos());
  tokens.push_back(eos());
  tokens.resize(length, pad());
  return tokens;
}

std::string ClipTokenizer::decode(const std::vector<int64_t>& tokens) const {
  std::string bytes;
  for (const int64_t id : tokens) {
    if (id < 0 || id >= vocabulary_size())
      fail_usage("the token {} is not in the vocabulary, expected 0 to {}", id,
                 vocabulary_size() - 1);
    if (!tables_->special.contains(id))
      bytes += text::token_bytes(tables_->tokens[static_cast<size_t>(id)]);
  }
  const std::string joined = text::replace_invalid_utf8(bytes);
  std::string out;
  for (size_t at = 0; at < joined.size();) {
    const size_t end = std::min(joined.find(text::kEndOfWord, at), joined.size());
    out.append(joined, at, end - at);
    if (end < joined.size()) out += ' ';
    at = end + text::kEndOfWord.size();
  }
  return std::string(text::strip(out));
}

int64_t ClipTokenizer::bos() const { return tables_->bos; }
int64_t ClipTokenizer::eos() const { return tables_->eos; }
int64_t ClipTokenizer::pad() const { return pad_; }
size_t ClipTokenizer::num_special_tokens() const { return 2; }
int64_t ClipTokenizer::vocabulary_size() const {
  return static_cast<int64_t>(tables_->tokens.size());
}

}  // namespace easel
