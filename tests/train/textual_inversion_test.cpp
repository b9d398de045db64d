#include "easel/train/textual_inversion.h"

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/tiny_adapter.h"

namespace easel {
namespace {

using test::FineTuning;
using test::FineTuningTask;

constexpr const char* kStar =
    "personalization_config: {placeholder_strings: [\"*\"], initializer_words: [circle], "
    "num_vectors_per_token: 2}";
constexpr const char* kTable = "text_encoder.text_model.embeddings.token_embedding.weight";

TEST(TextualInversion, LearnsFourPicturesWithTheModelAsItWas) {
  const FineTuning material(kStar);
  const std::vector<std::string> overrides{
      "model.params.personalization_config.num_vectors_per_token=8"};
  // Loaded once more, as it was.
  const auto before = FineTuningTask(material.config()).weights();
  FineTuningTask tuning(material.config(overrides));
  ASSERT_EQ(tuning.task.groups.at(0).parameters.size(), 1u);
  // The context of a network that was never trained says little: there is much that it cannot mend.
  const std::vector<double> losses = tuning.learn(80, 2e-1);
  EXPECT_LT(losses.back(), 0.87 * losses.front());
  for (size_t i = 20; i < losses.size(); i += 20) EXPECT_LT(losses[i], losses[i - 20]);
  tuning.loss();
  for (const auto& [name, tensor] : tuning.weights()) {
    if (name == kTable) {
      ASSERT_EQ(tensor.size(0), 448);
      EXPECT_TRUE(tensor.narrow(0, 0, 440).equal(before.at(name).narrow(0, 0, 440)));
      EXPECT_TRUE(tensor.narrow(0, 440, 8).equal(tuning.task.weights(nullptr).at("*")));
    } else {
      EXPECT_TRUE(tensor.equal(before.at(name))) << name;
    }
  }
}

TEST(TextualInversion, StartsFromTheInitializerWords) {
  const FineTuning material(kStar);
  const auto initial = [&](const std::string& params) {
    FineTuningTask tuning(material.config({"model.params.personalization_config=" + params}));
    const Tensor table = tuning.weights().at(kTable);
    return std::make_pair(tuning.task.weights(nullptr), table);
  };
  const Tokenizer tokenizer(
      SentencePieceTokenizer::from_file(EASEL_TEST_DATA "/sentencepiece/unigram.model"));
  const auto ids = [&](const std::string& word) {
    return at::tensor(tokenizer.tokenize(word), at::kLong);
  };
  const std::string two = "no";
  const int64_t num = ids(two).numel();
  ASSERT_GT(num, 1);
  const auto [found, table] = initial(fmt::format(
      "{{placeholder_strings: [x-1, x-2], initializer_words: [{0}, {0}], num_vectors_per_token: "
      "{1}}}",
      two, num));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE(found.at("x-1").equal(table.index_select(0, ids(two))));
  EXPECT_TRUE(found.at("x-2").equal(table.index_select(0, ids(two))));

  const auto [repeated, same] = initial(
      "{placeholder_strings: [\"*\"], initializer_words: [circle], num_vectors_per_token: 3}");
  EXPECT_TRUE(repeated.at("*").equal(same.index_select(0, ids("circle")).expand({3, -1})));
}

TEST(TextualInversion, PlaceholdersReachTheLossAndOnlyThey) {
  const FineTuning material(kStar);
  FineTuningTask tuning(material.config());
  Tensor& learnt = *tuning.task.groups.at(0).parameters.at(0).tensor;
  at::manual_seed(1);
  tuning.loss().backward();
  EXPECT_GT(learnt.grad().abs().sum(1).min().item<double>(), 0);  // of both vectors
  learnt.mutable_grad() = Tensor();
  for (std::string& caption : tuning.batch.captions) caption = "a photo of nothing";
  tuning.loss().backward();
  EXPECT_EQ(learnt.grad().abs().max().item<double>(), 0);
}

TEST(TextualInversion, ActivationCheckpointingGivesTheSameGradients) {
  const FineTuning material(kStar);
  const auto gradient = [&](bool use_checkpoint) {
    FineTuningTask tuning(material.config(), use_checkpoint);
    at::manual_seed(1);
    tuning.loss().backward();
    return tuning.task.groups.at(0).parameters.at(0).tensor->grad();
  };
  EXPECT_TRUE(gradient(true).equal(gradient(false)));
}

TEST(TextualInversion, ResumesBitForBit) {
  const FineTuning material(kStar);
  const auto whole = material.run("whole");
  const auto parts = material.run("parts", {}, {.stop = [] { return true; }});
  EXPECT_EQ(read_safetensors(parts / "checkpoints/last.state").metadata.at("step"), "1");
  material.resume("parts");
  test::expect_same_run(parts, whole);
  const auto saved = read_safetensors(whole / "checkpoints/last.safetensors").tensors;
  ASSERT_EQ(saved.size(), 1u);
  EXPECT_EQ(shape_text(saved.at("*").sizes()), shape_text(std::vector<int64_t>{2, 32}));
}

TEST(TextualInversion, SavesBothLayouts) {
  const FineTuning material(kStar);
  const auto folder =
      material.run("run", {"model.params.personalization_config.layout=a1111", "run.format=ckpt"});
  const auto saved = read_tensor_file(folder / "checkpoints/last.ckpt").tensors;
  ASSERT_EQ(saved.size(), 1u);
  EXPECT_EQ(saved.begin()->first, "emb_params");
}

TEST(TextualInversion, DrawsPicturesThatKnowThePlaceholder) {
  const FineTuning material(kStar);
  FineTuningTask tuning(material.config());
  const auto pixels = [&](const std::string& caption) {
    const at::NoGradGuard no_grad;
    Batch batch = tuning.batch;
    batch.captions = {caption};
    return tuning.task.draw(batch).at(0).pixels;
  };
  const auto with = pixels("a photo of *");
  const auto without = pixels("a photo of");
  tuning.learn(20, 5e-1);
  EXPECT_NE(pixels("a photo of *"), with);
  EXPECT_EQ(pixels("a photo of"), without);
}

TEST(TextualInversion, ReadsTheConfigOfItsAuthors) {
  const FineTuning material(R"(personalization_config:
      target: ldm.modules.embedding_manager.EmbeddingManager
      params:
        placeholder_strings: ["*"]
        initializer_words: ["circle"]
        per_image_tokens: false
        num_vectors_per_token: 1
        progressive_words: False
    cond_stage_trainable: true)");
  const TrainConfig config = material.config();
  const auto& options = std::get<DiffusionTraining>(config.model).textual_inversion;
  ASSERT_TRUE(options);
  EXPECT_EQ(options->placeholder_strings, std::vector<std::string>{"*"});
  EXPECT_EQ(options->initializer_words, std::vector<std::string>{"circle"});
  EXPECT_EQ(options->num_vectors_per_token, 1);
}

TEST(TextualInversion, NamesWhatCannotBe) {
  const FineTuning material(kStar);
  const auto has = [&](const std::string& override, const std::string& text) {
    const std::string message = material.message({"model.params." + override});
    EXPECT_NE(message.find(text), std::string::npos) << override << ": " << message;
  };
  const std::string key = "personalization_config.";
  has(key + "initializer_words=[lighthouse]", "the initializer word 'lighthouse' is ");
  has(key + "initializer_words=[\"\"]", "the initializer word '' is 0 tokens");
  has(key + "initializer_words=[a, b]", "2 initializer_words for 1 placeholder_strings");
  has(key + "placeholder_strings=[]", "placeholder_strings is empty");
  has(key + "placeholder_strings=[unseen]", "no caption in");
  has(key + "placeholder_strings=[\"\"]", "placeholder is empty");
  has("personalization_config={placeholder_strings: [\"*\", \"*\"], initializer_words: [a, a]}",
      "is there twice");
  has(key + "num_vectors_per_token=16", "more than a caption's tokens");
  has(key + "num_vectors_per_token=0", "num_vectors_per_token");
  has(key + "layout=webui", "unknown layout 'webui'");
  has(key + "per_image_tokens=true", "per_image_tokens");
  has(key + "placeholders=[a]", "placeholders");
  has("personalization_config={placeholder_strings: [\"*\", at], initializer_words: [a, a], "
      "layout: "
      "a1111}",
      "one placeholder");
  has("personalization_config={target: ldm.Other, params: {}}", "unknown class 'ldm.Other'");
  has("ckpt_path=\"\"", "give it as ckpt_path");
}

TEST(TextualInversion, TheExampleConfigIsValid) {
  const std::filesystem::path folder = std::filesystem::path(EASEL_SOURCE_DIR) / "configs/shapes";
  const TrainConfig config =
      read_train_config({folder / "diffusion.yaml", folder / "textual-inversion.yaml"});
  const auto& training = std::get<DiffusionTraining>(config.model);
  ASSERT_TRUE(training.textual_inversion);
  EXPECT_EQ(training.ckpt_path, "models/shapes/model.safetensors");
  // Its initializer words are single tokens of the small model's tokenizer.
  const Tokenizer tokenizer(SentencePieceTokenizer::from_file(training.model.tokenizer));
  for (const std::string& word : training.textual_inversion->initializer_words) {
    EXPECT_EQ(tokenizer.tokenize(word).size(), 1u) << word;
  }
}

}  // namespace
}  // namespace easel
