// Where txt2img takes its prompts from, and how it reads them.
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/io/image.h>
#include <easel/io/tensor_file.h>

#include "tests/support/txt2img_program.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::ProcessResult;

class Txt2ImgPrompts : public test::Txt2ImgProgram {};

TEST_F(Txt2ImgPrompts, ReadsPromptsAsItIsTold) {
  const std::string prompt = "a (cat:1.4) on [grass:snow:0.5]";
  ASSERT_EQ(draw({"--prompt", prompt, "-o", "literal.png"}).code, 0);
  const ProcessResult weighted =
      draw({"--prompt", prompt, "-o", "weighted.png", "--weighting", "a1111"});
  ASSERT_EQ(weighted.code, 0) << weighted.err;
  EXPECT_NE(read_image(folder_ / "literal.png").pixels,
            read_image(folder_ / "weighted.png").pixels);
  const PngText text = read_png_text(folder_ / "weighted.png");
  expect_in(text[0].second, ", Weighting: a1111");
  EXPECT_EQ(nlohmann::json::parse(text[1].second)["weighting"], "a1111");

  const ProcessResult refused = draw({"--prompt", "a <lora:x:1>", "-o", "x.png"});
  EXPECT_EQ(refused.code, 2);
  expect_in(refused.err, "there is no LoRA 'x': no such file, and no files in models/lora");
}

TEST_F(Txt2ImgPrompts, AppliesLoras) {
  const std::string key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_v";
  fs::create_directories(folder_ / "models/lora");
  const fs::path file = folder_ / "models/lora/style.safetensors";
  write_safetensors(file,
                    {{key + ".lora_down.weight", at::ones({1, 64})},
                     {key + ".lora_up.weight", at::ones({64, 1})}},
                    {}, IfExists::Refuse);
  const auto pixels = [&](const std::string& name, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"-o", name});
    const ProcessResult result = draw(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return read_image(folder_ / name).pixels;
  };
  const auto plain = pixels("plain.png", {"--prompt", "a cat"});
  const auto named = pixels("named.png", {"--prompt", "a cat<lora:style:0.5>"});
  EXPECT_NE(named, plain);
  EXPECT_EQ(pixels("given.png", {"--prompt", "a cat", "--lora", file.string() + ":0.5"}), named);
  const auto twice =
      pixels("twice.png", {"--prompt", "a cat", "--lora", "style:0.25", "--lora", "style:0.25"});
  int worst = 0;
  for (size_t i = 0; i < named.size(); ++i) worst = std::max(worst, std::abs(twice[i] - named[i]));
  EXPECT_LE(worst, 1);
  expect_in(read_png_text(folder_ / "named.png")[0].second, "a cat<lora:style:0.5>\n");
  const PngText text = read_png_text(folder_ / "given.png");
  expect_in(text[0].second, ", Lora: \"style: 0.5\"");
  const auto json = nlohmann::json::parse(text[1].second);
  EXPECT_EQ(json["loras"][0]["name"], "style");
  EXPECT_EQ(json["loras"][0]["unet"], 0.5);
  EXPECT_EQ(draw({"--lora", "stile", "-o", "x.png"}).code, 2);
  EXPECT_EQ(draw({"--lora", test::tiny_model_file().string(), "-o", "x.png"}).code, 1);
}

TEST_F(Txt2ImgPrompts, ExplainsPrompts) {
  const ProcessResult explained =
      draw({"--prompt", "a (cat:1.4) AND [dog:mystyle:0.5]:0.5", "--weighting", "a1111",
            "--explain-prompt", "--steps", "4", "--embeddings",
            std::string(EASEL_TEST_DATA) + "/prompts/embeddings"});
  ASSERT_EQ(explained.code, 0) << explained.err;
  expect_in(explained.out, "part 2 of 2, weight 0.5\n");
  expect_in(explained.out, "'cat'                    2368           weight 1.4\n");
  expect_in(explained.out, "'mystyle'                49408,49409");
  expect_in(explained.out, "evaluations 0 to 2\n");
  expect_in(explained.out, "evaluations 3 to 4\n");
  EXPECT_EQ(folder_.count(), 0u);
}

