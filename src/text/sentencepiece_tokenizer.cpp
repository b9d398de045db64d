#include "easel/text/sentencepiece_tokenizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <sentencepiece_processor.h>

#include "easel/base/error.h"
#include "sentencepiece_files.h"
#include "split_tokens.h"
#include "unicode.h"

// The library writes messages to stderr. Versions differ in what turns this off, and in whether
// their header declares it.
namespace sentencepiece {
void SetMinLogLevel(int level) __attribute__((weak));
namespace logging {
void SetMinLogLevel(int level) __attribute__((weak));
}
}  // namespace sentencepiece

namespace easel {
namespace {

using sentencepiece::SentencePieceProcessor;
using text::AddedToken;

constexpr std::string_view kSpace = "\u2581";  // stands for a space in pieces
// normalizer_spec { add_dummy_prefix: false }
constexpr std::array<char, 4> kNoPrefix{0x1A, 0x02, 0x18, 0x00};

void silence_library() {
  constexpr int kFatalOnly = 3;
  if (sentencepiece::SetMinLogLevel) sentencepiece::SetMinLogLevel(kFatalOnly);
  if (sentencepiece::logging::SetMinLogLevel) sentencepiece::logging::SetMinLogLevel(kFatalOnly);
}

std::unique_ptr<const SentencePieceProcessor> load_processor(
    const text::SentencePieceFiles& files) {
  static const bool silent = (silence_library(), true);
  static_cast<void>(silent);
  auto processor = std::make_unique<SentencePieceProcessor>();
  std::string problem;
  try {
    std::string model = files.model;
    // A second normalizer_spec is merged into the first.
    if (!files.legacy) model.append(kNoPrefix.data(), kNoPrefix.size());
    const auto status = processor->LoadFromSerializedProto(model);
    if (!status.ok()) problem = status.ToString();
  } catch (const std::exception& error) {  // the library's double arrays throw
    problem = error.what();
  }
  if (problem.empty() && processor->unk_id() < 0) problem = "it has no unknown piece";
  for (int id = 0; problem.empty() && id < processor->GetPieceSize(); ++id) {
    if (std::isnan(processor->GetScore(id))) problem = fmt::format("piece {} has no score", id);
  }
  if (!problem.empty()) {
    fail("'{}' is no SentencePiece model that can be used: {}", files.source,
         printable(problem, 200));
  }
  return processor;
}

}  // namespace

struct SentencePieceTokenizer::Tables {
  text::SentencePieceFiles files;
  std::unique_ptr<const SentencePieceProcessor> processor;
  std::vector<AddedToken> added;   // texts that are split off, by id
  text::Patterns patterns;         // of `added`
  std::vector<std::string> texts;  // by id; empty where an id stands for none
  std::unordered_map<std::string, int64_t> added_ids;
  std::unordered_set<int64_t> special;  // left out by decode()
  std::unordered_set<std::string> special_texts;
  std::optional<int64_t> bos;
  int64_t eos = 0, pad = 0, unknown = 0;
  size_t unknown_length = 0;  // pieces of the unknown token's own text

  explicit Tables(text::SentencePieceFiles given)
      : files(std::move(given)), processor(load_processor(files)) {
    if (!files.from_folder) name_own_tokens();
    for (int id = 0; id < processor->GetPieceSize(); ++id) {
      texts.push_back(processor->IdToPiece(id));
      piece_ids.try_emplace(texts.back(), id);
    }
    for (const auto& [id, token] : files.listed) list(id, token);
    // In transformers' order, which decides the ids of new tokens.
    size_t num_texts = piece_ids.size();
    for (const AddedToken& token : added) num_texts += piece_ids.contains(token.content) ? 0 : 1;
    const auto add = [&](const std::optional<AddedToken>& token) -> std::optional<int64_t> {
      if (!token) return std::nullopt;
      const auto known = added_ids.find(token->content);
      int64_t id = 0;
      if (known != added_ids.end()) {
        id = known->second;
      } else {
        const auto piece = piece_ids.find(token->content);
        id = piece != piece_ids.end() ? piece->second : static_cast<int64_t>(num_texts++);
        list(id, *token);
      }
      special.insert(id);
      special_texts.insert(token->content);
      return id;
    };
    bos = add(files.bos);
    eos = *add(files.eos);
    unknown = add(files.unknown).value_or(processor->unk_id());
    add(files.sep);
    pad = *add(files.pad);
    add(files.cls);
    add(files.mask);
    for (const AddedToken& token : files.additional) add(token);
    if (!files.from_folder && processor->bos_id() >= 0) bos = processor->bos_id();
    for (const AddedToken& token : added) patterns.emplace_back(token.content, &token);
    unknown_length = pieces(texts[static_cast<size_t>(unknown)]).size();
  }

