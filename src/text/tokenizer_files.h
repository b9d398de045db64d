// Reads what a tokenizer is made of: OpenAI's published merges, or a diffusers or transformers
// folder. The files are untrusted: sizes are bounded, and what does not fit together is an Error.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bpe.h"

namespace easel::text {

// A text that is a token of its own wherever it stands.
struct AddedToken {
  std::string content;
  int64_t id = -1;
  bool normalized = false;  // is looked for in the normalised text instead of in the given one
  bool special = true;      // is left out by decode()
  bool lstrip = false;      // takes the white space before it; makes no difference in CLIP's
  bool rstrip = false;      // takes the white space behind it
};

struct TokenizerFiles {
  std::string source;  // named in errors
  Vocabulary vocabulary;
  Merges merges;
  std::vector<AddedToken> added;  // the four below among them
  int64_t bos = -1, eos = -1, pad = -1, unknown = -1;
};

TokenizerFiles read_bpe_file(const std::filesystem::path& path);
TokenizerFiles read_tokenizer_folder(const std::filesystem::path& folder);

}  // namespace easel::text
