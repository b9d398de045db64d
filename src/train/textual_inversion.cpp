#include "easel/train/textual_inversion.h"

#include <algorithm>
#include <array>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <easel/base/error.h>
#include <easel/nn/module.h>

namespace easel {
namespace {

constexpr std::string_view kTable = "text_model.embeddings.token_embedding.weight";

struct Inversion {
  TextualInversionOptions options;
  std::shared_ptr<StableDiffusion> model;
  Tensor* table_VD = nullptr;  // the text encoder's token embedding
  Tensor base_VD;              // its own rows
  std::vector<Tensor> learnt;  // [num_vectors_per_token, D], one for each placeholder
};

std::string parameter_name(const std::string& placeholder) { return "embedding." + placeholder; }

Tensor initial_vectors(const Inversion& inversion, const std::string& word) {
  const int64_t num = inversion.options.num_vectors_per_token;
  const std::vector<int64_t> tokens = inversion.model->tokenizer.tokenize(word);
  const auto num_tokens = static_cast<int64_t>(tokens.size());
  if (num_tokens != 1 && num_tokens != num) {
    fail_usage(
        "personalization_config: the initializer word '{}' is {} tokens; expected a word of one "
        "token{}",
        printable(word, 40), num_tokens,
        num > 1 ? fmt::format(", or {} tokens, one for each vector", num)
                : std::string(", or num_vectors_per_token to be as many"));
  }
  const at::NoGradGuard no_grad;
  const Tensor index = at::tensor(tokens, at::kLong).to(inversion.base_VD.device());
  return inversion.base_VD.index_select(0, index)
      .expand({num, -1})
      .to(at::kFloat)
      .clone(at::MemoryFormat::Contiguous)
      .requires_grad_(true);
}

// A text encoder of the same weights whose token embedding may hold `num_more` rows more.
void make_room(StableDiffusion& model, int64_t num_more) {
  ClipTextConfig config = model.text_encoder.config();
  config.vocab_size += num_more;
  ClipText larger(config);
  auto to = nn::named_parameters(larger);
  const auto from = nn::named_parameters(model.text_encoder);
  for (size_t i = 0; i < to.size(); ++i) *to[i].tensor = *from[i].tensor;
  model.text_encoder = std::move(larger);
}

std::map<std::string, Tensor> weights(const Inversion& inversion, const Ema* averages) {
  std::map<std::string, Tensor> kept;
  if (averages != nullptr) kept = averages->tensors();
  std::map<std::string, Tensor> saved;
  for (size_t i = 0; i < inversion.learnt.size(); ++i) {
    const std::string& placeholder = inversion.options.placeholder_strings[i];
    const auto found = kept.find(parameter_name(placeholder));
    saved.emplace(inversion.options.layout == "a1111" ? "emb_params" : placeholder,
                  found == kept.end() ? inversion.learnt[i].detach() : found->second);
  }
  return saved;
}

}  // namespace

void check(const TextualInversionOptions& options) {
  const size_t num = options.placeholder_strings.size();
  if (num == 0) {
    fail_usage("personalization_config: placeholder_strings is empty; expected such as [\"*\"]");
  }
  if (options.initializer_words.size() != num) {
    fail_usage(
        "personalization_config: {} initializer_words for {} placeholder_strings; expected "
        "one for each",
        options.initializer_words.size(), num);
  }
  if (options.num_vectors_per_token < 1) {
    fail_usage("personalization_config: num_vectors_per_token is {}, expected 1 or more",
               options.num_vectors_per_token);
  }
  constexpr std::array<std::string_view, 2> layouts{"diffusers", "a1111"};
  if (std::find(layouts.begin(), layouts.end(), options.layout) == layouts.end()) {
    fail_usage("personalization_config: {}", unknown_name("layout", options.layout, layouts));
  }
  if (options.layout == "a1111" && num != 1) {
    fail_usage(
        "personalization_config: the layout a1111 holds one placeholder, got {}; take "
        "diffusers",
        num);
  }
}

Adapter make_textual_inversion(const TextualInversionOptions& options,
                               std::shared_ptr<StableDiffusion> model) {
  check(options);
  auto inversion = std::make_shared<Inversion>();
  inversion->options = options;
  inversion->model = std::move(model);
  StableDiffusion& shared = *inversion->model;
  const int64_t vocab_size = shared.text_encoder.config().vocab_size;
  const int64_t num = options.num_vectors_per_token;
  const auto num_words = static_cast<int64_t>(options.placeholder_strings.size());
  if (num > shared.text_encoder.config().max_position_embeddings -
                static_cast<int64_t>(shared.tokenizer.num_special_tokens())) {
    fail_usage("personalization_config: num_vectors_per_token is {}, more than a caption's tokens",
               num);
  }

  std::vector<Placeholder> placeholders;
  for (int64_t p = 0; p < num_words; ++p) {
    Placeholder placeholder{.text = options.placeholder_strings[static_cast<size_t>(p)],
                            .tokens = {}};
    for (int64_t i = 0; i < num; ++i) placeholder.tokens.push_back(vocab_size + p * num + i);
    placeholders.push_back(std::move(placeholder));
  }
  Tokenizer tokenizer = shared.tokenizer.with_placeholders(std::move(placeholders));

  for (const auto& parameter : nn::named_parameters(shared.text_encoder)) {
    if (parameter.name == kTable) inversion->base_VD = parameter.tensor->detach();
  }
  for (const std::string& word : options.initializer_words) {
    inversion->learnt.push_back(initial_vectors(*inversion, word));
  }
  shared.tokenizer = std::move(tokenizer);
  make_room(shared, num_words * num);
  for (const auto& parameter : nn::named_parameters(shared.text_encoder)) {
    if (parameter.name == kTable) inversion->table_VD = parameter.tensor;
  }

  Adapter adapter;
  for (size_t i = 0; i < inversion->learnt.size(); ++i) {
    adapter.parameters.push_back(
        {parameter_name(options.placeholder_strings[i]), &inversion->learnt[i]});
  }
  adapter.adapts_text = true;
  adapter.apply = [inversion] {
    std::vector<Tensor> rows{inversion->base_VD};
    rows.insert(rows.end(), inversion->learnt.begin(), inversion->learnt.end());
    *inversion->table_VD = at::cat(rows);
  };
  adapter.weights = [inversion](const Ema* averages) { return weights(*inversion, averages); };
  return adapter;
}

}  // namespace easel
