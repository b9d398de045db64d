#include "cli/settings_text.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "cli/txt2img_options.h"

namespace easel::cli {
namespace {

MadeWith sample() {
  MadeWith made;
  made.settings.steps = 20;
  made.settings.negative_prompt = "blurry";
  Txt2ImgOptions options;
  options.drawing.prompt.negative_prompt = "blurry";
  options.drawing.sampling.steps = 20;
  made.program = "txt2img";
  made.drawing = options.drawing;
  made.options = options_json(options);
  made.model = {.name = "sd-v1-4",
                .device = "cpu",
                .dtype = "float32",
                .latent_channels = 4,
                .downsampling = 8};
  made.prompt = "a cat";
  made.seed = 43;
  made.number = 1;
  return made;
}

TEST(ParametersText, IsA1111s) {
  const std::string text = parameters_text(sample());
  EXPECT_EQ(text.substr(0, text.find(", RNG")),
            "a cat\nNegative prompt: blurry\nSteps: 20, Sampler: ddim, Schedule type: compvis, "
            "CFG scale: 7.5, Seed: 43, Size: 512x512, Model: sd-v1-4");
}

TEST(ParametersText, NamesTheTuningThatWasUsed) {
  MadeWith made = sample();
  EXPECT_EQ(parameters_text(made).find("Sigma"), std::string::npos);
  made.settings.tuning.s_churn = 3;
  made.settings.tuning.order = 2;
  made.settings.tuning.guidance_interval = "0.1,0.8";
  made.settings.tuning.zero_terminal_snr = true;
  EXPECT_NE(parameters_text(made).find(
                ", Sampler order: 2, Sigma churn: 3, Guidance interval: \"0.1,0.8\", Zero terminal "
                "snr: true"),
            std::string::npos)
      << parameters_text(made);
}

TEST(ParametersText, QuotesWhatWouldBreakIt) {
  MadeWith made = sample();
  made.model.name = "a, b: c";
  made.settings.clip_skip = 2;
  const std::string text = parameters_text(made);
  EXPECT_NE(text.find("Model: \"a, b: c\""), std::string::npos);
  EXPECT_NE(text.find("Clip skip: 2"), std::string::npos);
}

TEST(SettingsJson, HoldsEverythingThatShapesAPicture) {
  MadeWith made = sample();
  made.options["prompt"] = "the run's";
  const auto json = nlohmann::json::parse(settings_json(made));
  EXPECT_EQ(json["program"], "txt2img");
  EXPECT_EQ(json["prompt"], "a cat");
  EXPECT_EQ(json["negative-prompt"], "blurry");
  EXPECT_EQ(json["steps"], 20);
  EXPECT_EQ(json["sampler"], "ddim");
  EXPECT_EQ(json["eta"], 0.0);
  EXPECT_EQ(json["seed"], 42);
  EXPECT_EQ(json["picture_seed"], 43);
  EXPECT_EQ(json["model"], "sd-v1-4");
  EXPECT_EQ(json["dtype"], "float32");
  EXPECT_FALSE(json.contains("outdir"));
  EXPECT_FALSE(json.contains("ckpt"));
}

TEST(SettingsText, HasBothFields) {
  const PngText text = settings_text(sample());
  ASSERT_EQ(text.size(), 2u);
  EXPECT_EQ(text[0].first, "parameters");
  EXPECT_EQ(text[1].first, "easel");
}

}  // namespace
}  // namespace easel::cli
