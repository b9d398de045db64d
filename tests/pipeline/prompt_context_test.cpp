#include "easel/pipeline/prompt_context.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/checkpoint/embeddings.h>
#include <easel/io/tensor_file.h>
#include <easel/pipeline/txt2img.h>

#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

using nlohmann::json;
using test::message_of;

const std::string kData = std::string(EASEL_TEST_DATA) + "/prompts/";

const StableDiffusion& model() {
  static const StableDiffusion loaded = test::tiny_model(EASEL_CLIP_VOCABULARY);
  return loaded;
}

// scripts/fixtures/prompt_contexts.py.
const TensorFile& fixture() {
  static const TensorFile file = read_safetensors(kData + "contexts.safetensors");
  return file;
}

std::vector<json> cases(const std::string& kind) {
  std::vector<json> found;
  for (const json& made : json::parse(fixture().metadata.at("cases"))) {
    if (made.at("kind") == kind) found.push_back(made);
  }
  EXPECT_FALSE(found.empty()) << kind;
  return found;
}

PictureSettings settings_of(Weighting weighting, int64_t clip_skip = 1) {
  PictureSettings settings;
  settings.weighting = weighting;
  settings.clip_skip = clip_skip;
  settings.width = 48;
  settings.height = 32;
  settings.steps = 4;
  return settings;
}

Guidance guidance_of(const std::vector<std::string>& prompts, const PictureSettings& settings,
                     int64_t evaluations = 10, const Log& log = {}) {
  const Guidance numbers{.scale = settings.scale, .conditional = {}, .unconditional = {}};
  return make_guidance(model(), prompts, settings, evaluations, numbers, settings.scale != 1, log);
}

TEST(PromptContext, WeightsAndLongPromptsAsTheirReadersHaveThem) {
  for (const json& made : cases("context")) {
    const std::string text = made.at("text");
    const auto settings = settings_of(weighting_from_name(made.at("weighting").get<std::string>()),
                                      made.at("clip_skip"));
    const std::vector<Tensor> got = encode_schedule(model(), {{10, text}}, settings);
    ASSERT_EQ(got.size(), 1u);
    const std::string key = made.at("key");
    const Tensor& wanted = fixture().tensors.at(key);
    ASSERT_EQ(got[0].sizes(), wanted.sizes()) << key;
    test::expect_close(got[0], wanted, 1e-5, key + " " + text);
  }
}

TEST(PromptContext, SchedulesShareALengthAndAMean) {
  for (const json& made : cases("schedule")) {
    const std::string text = made.at("text");
    const int64_t steps = made.at("steps");
    const auto schedule = parse_schedule(text, steps);
    const std::vector<Tensor> got =
        encode_schedule(model(), schedule, settings_of(Weighting::A1111));
    test::expect_close(at::cat(got), fixture().tensors.at(made.at("key").get<std::string>()), 1e-5,
                       text);
  }
}

TEST(PromptContext, WholeRunsAsTheWebuiDrawsThem) {
  for (const json& made : cases("run")) {
    const std::string key = made.at("key");
    Txt2ImgRequest request{.prompts = made.at("prompts"), .settings = {}, .initial_noise_BCHW = {}};
    request.settings = settings_of(Weighting::A1111);
    request.settings.negative_prompt = made.at("negative");
    request.settings.sampler = made.at("sampler");
    request.settings.schedule = "default";
    request.settings.steps = made.at("steps");
    request.settings.scale = made.at("scale");
    NormalStream stream(Rng::Cpu, made.at("seed"));
    NoiseSource noise = NoiseSource::per_batch(stream);
    const Txt2ImgResult result = txt2img(model(), request, noise);
    test::expect_close(result.latents_BCHW, fixture().tensors.at(key), 2e-3, key);
  }
}

TEST(PromptContext, ALiteralPromptIsTheEncodersOutput) {
  const std::string text = "a (cat:1.2) AND [dog]";
  const Guidance guidance = guidance_of({text, "b"}, settings_of(Weighting::None));
  const Tensor tokens = at::tensor(model().tokenizer.encode(text), at::kLong).unsqueeze(0);
  EXPECT_TRUE(at::equal(guidance.conditional.context_BTD.slice(0, 0, 1),
                        model().text_encoder.forward(tokens)));
  EXPECT_EQ(guidance.unconditional.context_BTD.size(0), 2);
  EXPECT_TRUE(guidance.rows.empty() && guidance.changes.empty());
  // Without anything special in it a prompt is the same to all readers.
  for (const Weighting weighting : {Weighting::A1111, Weighting::Comfy}) {
    const Guidance other = guidance_of({"a cat, sitting", "b"}, settings_of(weighting));
    const Guidance plain = guidance_of({"a cat, sitting", "b"}, settings_of(Weighting::None));
    EXPECT_TRUE(at::equal(other.conditional.context_BTD, plain.conditional.context_BTD));
    EXPECT_TRUE(other.rows.empty() && other.changes.empty());
  }
}

TEST(PromptContext, ConditionsChangeOneEvaluationAfterTheStep) {
  const auto settings = settings_of(Weighting::A1111);
  const Guidance guidance = guidance_of({"a [b:c:3]", "[x|y]"}, settings, 4);
  std::vector<int64_t> evaluations;
  for (const ConditionsFrom& change : guidance.changes) evaluations.push_back(change.evaluation);
  EXPECT_EQ(evaluations, (std::vector<int64_t>{2, 3, 4}));
  const auto context = [&](const std::string& text) {
    return guidance_of({text}, settings).conditional.context_BTD;
  };
  const auto expect = [&](const Conditioning& got, const std::string& a, const std::string& b) {
    EXPECT_TRUE(at::equal(got.context_BTD, at::cat({context(a), context(b)}))) << a << ", " << b;
  };
  expect(guidance.conditional, "a b", "x");
  expect(guidance.changes[0].conditional, "a b", "y");
  expect(guidance.changes[1].conditional, "a b", "x");
  expect(guidance.changes[2].conditional, "a c", "y");
  EXPECT_TRUE(
      at::equal(guidance.changes[2].unconditional.context_BTD, guidance.unconditional.context_BTD));
}

