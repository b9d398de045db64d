#include "easel/pipeline/explain_prompt.h"

#include <set>

#include <fmt/format.h>

#include <easel/base/error.h>
#include <easel/checkpoint/embeddings.h>
#include <easel/checkpoint/stable_diffusion.h>
#include <easel/diffusion/sampler.h>
#include <easel/pipeline/prompt_context.h>
#include <easel/text/prompt_chunks.h>

namespace easel {
namespace {

struct Reader {
  Tokenizer tokenizer;
  size_t length;
  const PictureSettings& settings;
};

Reader make_reader(const ModelRequest& request, const PictureSettings& settings) {
  LoadOptions options;
  options.config = request.config;
  options.default_config = request.default_config;
  options.vocabulary = request.vocabulary;
  options.vae = request.vae;
  const ModelConfig config = find_model_config(request.model, options);
  Tokenizer tokenizer =
      load_tokenizer(config_folder(request.model, options), config, request.vocabulary);
  const ClipTextConfig& text_encoder = config.text_encoder;
  const int64_t length = text_encoder.max_position_embeddings;
  const auto embeddings = read_embeddings(request.embeddings);
  check_embeddings(embeddings, text_encoder);
  if (!embeddings.empty()) {
    const int64_t room = length - static_cast<int64_t>(tokenizer.num_special_tokens());
    tokenizer = with_embeddings(tokenizer, embeddings, text_encoder.vocab_size, room);
  }
  return {.tokenizer = std::move(tokenizer),
          .length = static_cast<size_t>(length),
          .settings = settings};
}

// Tokens in words, those of one weight and one placeholder together: "a red (cat:1.3)".
std::string tokens_text(const Reader& reader, const TokenChunk& chunk) {
  std::string text;
  const Tokenizer& tokenizer = reader.tokenizer;
  const auto is_special = [&](int64_t token) {
    return token == tokenizer.eos() || token == tokenizer.pad() || tokenizer.bos() == token;
  };
  for (size_t i = 0; i < chunk.tokens.size();) {
    const size_t num = std::max<size_t>(tokenizer.placeholder_length(chunk.tokens, i), 1);
    const std::vector<int64_t> tokens(chunk.tokens.begin() + static_cast<std::ptrdiff_t>(i),
                                      chunk.tokens.begin() + static_cast<std::ptrdiff_t>(i + num));
    const double weight = chunk.weights[i];
    i += num;
    if (num == 1 && is_special(tokens.front())) continue;
    std::string ids;
    for (const int64_t token : tokens) ids += fmt::format("{}{}", ids.empty() ? "" : ",", token);
    const std::string word = "'" + printable(tokenizer.decode(tokens), 60) + "'";
    text += weight == 1 ? fmt::format("      {:<24} {}\n", word, ids)
                        : fmt::format("      {:<24} {:<14} weight {:g}\n", word, ids, weight);
  }
  return text;
}

std::string chunks_text(const Reader& reader, const std::string& text) {
  size_t num_cut = 0;
  const std::vector<TokenChunk> chunks =
      make_chunks(reader.tokenizer, text, reader.settings.weighting, reader.length, &num_cut);
  std::string out;
  for (size_t i = 0; i < chunks.size(); ++i) {
    out += fmt::format("    chunk {} of {}:\n", i + 1, chunks.size());
    out += tokens_text(reader, chunks[i]);
  }
  if (num_cut > 0) out += fmt::format("    the last {} tokens are cut\n", num_cut);
  return out;
}

// Every text once, with the evaluations it is there for.
std::string part_text(const Reader& reader, const PromptPart& part) {
  std::string out;
  std::set<std::string_view> shown;
  for (const ScheduledText& entry : part.schedule) {
    if (!shown.insert(entry.text).second) continue;
    std::string when;
    int64_t from = 0;
    for (const ScheduledText& other : part.schedule) {
      if (other.text == entry.text) {
        if (!when.empty()) when += ", ";
        when += fmt::format("{} to {}", from, other.until);
      }
      from = other.until + 1;
    }
    out += fmt::format("  '{}'", printable(entry.text, 2000));
    if (part.schedule.size() > 1) out += fmt::format(", evaluations {}", when);
    out += '\n' + chunks_text(reader, entry.text);
  }
  return out;
}

std::string explain(const Reader& reader, std::string_view title, const Prompt& prompt) {
  std::string out =
      fmt::format("{}, weighting {}:\n", title, weighting_name(reader.settings.weighting));
  for (const PromptTag& tag : prompt.tags) {
    out += fmt::format("  <{}", printable(tag.kind, 60));
    for (const std::string& argument : tag.arguments) out += ":" + printable(argument, 60);
    out += ">\n";
  }
  for (size_t i = 0; i < prompt.parts.size(); ++i) {
    const PromptPart& part = prompt.parts[i];
    if (prompt.parts.size() > 1 || part.weight != 1) {
      out += fmt::format("  part {} of {}, weight {:g}\n", i + 1, prompt.parts.size(), part.weight);
    }
    out += part_text(reader, part);
  }
  return out;
}

}  // namespace

std::string explain_prompt(const ModelRequest& model, const std::string& prompt,
                           const PictureSettings& settings) {
  const Reader reader = make_reader(model, settings);
  const int64_t steps =
      prompt_steps(find_sampler(resolved_sampler(settings).sampler), settings.steps);
  const Weighting weighting = settings.weighting;
  std::string out = explain(reader, "prompt", parse_prompt(prompt, weighting, steps));
  const std::string& negative = settings.negative_prompt;
  out += explain(reader, "negative prompt", parse_negative_prompt(negative, weighting, steps));
  if (weighting == Weighting::A1111) {
    out += fmt::format("schedules count evaluations of the network, here {} of {} steps\n", steps,
                       settings.steps);
  }
  return out;
}

}  // namespace easel
