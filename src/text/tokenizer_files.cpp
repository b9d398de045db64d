#include "tokenizer_files.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include "easel/base/error.h"
#include "easel/base/utf8.h"
#include "read_text.h"

namespace easel::text {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// CLIP takes this many merges of OpenAI's file: 49,152 entries without 256 bytes and two tokens.
constexpr size_t kClipMerges = 49'152 - 256 - 2;

constexpr std::string_view kStartOfText = "<|startoftext|>";
constexpr std::string_view kEndOfText = "<|endoftext|>";

// The merges of lines 2 on, at most kClipMerges of them, as transformers reads them.
Merges parse_merges(std::string_view text, const std::string& name) {
  Merges merges;
  std::unordered_set<std::string_view> seen;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.remove_suffix(1);
  size_t number = 0;
  while (!text.empty() && number <= kClipMerges) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (number++ == 0) continue;  // "#version: 0.2"
    const size_t space = line.find(' ');
    const std::string_view left = line.substr(0, space);
    const std::string_view right =
        space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
    if (left.empty() || right.empty() || right.find(' ') != std::string_view::npos ||
        !is_valid_utf8(line))
      fail(
          "'{}', line {}: got '{}', expected two symbols with one space between; the file is "
          "corrupt or no list of merges",
          name, number, printable(line, 60));
    if (seen.insert(line).second) merges.emplace_back(left, right);
  }
  return merges;
}

Vocabulary parse_vocabulary(const Json& json, const std::string& name) {
  Vocabulary vocabulary;
  std::vector<bool> used;
  for (const auto& [token, id] : json.items()) {
    if (!id.is_number_integer() || id.get<double>() < 0 ||
        id.get<double>() >= static_cast<double>(kMaxVocabularySize))
      fail("'{}': token '{}' has the id {}, expected a whole number from 0 to {}", name,
           printable(token, 40), printable(id.dump(-1, ' ', true), 40), kMaxVocabularySize - 1);
    const auto index = id.get<size_t>();
    if (index >= used.size()) used.resize(index + 1);
    if (used[index])
      fail("'{}': the id {} belongs to more than one token, one of them '{}'; the file is corrupt",
           name, index, printable(token, 40));
    used[index] = true;
    vocabulary.emplace(token, id.get<int64_t>());
  }
  if (vocabulary.empty()) fail("'{}' has no tokens", name);
  return vocabulary;
}

// A special token as the JSON files give it: its text, or an object with flags. transformers
// takes bos, eos and unk as normalized where they are given as text, the padding token not.
struct TokenSpec {
  std::string content;
  bool normalized;
};

TokenSpec parse_token(const Json& json, bool normalized_default, const std::string& name) {
  const Json* content = &json;
  bool normalized = normalized_default;
  if (json.is_object()) {
    if (json.contains("content")) content = &json.at("content");
    if (json.value("single_word", Json(false)) == Json(true))
      fail("'{}' has an added token with \"single_word\": true, which is not supported", name);
    normalized = json.value("normalized", Json(true)) == Json(true);
  }
  if (!content->is_string() || content->get_ref<const std::string&>().empty())
    fail("'{}': got {} for a special token, expected its text, or an object with \"content\"", name,
         printable(json.dump(-1, ' ', true), 60));
  return {content->get<std::string>(), normalized};
}

class AddedTokens {
 public:
  AddedTokens(TokenizerFiles& files) : files_(files) {}

  // The id of `spec`, which becomes an added token if it is none yet; a text that the vocabulary
  // lacks gets `id` or, without one, the next free id.
  int64_t add(const TokenSpec& spec, bool special, std::optional<int64_t> id = {}) {
    for (AddedToken& token : files_.added)
      if (token.content == spec.content) {
        token.special |= special;
        return token.id;
      }
    const auto found = files_.vocabulary.find(spec.content);
    int64_t chosen = found != files_.vocabulary.end() ? found->second : id.value_or(next_id());
    if (chosen < 0 || chosen >= kMaxVocabularySize)
      fail("'{}': the added token '{}' has the id {}, expected 0 to {}", files_.source,
           printable(spec.content, 40), chosen, kMaxVocabularySize - 1);
    files_.added.push_back({spec.content, chosen, spec.normalized, special});
    return chosen;
  }

 private:
  int64_t next_id() const {
    int64_t next = 0;
    for (const auto& [token, id] : files_.vocabulary) next = std::max(next, id + 1);
    for (const AddedToken& token : files_.added) next = std::max(next, token.id + 1);
    return next;
  }

  TokenizerFiles& files_;
};