  std::vector<std::string> pieces(std::string_view part) const {
    std::vector<std::string> out;
    const auto status = processor->Encode(part, &out);
    if (!status.ok()) fail("SentencePiece cannot split the text: {}", status.ToString());
    return out;
  }

  // The pieces of a text between added tokens. Without a prefix of its own, SentencePiece would
  // take white space off the front of it: behind the unknown token's text it does not.
  void append_pieces(std::string_view part, std::vector<std::string>& out) const {
    const bool keeps_space = !files.legacy && (part.starts_with(kSpace) || part.starts_with(" "));
    std::vector<std::string> found =
        keeps_space ? pieces(texts[static_cast<size_t>(unknown)] + std::string(part))
                    : pieces(part);
    const size_t skipped =
        keeps_space && found.size() >= unknown_length ? unknown_length : size_t{0};
    std::move(found.begin() + static_cast<std::ptrdiff_t>(skipped), found.end(),
              std::back_inserter(out));
  }

  int64_t id_of(const std::string& token) const {
    const auto found = added_ids.find(token);
    return found != added_ids.end() ? found->second : processor->PieceToId(token);
  }

 private:
  // A model that comes alone says itself which of its pieces are special.
  void name_own_tokens() {
    const auto own = [&](int id, std::string_view otherwise) {
      AddedToken token;
      token.content = id >= 0 ? processor->IdToPiece(id) : std::string(otherwise);
      return token;
    };
    files.eos = own(processor->eos_id(), "</s>");
    files.unknown = own(processor->unk_id(), "<unk>");
    files.pad = own(processor->pad_id(), "<pad>");
  }

  void list(int64_t id, const AddedToken& token) {
    const auto index = static_cast<size_t>(id);
    if (!added_ids.emplace(token.content, id).second) {
      fail("the tokenizer '{}' gives the token '{}' two ids, {} and {}", files.source,
           printable(token.content, 40), added_ids.at(token.content), id);
    }
    if (index >= texts.size()) texts.resize(index + 1);
    texts[index] = token.content;
    added.push_back(token);
    added.back().id = id;
  }

  std::unordered_map<std::string, int64_t> piece_ids;
};

SentencePieceTokenizer::SentencePieceTokenizer(std::shared_ptr<const Tables> tables)
    : tables_(std::move(tables)) {}

SentencePieceTokenizer SentencePieceTokenizer::from_file(const std::filesystem::path& path) {
  return SentencePieceTokenizer(
      std::make_shared<const Tables>(text::read_sentencepiece_file(path)));
}

SentencePieceTokenizer SentencePieceTokenizer::from_folder(const std::filesystem::path& folder) {
  return SentencePieceTokenizer(
      std::make_shared<const Tables>(text::read_sentencepiece_folder(folder)));
}

std::filesystem::path SentencePieceTokenizer::model_file_in(const std::filesystem::path& folder) {
  return text::sentencepiece_file_in(folder);
}

std::vector<int64_t> SentencePieceTokenizer::tokenize(std::string_view text) const {
  // Validated as a whole, so that an offset in an error counts from the start of the text.
  for (size_t i = 0; i < text.size();) text::next_code_point(text, i);
  const Tables& tables = *tables_;
  std::string prefixed;
  if (!tables.files.legacy && !text.empty()) {
    if (tables.files.add_prefix_space) prefixed = kSpace;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find(kSpace, at), text.size());
      prefixed.append(text, at, end - at);
      if (end < text.size()) prefixed += ' ';
      at = end + kSpace.size();
    }
    text = prefixed;
  }
  struct Part {
    std::string_view text;
    const AddedToken* token;
  };
  std::vector<Part> parts;
  text::split(
      text, tables.patterns,
      [&](std::string_view part) {
        parts.push_back({part, nullptr});
      },
      [&](const AddedToken& token) {
        parts.push_back({token.content, &token});
      });
  std::vector<std::string> tokens;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].token) {
      tokens.push_back(parts[i].token->content);
      continue;
    }
    const bool left = i > 0 && parts[i - 1].token->rstrip;
    const bool right = i + 1 < parts.size() && parts[i + 1].token->lstrip;
    std::string_view part = parts[i].text;
    if (left || right) part = text::strip(part, left, right);
    if (!part.empty()) tables.append_pieces(part, tokens);
  }
  const bool drops_first = !tables.files.legacy && tokens.size() > 1 && tokens[0] == kSpace &&
                           tables.special_texts.contains(tokens[1]);
  std::vector<int64_t> out;
  for (size_t i = drops_first ? 1 : 0; i < tokens.size(); ++i)
    out.push_back(tables.id_of(tokens[i]));
  return out;
}

