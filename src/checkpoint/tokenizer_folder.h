// A tokenizer as transformers keeps it.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace easel {

// vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json of CLIP's tokenizer by
// name, from OpenAI's BPE file. `length` is how many tokens a prompt is padded to.
std::map<std::string, std::string> tokenizer_folder_files(const std::filesystem::path& bpe_file,
                                                          int64_t length);

}  // namespace easel