void add_listed_tokens(const Json& decoder, const std::string& name, AddedTokens& added) {
  if (!decoder.is_object())
    fail("'{}': \"added_tokens_decoder\" is not an object of ids and tokens", name);
  std::map<int64_t, const Json*> by_id;
  for (const auto& [key, token] : decoder.items()) {
    const bool number =
        !key.empty() && key.size() <= 7 &&
        std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!number || !token.is_object())
      fail("'{}': \"added_tokens_decoder\" has the entry '{}', expected an id and an object", name,
           printable(key, 40));
    by_id[std::stoll(key)] = &token;
  }
  for (const auto& [id, token] : by_id) {
    const bool special = token->value("special", Json(false)) == Json(true);
    added.add(parse_token(*token, true, name), special, id);
  }
}

}  // namespace

TokenizerFiles read_bpe_file(const fs::path& path) {
  TokenizerFiles files;
  files.source = printable(path.string(), 500);
  const std::string text = read_text(path);
  if (text.substr(0, text.find('\n')).find("#version") == std::string::npos)
    fail(
        "'{}' is not CLIP's vocabulary: its first line has no \"#version\"; expected OpenAI's "
        "bpe_simple_vocab_16e6.txt.gz, which scripts/setup puts in place",
        files.source);
  files.merges = parse_merges(text, files.source);
  if (files.merges.size() != kClipMerges)
    fail("'{}' has {} merges, expected {}; the file is truncated", files.source,
         files.merges.size(), kClipMerges);

  // OpenAI's order of the bytes: those that stand for themselves, then the others.
  std::vector<std::string> symbols;
  for (const bool itself : {true, false})
    for (size_t byte = 0; byte < 256; ++byte)
      if (stands_for_itself(byte) == itself) symbols.push_back(byte_alphabet()[byte]);
  int64_t next = 0;
  for (const std::string& symbol : symbols) files.vocabulary.emplace(symbol, next++);
  for (const std::string& symbol : symbols)
    files.vocabulary.emplace(symbol + std::string(kEndOfWord), next++);
  for (const auto& [left, right] : files.merges) files.vocabulary.emplace(left + right, next++);
  files.vocabulary.emplace(kStartOfText, next++);
  files.vocabulary.emplace(kEndOfText, next++);
  if (files.vocabulary.size() != static_cast<size_t>(next))
    fail("'{}' makes the same token twice; the file is corrupt", files.source);

  AddedTokens added(files);
  files.bos = added.add({std::string(kStartOfText), true}, true);
  files.eos = added.add({std::string(kEndOfText), true}, true);
  files.pad = files.unknown = files.eos;
  return files;
}

TokenizerFiles read_tokenizer_folder(const fs::path& folder) {
  TokenizerFiles files;
  files.source = printable(folder.string(), 500);
  std::error_code error;
  if (!fs::is_directory(folder, error))
    fail("'{}' is not a folder; expected a tokenizer folder with vocab.json and merges.txt",
         files.source);
  for (const char* name : {"vocab.json", "merges.txt"})
    if (!fs::exists(folder / name, error))
      fail("the tokenizer folder '{}' has no {}; expected vocab.json and merges.txt", files.source,
           name);
  files.vocabulary = parse_vocabulary(parse_json(folder / "vocab.json"),
                                      printable((folder / "vocab.json").string(), 500));
  files.merges = parse_merges(read_text(folder / "merges.txt"),
                              printable((folder / "merges.txt").string(), 500));

  // transformers reads special_tokens_map.json over tokenizer_config.json, except where the latter
  // has an added_tokens_decoder.
  const auto optional_json = [&](const char* name) {
    return fs::exists(folder / name, error) ? parse_json(folder / name) : Json::object();
  };
  const Json config = optional_json("tokenizer_config.json");
  const Json map = optional_json("special_tokens_map.json");
  AddedTokens added(files);
  const bool has_decoder = config.contains("added_tokens_decoder");
  if (has_decoder)
    add_listed_tokens(config.at("added_tokens_decoder"),
                      printable((folder / "tokenizer_config.json").string(), 500), added);
  const auto special = [&](const char* key, std::string_view fallback, bool normalized) {
    for (const Json* json : {has_decoder ? &config : &map, &config})
      if (json->contains(key) && !json->at(key).is_null())
        return added.add(parse_token(json->at(key), normalized, files.source), true);
    return added.add({std::string(fallback), true}, true);
  };
  files.bos = special("bos_token", kStartOfText, true);
  files.eos = special("eos_token", kEndOfText, true);
  files.unknown = special("unk_token", kEndOfText, true);
  files.pad = special("pad_token", kEndOfText, false);
  const Json more = optional_json("added_tokens.json");
  for (const auto& [content, id] : more.items()) {
    if (!id.is_number_integer())
      fail("'{}': added_tokens.json gives '{}' no whole number", files.source,
           printable(content, 40));
    added.add({content, true}, false, id.get<int64_t>());
  }
  return files;
}

}  // namespace easel::text