std::vector<int64_t> SentencePieceTokenizer::encode(std::string_view text, size_t length,
                                                    size_t* num_cut) const {
  return frame(tokenize(text), length, num_cut);
}

std::vector<int64_t> SentencePieceTokenizer::frame(std::vector<int64_t> tokens, size_t length,
                                                   size_t* num_cut) const {
  if (length < 1) fail_usage("the token length is 0, expected at least 1 (an end token)");
  const size_t kept = std::min(tokens.size(), length - num_special_tokens());
  if (num_cut) *num_cut = tokens.size() - kept;
  tokens.resize(kept);
  if (tokens.empty() || tokens.back() != eos()) tokens.push_back(eos());
  tokens.resize(length, pad());
  return tokens;
}

std::string SentencePieceTokenizer::decode(const std::vector<int64_t>& tokens) const {
  const Tables& tables = *tables_;
  std::string out;
  std::vector<std::string> pieces;
  bool is_first = true;
  const auto append = [&](std::string_view part) {
    if (!is_first) out += ' ';
    is_first = false;
    out += part;
  };
  const auto flush = [&](bool keeps_empty) {
    if (pieces.empty()) return;
    if (tables.files.add_prefix_space && pieces.front().starts_with(kSpace)) {
      pieces.front().erase(0, kSpace.size());
    }
    std::string part;
    const auto status = tables.processor->Decode(pieces, &part);
    if (!status.ok()) fail("SentencePiece cannot join the tokens: {}", status.ToString());
    part = text::replace_invalid_utf8(part);
    const std::string_view stripped = text::strip(part);
    if (keeps_empty || !stripped.empty()) append(stripped);
    pieces.clear();
  };
  for (const int64_t id : tokens) {
    if (id < 0 || id >= vocabulary_size() || token_text(id).empty()) {
      fail_usage("the token {} is not in the vocabulary, expected 0 to {}", id,
                 vocabulary_size() - 1);
    }
    if (tables.special.contains(id)) continue;
    if (tables.added_ids.contains(token_text(id))) {
      flush(false);
      append(token_text(id));
    } else {
      pieces.push_back(token_text(id));
    }
  }
  flush(true);
  return out;
}

std::optional<int64_t> SentencePieceTokenizer::bos() const { return tables_->bos; }
int64_t SentencePieceTokenizer::eos() const { return tables_->eos; }
int64_t SentencePieceTokenizer::pad() const { return tables_->pad; }
int64_t SentencePieceTokenizer::unknown() const { return tables_->unknown; }
int64_t SentencePieceTokenizer::vocabulary_size() const {
  return static_cast<int64_t>(tables_->texts.size());
}
size_t SentencePieceTokenizer::num_special_tokens() const { return 1; }

const std::string& SentencePieceTokenizer::token_text(int64_t id) const {
  if (id < 0 || id >= vocabulary_size()) {
    fail_usage("the token {} is not in the vocabulary, expected 0 to {}", id,
               vocabulary_size() - 1);
  }
  return tables_->texts[static_cast<size_t>(id)];
}

const std::string& SentencePieceTokenizer::model() const { return tables_->files.model; }

bool SentencePieceTokenizer::operator==(const SentencePieceTokenizer& other) const {
  const auto same = [](const AddedToken& a, const AddedToken& b) {
    return a.content == b.content && a.id == b.id && a.lstrip == b.lstrip && a.rstrip == b.rstrip;
  };
  const Tables &a = *tables_, &b = *other.tables_;
  return a.eos == b.eos && a.pad == b.pad && a.unknown == b.unknown && a.special == b.special &&
         a.files.legacy == b.files.legacy && a.files.add_prefix_space == b.files.add_prefix_space &&
         std::equal(a.added.begin(), a.added.end(), b.added.begin(), b.added.end(), same) &&
         a.files.model == b.files.model;
}

}  // namespace easel