TEST(PromptContext, EqualConditionsAreKeptOnce) {
  const Guidance guidance = guidance_of({"[x|y]"}, settings_of(Weighting::A1111), 50);
  ASSERT_EQ(guidance.changes.size(), 49u);
  EXPECT_TRUE(guidance.changes[1].conditional.context_BTD.is_same(
      guidance.changes[3].conditional.context_BTD));
}

TEST(PromptContext, CompositionKeepsItsPictures) {
  auto settings = settings_of(Weighting::A1111);
  const Guidance guidance = guidance_of({"a AND b:0.5", "c"}, settings);
  ASSERT_EQ(guidance.rows.size(), 3u);
  EXPECT_EQ(guidance.rows[1].picture, 0);
  EXPECT_EQ(guidance.rows[1].weight, 0.5);
  EXPECT_EQ(guidance.rows[2].picture, 1);
  EXPECT_EQ(guidance.conditional.context_BTD.size(0), 3);
  EXPECT_EQ(guidance.unconditional.context_BTD.size(0), 2);
  settings.scale = 1;
  EXPECT_TRUE(guidance_of({"a AND b"}, settings).unconditional.context_BTD.defined());
  EXPECT_FALSE(guidance_of({"a"}, settings).unconditional.context_BTD.defined());
}

TEST(PromptContext, APictureDoesNotDependOnLongerPromptsBesideIt) {
  std::string longer;
  for (int i = 0; i < 30; ++i) longer += "storm, grey sea, ";
  const auto draw = [&](std::vector<std::string> prompts) {
    std::vector<uint64_t> seeds(prompts.size(), 4);
    Txt2ImgRequest request{.prompts = std::move(prompts), .settings = {}, .initial_noise_BCHW = {}};
    request.settings = settings_of(Weighting::A1111);
    request.settings.negative_prompt = "(blurry:1.3)";
    NoiseSource noise = NoiseSource::per_image(Rng::Cpu, seeds);
    return txt2img(model(), request, noise).latents_BCHW;
  };
  test::expect_close(draw({longer, "a cat"})[1], draw({"a cat"})[0], 1e-4);
  test::expect_close(draw({longer, "a cat"})[0], draw({longer})[0], 1e-4);
}

TEST(PromptContext, SpeaksUp) {
  std::string said;
  const Log log = [&](LogLevel, std::string_view line) { said += std::string(line) + "\n"; };
  guidance_of({"a (cat:1.2)"}, settings_of(Weighting::None), 10, log);
  EXPECT_NE(said.find("holds a weight, read as text; --weighting a1111"), std::string::npos);
  said.clear();
  guidance_of({"a (cat:1.2)"}, settings_of(Weighting::A1111), 10, log);
  guidance_of({"a (cat), [dog]"}, settings_of(Weighting::None), 10, log);
  EXPECT_EQ(said, "");
}

TEST(PromptContext, RefusesWhatCannotBeMeant) {
  for (const Weighting weighting : {Weighting::None, Weighting::A1111, Weighting::Comfy}) {
    EXPECT_NE(message_of<Error>([&] {
                guidance_of({"a <lora:x:0.5>"}, settings_of(weighting));
              }).find("<lora:x:0.5>"),
              std::string::npos);
  }
  EXPECT_NE(message_of<Error>([&] {
              guidance_of({"a <hypernet:x>"}, settings_of(Weighting::A1111));
            }).find("<hypernet:x>"),
            std::string::npos);
  std::string primes;
  for (int i = 0; i < 28; ++i) primes += "a BREAK ";
  std::string more = primes;
  for (int i = 0; i < 2; ++i) more += "a BREAK ";
  EXPECT_NE(message_of<Error>([&] {
              guidance_of({primes + "a", more + "a"}, settings_of(Weighting::A1111));
            }).find("do not go together"),
            std::string::npos);
}

TEST(PromptSteps, CountTwoForSamplersWithTwoEvaluations) {
  EXPECT_EQ(prompt_steps(find_sampler("euler"), 20), 20);
  EXPECT_EQ(prompt_steps(find_sampler("ddim"), 31), 31);
  for (const std::string name : {"heun", "dpm2", "dpm2_a", "dpmpp_2s_a", "dpmpp_sde"}) {
    EXPECT_EQ(prompt_steps(find_sampler(name), 20), 40) << name;
  }
  EXPECT_EQ(prompt_steps(find_sampler("dpm_adaptive"), 20), 20);
}

TEST(PromptContext, EmbeddingsStandForTheirVectors) {
  for (const json& made : cases("embedding")) {
    const std::string file = made.at("file");
    StableDiffusion tiny = test::tiny_model(model().tokenizer);
    add_embeddings(tiny, read_embeddings({kData + "embeddings/" + file}));
    for (const Weighting weighting : {Weighting::None, Weighting::A1111}) {
      const std::vector<Tensor> got =
          encode_schedule(tiny, {{1, made.at("text").get<std::string>()}}, settings_of(weighting));
      test::expect_close(got[0], fixture().tensors.at(made.at("key").get<std::string>()), 1e-5,
                         file);
    }
  }
}

}  // namespace
}  // namespace easel
