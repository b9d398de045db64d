#include "easel/pipeline/prompt_context.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include <ATen/ATen.h>

#include <easel/base/error.h>
#include <easel/nn/stored_weights.h>
#include <easel/text/prompt_chunks.h>

namespace easel {
namespace {

using Chunks = std::vector<TokenChunk>;

constexpr int64_t kMaxBatchChunks = 128;  // of contexts that are repeated to one length

class TextEncoding {
 public:
  TextEncoding(const StableDiffusion& model, const PictureSettings& settings)
      : model_(model),
        weighting_(settings.weighting),
        clip_skip_(model.config.clip_skip + settings.clip_skip - 1) {}

  size_t length() const {
    return static_cast<size_t>(model_.text_encoder.config().max_position_embeddings);
  }

  Chunks chunks(const std::string& text, const Log& log) const {
    size_t num_cut = 0;
    Chunks chunks = make_chunks(model_.tokenizer, text, weighting_, length(), &num_cut);
    if (num_cut > 0) {
      const size_t num_kept = length() - model_.tokenizer.num_special_tokens();
      say(log, LogLevel::Warning,
          fmt::format("the prompt is longer than {} tokens: the last {} of its {} are cut ('{}'); "
                      "--weighting a1111 and comfy read longer ones",
                      num_kept, num_cut, num_kept + num_cut, printable(text, 60)));
    }
    return chunks;
  }

  // The encoder's output [1, T, D] for chunk i of each text, weighted.
  std::vector<Tensor> weighted(const std::vector<const TokenChunk*>& texts) {
    std::vector<Tensor> z_1TD;
    std::vector<Tensor> weights_1T1;
    bool plain = true;
    for (const TokenChunk* chunk : texts) {
      z_1TD.push_back(encode(chunk->tokens));
      weights_1T1.push_back(
          at::tensor(chunk->weights, at::kFloat).reshape({1, -1, 1}).to(model_.device));
      plain = plain && std::all_of(chunk->weights.begin(), chunk->weights.end(),
                                   [](double weight) { return weight == 1; });
    }
    if (plain) return z_1TD;
    const Tensor z_NTD = at::cat(z_1TD);
    const Tensor weights_NT1 = at::cat(weights_1T1);
    return weigh(z_NTD, weights_NT1).split(1);
  }

 private:
  Tensor encode(const std::vector<int64_t>& tokens) {
    Tensor& z_1TD = encoded_[tokens];
    if (!z_1TD.defined()) {
      const Tensor tokens_BT = at::tensor(tokens, at::kLong).unsqueeze(0).to(model_.device);
      const nn::StoredWeights weights(model_.weight_place());
      z_1TD = model_.text_encoder.forward(tokens_BT, clip_skip_).to(at::kFloat);
    }
    return z_1TD;
  }

  Tensor weigh(const Tensor& z_NTD, const Tensor& weights_NT1) {
    if (weighting_ == Weighting::Comfy) {
      const Tensor empty_1TD = encode(empty_chunk(model_.tokenizer, length()).tokens);
      return at::where(weights_NT1 == 1, z_NTD, (z_NTD - empty_1TD) * weights_NT1 + empty_1TD);
    }
    const Tensor weighted_NTD = z_NTD * weights_NT1;
    const Tensor ratio = z_NTD.mean() / weighted_NTD.mean();
    // A mean of 0 cannot be brought back.
    return weighted_NTD * at::where(at::isfinite(ratio), ratio, at::ones_like(ratio));
  }

