// A tokenizer as transformers keeps it.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <easel/text/sentencepiece_tokenizer.h>

namespace easel {

// What ModelConfig::tokenizer names: a model file or a folder.
SentencePieceTokenizer read_sentencepiece(const std::filesystem::path& path);

// vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json of CLIP's tokenizer by
// name, from OpenAI's BPE file. `length` is how many tokens a prompt is padded to; `open_clip`:
// with token 0.
std::map<std::string, std::string> tokenizer_folder_files(const std::filesystem::path& bpe_file,
                                                          int64_t length, bool open_clip);

// spiece.model, tokenizer_config.json and special_tokens_map.json, as T5Tokenizer reads them, of a
// model file that came alone.
std::map<std::string, std::string> tokenizer_folder_files(const SentencePieceTokenizer& tokenizer,
                                                          int64_t length);

// The files of a tokenizer folder as they are, but a SentencePiece model under T5Tokenizer's name.
std::map<std::string, std::string> read_tokenizer_folder_files(const std::filesystem::path& folder);

// A SentencePiece tokenizer as it lies beside a file of weights.
struct TokenizerBeside {
  std::string name;                          // for ModelConfig::tokenizer
  std::map<std::string, std::string> files;  // by their paths in the folder of the weights
};

// Of the model file or folder `path`, for the weights `out`: one file, or a folder where a model
// file alone would be read as another tokenizer.
TokenizerBeside tokenizer_beside(const std::filesystem::path& path,
                                 const std::filesystem::path& out);

// The tokenizer that a config of whatever model names relative to its own folder, to lie likewise
// beside a copy of the config; no files where it names none.
TokenizerBeside tokenizer_named_in(const std::filesystem::path& yaml);

}  // namespace easel
