#include "easel/text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "easel/base/error.h"
#include "split_tokens.h"

namespace easel {

struct Tokenizer::Placeholders {
  std::vector<Placeholder> all;
  std::vector<text::AddedToken> added;  // their ids are places in `all`
  text::Patterns patterns;

  explicit Placeholders(std::vector<Placeholder> given) : all(std::move(given)) {
    for (const Placeholder& placeholder : all) {
      text::AddedToken token;
      token.content = placeholder.text;
      token.id = static_cast<int64_t>(added.size());
      added.push_back(token);
    }
    for (const text::AddedToken& token : added) patterns.emplace_back(token.content, &token);
  }

  // The placeholder whose tokens stand at `at`; nullptr where none does.
  const Placeholder* find(const std::vector<int64_t>& tokens, size_t at) const {
    for (const Placeholder& placeholder : all) {
      const std::vector<int64_t>& own = placeholder.tokens;
      if (own.size() <= tokens.size() - at &&
          std::equal(own.begin(), own.end(), tokens.begin() + static_cast<std::ptrdiff_t>(at))) {
        return &placeholder;
      }
    }
    return nullptr;
  }
};

Tokenizer Tokenizer::from_folder(const std::filesystem::path& folder) {
  if (!SentencePieceTokenizer::model_file_in(folder).empty())
    return SentencePieceTokenizer::from_folder(folder);
  return ClipTokenizer::from_folder(folder);
}

Tokenizer Tokenizer::with_placeholders(std::vector<Placeholder> placeholders) const {
  for (size_t i = 0; i < placeholders.size(); ++i) {
    const auto& [text, tokens] = placeholders[i];
    if (text.empty()) fail_usage("a placeholder is empty; expected a text such as <my-cat>");
    for (size_t j = 0; j < i; ++j) {
      if (placeholders[j].text == text) {
        fail_usage("the placeholder '{}' is there twice", printable(text, 40));
      }
    }
    const bool foreign = std::all_of(tokens.begin(), tokens.end(),
                                     [&](int64_t token) { return token >= vocabulary_size(); });
    if (tokens.empty() || !foreign) {
      fail_usage("the placeholder '{}' needs tokens of its own, from {} on", printable(text, 40),
                 vocabulary_size());
    }
  }
  Tokenizer tokenizer = *this;
  tokenizer.placeholders_ = std::make_shared<const Placeholders>(std::move(placeholders));
  return tokenizer;
}

std::vector<int64_t> Tokenizer::tokenize(std::string_view text) const {
  const auto plain = [&](std::string_view part) {
    return std::visit([&](const auto& kind) { return kind.tokenize(part); }, kind_);
  };
  if (!placeholders_) return plain(text);
  std::vector<int64_t> out;
  const auto append = [&](const std::vector<int64_t>& tokens) {
    out.insert(out.end(), tokens.begin(), tokens.end());
  };
  text::split(
      text, placeholders_->patterns, [&](std::string_view part) { append(plain(part)); },
      [&](const text::AddedToken& token) {
        append(placeholders_->all[static_cast<size_t>(token.id)].tokens);
      });
  return out;
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, size_t length,
                                       size_t* num_cut) const {
  return std::visit([&](const auto& kind) { return kind.frame(tokenize(text), length, num_cut); },
                    kind_);
}

std::string Tokenizer::decode(const std::vector<int64_t>& tokens) const {
  const auto plain = [&](const std::vector<int64_t>& part) {
    return std::visit([&](const auto& kind) { return kind.decode(part); }, kind_);
  };
  if (!placeholders_) return plain(tokens);
  std::string out;
  std::vector<int64_t> between;
  const auto append = [&](const std::string& part) {
    if (!out.empty() && !part.empty()) out += ' ';
    out += part;
  };
  for (size_t at = 0; at < tokens.size();) {
    const Placeholder* placeholder = placeholders_->find(tokens, at);
    if (!placeholder) {
      between.push_back(tokens[at++]);
      continue;
    }
    append(plain(std::exchange(between, {})));
    append(placeholder->text);
    at += placeholder->tokens.size();
  }
  append(plain(between));
  return out;
}

}  // namespace easel