TEST_F(Txt2ImgPrompts, KnowsEmbeddingsByName) {
  const std::string folder = std::string(EASEL_TEST_DATA) + "/prompts/embeddings";
  ASSERT_EQ(draw({"--prompt", "a mystyle cat", "-o", "plain.png"}).code, 0);
  const ProcessResult known =
      draw({"--prompt", "a mystyle cat", "-o", "known.png", "--embeddings", folder});
  ASSERT_EQ(known.code, 0) << known.err;
  EXPECT_NE(read_image(folder_ / "plain.png").pixels, read_image(folder_ / "known.png").pixels);
  EXPECT_EQ(draw({"-o", "x.png", "--embeddings", "none.pt"}).code, 2);
}

TEST_F(Txt2ImgPrompts, ReadsPromptsFromAFile) {
  folder_.write("prompts.txt", "one\ntwo\nthree\n");
  ASSERT_EQ(draw({"--from-file", "prompts.txt", "--n_samples", "2", "--n_iter", "1"}).code, 0);
  const fs::path samples = folder_ / "outputs/txt2img-samples/samples";
  EXPECT_EQ(entries("outputs/txt2img-samples/samples"), 3u);
  expect_in(read_png_text(samples / "00002.png")[0].second, "three\nSteps");

  const ProcessResult bad = draw({"--from-file", "-", "--n_iter", "1", "--outdir", "b"},
                                 {.folder = {}, .input = "one\n\xff\nthree", .on_error_text = {}});
  EXPECT_EQ(bad.code, 1);
  expect_in(bad.err, "standard input:2:");
  EXPECT_EQ(entries("b/samples"), 2u);
  EXPECT_EQ(draw({"--from-file", "none.txt"}).code, 1);
}

TEST_F(Txt2ImgPrompts, PromptsMayLeaveChoicesToTheSeed) {
  fs::create_directories(folder_ / "words/animals");
  folder_.write("words/colour.txt", "# colours\nred\n\n green \r\nblue\n");
  folder_.write("words/animals/small.txt", "{tiny|little} mouse\n");
  const std::string prompt = "a __colour__ {house|__animals/small__}";
  const auto prompts_of = [&](const std::string& seed, const std::string& count) {
    const ProcessResult result =
        draw({"--prompt", prompt, "--wildcards", "words", "--seed", seed, "--n_samples", "2",
              "--n_iter", count, "--outdir", "o" + seed});
    EXPECT_EQ(result.code, 0) << result.err;
    std::set<std::string> prompts;
    for (const auto& entry : fs::directory_iterator(folder_ / ("o" + seed) / "samples")) {
      const std::string text = read_png_text(entry.path())[0].second;
      prompts.insert(text.substr(0, text.find('\n')));
    }
    return prompts;
  };
  const std::set<std::string> four = prompts_of("7", "2");
  EXPECT_GT(four.size(), 1u);
  for (const std::string& each : four) {
    EXPECT_EQ(each.find_first_of("{}_|"), std::string::npos) << each;
  }
  // Pictures 2 and 3 of one run are 0 and 1 of another.
  for (const std::string& each : prompts_of("9", "1")) EXPECT_TRUE(four.contains(each)) << each;
  // Without the option every character is text, as in CompVis's program.
  const ProcessResult plain = draw({"--prompt", prompt, "-o", "plain.png"});
  EXPECT_EQ(plain.code, 0) << plain.err;
  expect_in(read_png_text(folder_ / "plain.png")[0].second, prompt);

  const auto error_of = [&](const std::string& text, const std::string& folder) {
    const ProcessResult result = draw({"--prompt", text, "--wildcards", folder, "-o", "e.png"});
    EXPECT_EQ(result.code, 2) << text;
    return result.err;
  };
  expect_in(error_of("__color__", "words"), "did you mean 'colour'?");
  expect_in(error_of("__../words/colour__", "words"), "unknown wildcard");
  expect_in(error_of("a", "nowhere"), "nowhere");
}

}  // namespace
}  // namespace easel
