#include "tokenizer_folder.h"

#include <algorithm>
#include <vector>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include <easel/base/error.h>
#include <easel/io/file.h>

#include "../text/tokenizer_files.h"
#include "model_config_checks.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kSentencePieceName = "spiece.model";  // T5Tokenizer's name for it

Json special_token(const std::string& content) {
  return {{"content", content},
          {"lstrip", false},
          {"normalized", true},
          {"rstrip", false},
          {"single_word", false}};
}

}  // namespace

SentencePieceTokenizer read_sentencepiece(const fs::path& path) {
  return fs::is_directory(path) ? SentencePieceTokenizer::from_folder(path)
                                : SentencePieceTokenizer::from_file(path);
}

std::map<std::string, std::string> tokenizer_folder_files(const fs::path& bpe_file, int64_t length,
                                                          bool open_clip) {
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
  const std::string pad = open_clip ? entries.front().second : end;
  // By hand: a JSON object that keeps its order looks through all of it for every new name.
  std::string vocabulary;
  for (const auto& [id, token] : entries) {
    vocabulary += fmt::format("{}{}:{}", vocabulary.empty() ? "{" : ",", Json(token).dump(), id);
  }

  std::string merges = "#version: 0.2\n";
  for (const auto& [left, right] : files.merges) merges += left + " " + right + "\n";
  const Json special{{"bos_token", special_token(begin)},
                     {"eos_token", special_token(end)},
                     {"pad_token", pad},
                     {"unk_token", special_token(end)}};
  Json config{{"add_prefix_space", false},
              {"do_lower_case", true},
              {"errors", "replace"},
              {"model_max_length", length},
              {"tokenizer_class", "CLIPTokenizer"}};
  config.update(special);
  return {{"vocab.json", vocabulary + "}\n"},
          {"merges.txt", merges},
          {"special_tokens_map.json", special.dump(2) + "\n"},
          {"tokenizer_config.json", config.dump(2) + "\n"}};
}

std::map<std::string, std::string> tokenizer_folder_files(const SentencePieceTokenizer& tokenizer,
                                                          int64_t length) {
  const Json special{{"eos_token", tokenizer.token_text(tokenizer.eos())},
                     {"pad_token", tokenizer.token_text(tokenizer.pad())},
                     {"unk_token", tokenizer.token_text(tokenizer.unknown())}};
  Json config{{"additional_special_tokens", Json::array()},
              {"extra_ids", 0},
              {"legacy", true},
              {"model_max_length", length},
              {"sp_model_kwargs", Json::object()},
              {"tokenizer_class", "T5Tokenizer"}};
  config.update(special);
  return {{kSentencePieceName, tokenizer.model()},
          {"special_tokens_map.json", special.dump(2) + "\n"},
          {"tokenizer_config.json", config.dump(2) + "\n"}};
}

std::map<std::string, std::string> read_tokenizer_folder_files(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      files[entry.path().filename().string()] = read_text_file(entry.path());
    }
  }
  const auto model = SentencePieceTokenizer::model_file_in(folder).filename().string();
  if (!model.empty() && model != kSentencePieceName) {
    files[kSentencePieceName] = files.at(model);
    files.erase(model);
  }
  return files;
}

TokenizerBeside tokenizer_beside(const fs::path& path, const fs::path& out) {
  const std::string stem = out.stem().string() + ".tokenizer";
  const SentencePieceTokenizer tokenizer = read_sentencepiece(path);
  if (!fs::is_directory(path) ||
      tokenizer == SentencePieceTokenizer::from_file(SentencePieceTokenizer::model_file_in(path))) {
    return {stem + ".model", {{stem + ".model", tokenizer.model()}}};
  }
  TokenizerBeside beside{stem, {}};
  for (auto& [name, text] : read_tokenizer_folder_files(path))
    beside.files[stem + "/" + name] = text;
  return beside;
}

TokenizerBeside tokenizer_named_in(const fs::path& yaml) {
  TokenizerBeside named;
  try {
    const YAML::Node root = YAML::Load(read_text_file(yaml, kMaxConfigBytes));
    const YAML::Node params = root["model"]["params"]["cond_stage_config"]["params"];
    named.name = params["tokenizer"].as<std::string>("");
  } catch (const YAML::Exception&) {
    return {};  // no config of ours; the copy will be the same
  }
  if (named.name.empty() || fs::path(named.name).is_absolute()) return named;
  if (*fs::path(named.name).lexically_normal().begin() == "..") {
    fail_usage(
        "{}: the tokenizer '{}' lies outside the config's folder; place it beside the config",
        yaml.string(), printable(named.name));
  }
  const fs::path path = yaml.parent_path() / named.name;
  if (!fs::is_directory(path)) {
    named.files[named.name] = read_text_file(path);
    return named;
  }
  for (auto& [file, text] : read_tokenizer_folder_files(path)) {
    named.files[named.name + "/" + file] = text;
  }
  return named;
}

}  // namespace easel
