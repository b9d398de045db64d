#include "easel/text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "easel/base/error.h"
#include "split_tokens.h"

namespace easel {

namespace {

bool stands_at(const std::vector<int64_t>& part, const std::vector<int64_t>& tokens, size_t at) {
  return part.size() <= tokens.size() - at &&
         std::equal(part.begin(), part.end(), tokens.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

struct Tokenizer::Placeholders {
  std::vector<Placeholder> all;
  std::vector<text::AddedToken> added;  // their ids are places in `all`
  text::Patterns patterns;
  // The tokens of the texts that are found by them, and whose they are; the longest first.
  std::vector<std::pair<std::vector<int64_t>, const Placeholder*>> by_tokens;

  Placeholders(std::vector<Placeholder> given, const Tokenizer& plain) : all(std::move(given)) {
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].by_tokens) {
        by_tokens.emplace_back(plain.tokenize(all[i].text), &all[i]);
        continue;
      }
      text::AddedToken token;
      token.content = all[i].text;
      token.id = static_cast<int64_t>(i);
      added.push_back(token);
    }
    for (const text::AddedToken& token : added) patterns.emplace_back(token.content, &token);
    std::stable_sort(by_tokens.begin(), by_tokens.end(),
                     [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  }

  // A text's tokens with those of its placeholders in the place of theirs.
  std::vector<int64_t> replaced(std::vector<int64_t> tokens) const {
    if (by_tokens.empty()) return tokens;
    std::vector<int64_t> out;
    for (size_t at = 0; at < tokens.size();) {
      const auto found = std::find_if(by_tokens.begin(), by_tokens.end(), [&](const auto& known) {
        return !known.first.empty() && stands_at(known.first, tokens, at);
      });
      if (found == by_tokens.end()) {
        out.push_back(tokens[at++]);
        continue;
      }
      const std::vector<int64_t>& own = found->second->tokens;
      out.insert(out.end(), own.begin(), own.end());
      at += found->first.size();
    }
    return out;
  }

  // The placeholder whose tokens stand at `at`; nullptr where none does.
  const Placeholder* find(const std::vector<int64_t>& tokens, size_t at) const {
    for (const Placeholder& placeholder : all) {
      if (stands_at(placeholder.tokens, tokens, at)) return &placeholder;
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
    const std::string& text = placeholders[i].text;
    const std::vector<int64_t>& tokens = placeholders[i].tokens;
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
  tokenizer.placeholders_ = nullptr;
  tokenizer.placeholders_ =
      std::make_shared<const Placeholders>(std::move(placeholders), Tokenizer(tokenizer));
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
      text, placeholders_->patterns,
      [&](std::string_view part) { append(placeholders_->replaced(plain(part))); },
      [&](const text::AddedToken& token) {
        append(placeholders_->all[static_cast<size_t>(token.id)].tokens);
      });
  return out;
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, size_t length,
                                       size_t* num_cut) const {
  return frame(tokenize(text), length, num_cut);
}

std::vector<int64_t> Tokenizer::frame(std::vector<int64_t> tokens, size_t length,
                                      size_t* num_cut) const {
  return std::visit(
      [&](const auto& kind) { return kind.frame(std::move(tokens), length, num_cut); }, kind_);
}

size_t Tokenizer::placeholder_length(const std::vector<int64_t>& tokens, size_t position) const {
  const Placeholder* found = placeholders_ ? placeholders_->find(tokens, position) : nullptr;
  return found ? found->tokens.size() : 0;
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