  const StableDiffusion& model_;
  Weighting weighting_;
  int64_t clip_skip_;
  std::map<std::vector<int64_t>, Tensor> encoded_;
};

// Equal texts share a tensor.
std::vector<Tensor> encode_schedule(TextEncoding& encoding, const StableDiffusion& model,
                                    const std::vector<ScheduledText>& schedule,
                                    at::ScalarType dtype, const Log& log) {
  std::map<std::string_view, Chunks> by_text;
  size_t num_chunks = 1;
  for (const ScheduledText& entry : schedule) {
    Chunks& chunks = by_text[entry.text];
    if (chunks.empty()) chunks = encoding.chunks(entry.text, log);
    num_chunks = std::max(num_chunks, chunks.size());
  }
  const TokenChunk empty = empty_chunk(model.tokenizer, encoding.length());
  for (auto& [text, chunks] : by_text) chunks.resize(num_chunks, empty);

  std::vector<std::vector<Tensor>> parts(schedule.size());
  for (size_t i = 0; i < num_chunks; ++i) {
    std::vector<const TokenChunk*> texts;
    for (const ScheduledText& entry : schedule) texts.push_back(&by_text[entry.text][i]);
    const std::vector<Tensor> z_1TD = encoding.weighted(texts);
    for (size_t k = 0; k < schedule.size(); ++k) parts[k].push_back(z_1TD[k]);
  }
  std::map<std::string_view, Tensor> contexts;
  std::vector<Tensor> out;
  for (size_t k = 0; k < schedule.size(); ++k) {
    Tensor& context_1TD = contexts[schedule[k].text];
    if (!context_1TD.defined()) context_1TD = at::cat(parts[k], 1).to(dtype);
    out.push_back(context_1TD);
  }
  return out;
}

// A part of a prompt with its contexts.
struct EncodedPart {
  double weight;
  std::vector<ScheduledText> schedule;
  std::vector<Tensor> contexts_1TD;

  const Tensor& at_evaluation(int64_t evaluation) const {
    size_t k = 0;
    while (k + 1 < schedule.size() && schedule[k].until < evaluation) ++k;
    return contexts_1TD[k];
  }
};
using EncodedPrompt = std::vector<EncodedPart>;

// Contexts as long as the longest part's: like the webui, with the last vector over and over.
void level_parts(EncodedPrompt& parts) {
  int64_t longest = 0;
  for (const EncodedPart& part : parts) {
    longest = std::max(longest, part.contexts_1TD.front().size(1));
  }
  for (EncodedPart& part : parts) {
    std::map<const void*, Tensor> levelled;  // those that were one tensor stay one
    for (Tensor& context_1TD : part.contexts_1TD) {
      const int64_t missing = longest - context_1TD.size(1);
      if (missing == 0) continue;
      Tensor& longer_1TD = levelled[context_1TD.unsafeGetTensorImpl()];
      if (!longer_1TD.defined()) {
        const Tensor last_11D = context_1TD.slice(1, -1);
        longer_1TD = at::cat({context_1TD, last_11D.expand({1, missing, -1})}, 1);
      }
      context_1TD = longer_1TD;
    }
  }
}

EncodedPrompt encode(TextEncoding& encoding, const StableDiffusion& model, const Prompt& prompt,
                     const Log& log) {
  EncodedPrompt parts;
  for (const PromptPart& part : prompt.parts) {
    parts.push_back(
        {.weight = part.weight,
         .schedule = part.schedule,
         .contexts_1TD = encode_schedule(encoding, model, part.schedule, model.dtype, log)});
  }
  level_parts(parts);
  return parts;
}

void check_tags(const Prompt& prompt) {
  if (prompt.tags.empty()) return;
  const PromptTag& tag = prompt.tags.front();
  std::string text = tag.kind;
  for (const std::string& argument : tag.arguments) text += ":" + argument;
  fail_usage(
      "the prompt asks for <{}>; only <lora:NAME:WEIGHT> can be applied, by a run (run_pictures) "
      "as the programs make it; take it out",
      printable(text, 60));
}

void hint_at_language(const std::string& prompt, const Log& log) {
  const std::string_view found = find_prompt_language(prompt);
  if (found.empty()) return;
  say(log, LogLevel::Info,
      fmt::format("the prompt holds {}, read as text; --weighting a1111 (or comfy) gives it its "
                  "meaning ('{}')",
                  found, printable(prompt, 60)));
}

// The rows of a batch, all of one length.
class Rows {
 public:
  Rows(std::vector<const EncodedPart*> parts, int64_t length) : parts_(parts), length_(length) {}

  Tensor at_evaluation(int64_t evaluation) {
    std::vector<Tensor> contexts;
    std::vector<const void*> key;
    for (const EncodedPart* part : parts_) {
      contexts.push_back(part->at_evaluation(evaluation));
      key.push_back(contexts.back().unsafeGetTensorImpl());
    }
    Tensor& joined_BTD = joined_[key];
    if (!joined_BTD.defined()) {
      for (Tensor& context_1TD : contexts) {
        const int64_t times = length_ / context_1TD.size(1);
        if (times > 1) context_1TD = context_1TD.repeat({1, times, 1});
      }
      joined_BTD = at::cat(contexts);
    }
    return joined_BTD;
  }

