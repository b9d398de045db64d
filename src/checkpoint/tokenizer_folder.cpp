#include "tokenizer_folder.h"

#include <algorithm>
#include <vector>

#include <nlohmann/json.hpp>

#include "../text/tokenizer_files.h"

namespace easel {
namespace {

using Json = nlohmann::ordered_json;

Json special_token(const std::string& content) {
  return {{"content", content},
          {"lstrip", false},
          {"normalized", true},
          {"rstrip", false},
          {"single_word", false}};
}

}  // namespace

std::map<std::string, std::string> tokenizer_folder_files(const std::filesystem::path& bpe_file,
                                                          int64_t length) {
  const text::TokenizerFiles files = text::read_bpe_file(bpe_file);
  std::vector<std::pair<int64_t, std::string>> entries;
  for (const auto& [token, id] : files.vocabulary) entries.emplace_back(id, token);
  std::string begin, end;
  for (const text::AddedToken& token : files.added) {
    if (!files.vocabulary.contains(token.content)) entries.emplace_back(token.id, token.content);
    if (token.id == files.bos) begin = token.content;
    if (token.id == files.eos) end = token.content;
  }
  std::sort(entries.begin(), entries.end());
  Json vocabulary = Json::object();
  for (const auto& [id, token] : entries) vocabulary[token] = id;

  std::string merges = "#version: 0.2\n";
  for (const auto& [left, right] : files.merges) merges += left + " " + right + "\n";
  const Json special{{"bos_token", special_token(begin)},
                     {"eos_token", special_token(end)},
                     {"pad_token", end},
                     {"unk_token", special_token(end)}};
  Json config{{"add_prefix_space", false},
              {"do_lower_case", true},
              {"errors", "replace"},
              {"model_max_length", length},
              {"tokenizer_class", "CLIPTokenizer"}};
  config.update(special);
  return {{"vocab.json", vocabulary.dump() + "\n"},
          {"merges.txt", merges},
          {"special_tokens_map.json", special.dump(2) + "\n"},
          {"tokenizer_config.json", config.dump(2) + "\n"}};
}

}  // namespace easel
