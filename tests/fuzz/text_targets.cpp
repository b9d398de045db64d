// Tokenizers from strangers, and the prompt language.
#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

#include <easel/text/prompt.h>
#include <easel/text/prompt_chunks.h>
#include <easel/text/prompt_weights.h>
#include <easel/text/tokenizer.h>

#include "tests/fuzz/targets.h"
#include "tests/support/temp_dir.h"

namespace easel::fuzz {
namespace {

constexpr std::string_view kText = "A photograph of 2 caf\xc3\xa9s, it's \xe7\x8c\xab";

void use(const Tokenizer& tokenizer) { tokenizer.decode(tokenizer.encode(kText)); }

// The files of a folder one behind the other, a zero byte between.
void tokenizer_folder(std::string_view bytes) {
  static const test::TempDir folder;
  for (const char* name :
       {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"}) {
    const size_t end = std::min(bytes.find('\0'), bytes.size());
    folder.write(name, bytes.substr(0, end));
    bytes.remove_prefix(std::min(bytes.size(), end + 1));
  }
  use(Tokenizer::from_folder(folder.path()));
}

void sentencepiece(std::string_view bytes) {
  const MemoryFile file(bytes);
  use(SentencePieceTokenizer::from_file(file.path()));
}

void prompt(std::string_view bytes) {
  static const Tokenizer tokenizer =
      ClipTokenizer::from_folder(std::filesystem::path(EASEL_TEST_DATA) / "tokenizer" / "new");
  constexpr std::array kReaders = {Weighting::None, Weighting::A1111, Weighting::Comfy};
  for (const Weighting reader : kReaders) {
    try {
      parse_negative_prompt(bytes, reader, 20);
      for (const PromptPart& part : parse_prompt(bytes, reader, 20).parts) {
        for (const ScheduledText& text : part.schedule) {
          make_chunks(tokenizer, text.text, reader, 77);
        }
      }
    } catch (const Error&) {
      if (reader == kReaders.back()) throw;
    }
  }
}

constexpr std::array<Target, 3> kTargets = {
    {{"tokenizer", tokenizer_folder}, {"sentencepiece", sentencepiece}, {"prompt", prompt}}};

}  // namespace

std::span<const Target> targets() { return kTargets; }

}  // namespace easel::fuzz