 private:
  std::vector<const EncodedPart*> parts_;
  int64_t length_;
  std::map<std::vector<const void*>, Tensor> joined_;
};

int64_t common_length(const std::vector<const EncodedPart*>& parts, int64_t chunk) {
  int64_t length = chunk;
  for (const EncodedPart* part : parts) {
    length = std::lcm(length, part->contexts_1TD.front().size(1));
    if (length > kMaxBatchChunks * chunk) {
      fail_usage(
          "the prompts of a batch and the negative prompt have lengths that do not go together; "
          "make them shorter, or draw them one by one");
    }
  }
  return length;
}

}  // namespace

std::vector<Tensor> encode_schedule(const StableDiffusion& model,
                                    const std::vector<ScheduledText>& schedule,
                                    const PictureSettings& settings, const Log& log) {
  TextEncoding encoding(model, settings);
  return encode_schedule(encoding, model, schedule, at::kFloat, log);
}

void check_prompt(std::string_view prompt, const PictureSettings& settings) {
  const int64_t steps =
      prompt_steps(find_sampler(resolved_sampler(settings).sampler), settings.steps);
  const Prompt read = parse_prompt(prompt, settings.weighting, steps);
  check_tags(read);
  const Prompt negative =
      parse_negative_prompt(settings.negative_prompt, settings.weighting, steps);
  for (const Prompt& each : {read, negative}) {
    for (const PromptPart& part : each.parts) {
      for (const ScheduledText& entry : part.schedule) {
        parse_weights(entry.text, settings.weighting);
      }
    }
  }
}

int64_t prompt_steps(const SamplerInfo& sampler, int64_t steps) {
  return steps * (sampler.evaluations == 2 ? 2 : 1);
}

Guidance make_guidance(const StableDiffusion& model, const std::vector<std::string>& prompts,
                       const PictureSettings& settings, int64_t num_evaluations, Guidance guidance,
                       bool with_unconditional, const Log& log) {
  TextEncoding encoding(model, settings);
  std::map<std::string_view, EncodedPrompt> encoded;
  std::vector<const EncodedPart*> rows;
  for (size_t i = 0; i < prompts.size(); ++i) {
    EncodedPrompt& parts = encoded[prompts[i]];
    if (parts.empty()) {
      const Prompt prompt = parse_prompt(prompts[i], settings.weighting, num_evaluations);
      check_tags(prompt);
      if (settings.weighting == Weighting::None) hint_at_language(prompts[i], log);
      parts = encode(encoding, model, prompt, log);
    }
    for (const EncodedPart& part : parts) {
      rows.push_back(&part);
      guidance.rows.push_back({.picture = static_cast<int64_t>(i), .weight = part.weight});
    }
  }
  const bool plain = rows.size() == prompts.size() &&
                     std::all_of(rows.begin(), rows.end(),
                                 [](const EncodedPart* part) { return part->weight == 1; });
  if (plain) guidance.rows.clear();

  const bool guided = with_unconditional || !plain;
  EncodedPrompt negative;
  if (guided) {
    const std::string& text = settings.negative_prompt;
    negative = encode(encoding, model,
                      parse_negative_prompt(text, settings.weighting, num_evaluations), log);
  } else if (!settings.negative_prompt.empty()) {
    say(log, LogLevel::Warning, "a scale of 1 is no guidance: the negative prompt has no effect");
  }
  std::vector<const EncodedPart*> all = rows;
  if (guided) all.push_back(&negative.front());

  std::set<int64_t> changes;
  for (const EncodedPart* part : all) {
    for (size_t k = 0; k + 1 < part->schedule.size(); ++k) {
      changes.insert(part->schedule[k].until + 1);
    }
  }
  const int64_t length = common_length(all, static_cast<int64_t>(encoding.length()));
  Rows conditional(rows, length);
  Rows unconditional(std::vector<const EncodedPart*>(prompts.size(), all.back()), length);
  const auto conditions = [&](int64_t evaluation) {
    ConditionsFrom made{.evaluation = evaluation, .conditional = {}, .unconditional = {}};
    made.conditional.context_BTD = conditional.at_evaluation(evaluation);
    if (guided) made.unconditional.context_BTD = unconditional.at_evaluation(evaluation);
    return made;
  };
  const ConditionsFrom first = conditions(0);
  guidance.conditional = first.conditional;
  guidance.unconditional = first.unconditional;
  for (const int64_t change : changes) guidance.changes.push_back(conditions(change));
  return guidance;
}

}  // namespace easel
