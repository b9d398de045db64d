// What a SentencePiece tokenizer is made of, read from a model file alone or from a folder of
// transformers' T5Tokenizer. The files are untrusted.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tokenizer_files.h"

namespace easel::text {

struct SentencePieceFiles {
  std::string source;  // named in errors
  std::string model;   // the serialized model, checked
  bool from_folder = false;

  // The rest is a folder's. A special token that no file names is nullopt.
  std::optional<AddedToken> bos, eos, unknown, sep, pad, cls, mask;
  std::vector<AddedToken> additional;    // additional_special_tokens
  std::map<int64_t, AddedToken> listed;  // extra ids and added_tokens_decoder, by id
  bool legacy = true;                    // a text between added tokens gets a prefix of its own
  bool add_prefix_space = true;
};

SentencePieceFiles read_sentencepiece_file(const std::filesystem::path& path);
SentencePieceFiles read_sentencepiece_folder(const std::filesystem::path& folder);

// The model file in a folder, by its usual names; empty if there is none.
std::filesystem::path sentencepiece_file_in(const std::filesystem::path& folder);

}  // namespace easel::text
