// Settings read back from pictures.
#include "cli/saved_settings.h"

#include <fstream>
#include <map>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>
#include <easel/io/file.h>
#include <easel/io/image.h>
#include <easel/io/jpeg_text.h>

#include "cli/txt2img_options.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace easel::cli {
namespace {

using Map = std::map<std::string, std::string>;
using test::TempDir;

TEST(ParseParameters, ReadsWhatA1111sReaderReads) {
  std::ifstream file(std::string(EASEL_TEST_DATA) + "/infotext/a1111.json");
  const auto cases = nlohmann::json::parse(file);
  ASSERT_GE(cases.size(), 10u);
  for (const auto& each : cases) {
    Map values;
    for (const auto& [name, value] : parse_parameters(each["text"].get<std::string>())) {
      values[name] = value;
    }
    EXPECT_EQ(values, each["values"].get<Map>()) << each["text"];
  }
}

TEST(ParseParameters, AreCappedAndQuickOnHostileText) {
  EXPECT_THROW(parse_parameters(std::string((1 << 20) + 1, 'a')), Error);
  EXPECT_EQ(parse_parameters(std::string(1 << 20, 'a')).size(), 2u);
  parse_parameters("a: \"" + std::string(1 << 19, '\\'));
  std::string quotes;
  for (int i = 0; i < 100000; ++i) quotes += "ab: \"";
  parse_parameters(quotes);
}

class SavedPictures : public ::testing::Test {
 protected:
  std::filesystem::path png(const PngText& text) {
    const auto path = folder_ / "x.png";
    write_atomically(path, IfExists::Replace,
                     [&](FileWriter& file) { file.write(encode_png(image_, text)); });
    return path;
  }
  Map changes(const std::string& parameters) {
    Map map;
    for (auto& [name, value] : read_saved_settings(png({{"parameters", parameters}})).changes) {
      map[name] = value;
    }
    return map;
  }

  TempDir folder_;
  Image image_{.width = 2, .height = 1, .channels = 3, .pixels = std::vector<uint8_t>(6, 9)};
};

TEST_F(SavedPictures, OfA1111) {
  const auto made = changes(
      "a cat\nNegative prompt: dog\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Automatic, CFG "
      "scale: "
      "7, Seed: 9, Size: 512x768, Clip skip: 2, Denoising strength: 0.6, Tiling: "
      "True, Hires upscale: 2, Hires upscaler: Latent (bicubic antialiased), Hires steps: 9, "
      "Variation seed: 3");
  EXPECT_EQ(made, (Map{{"prompt", "a cat"},
                       {"negative-prompt", "dog"},
                       {"steps", "20"},
                       {"sampler", "DPM++ 2M"},
                       {"schedule", "karras"},
                       {"scale", "7"},
                       {"seed", "9"},
                       {"W", "512"},
                       {"H", "768"},
                       {"clip-skip", "2"},
                       {"hires-scale", "2"},
                       {"hires-steps", "9"},
                       {"hires-strength", "0.6"},
                       {"hires-upscaler", "latent-bicubic-antialiased"},
                       {"tiling", "true"},
                       {"rng", "cuda"}}));
  EXPECT_EQ(read_saved_settings(folder_ / "x.png").left_out,
            std::vector<std::string>{"Variation seed"});
}

TEST_F(SavedPictures, OfStableDiffusionCpp) {
  const auto made = changes(
      "a\nSteps: 20, CFG scale: 7.000000, Guidance: 3.5, Eta: 0.000000, Seed: 42, Size: 512x512, "
      "Model: sd.safetensors, RNG: cpu, Sampler: euler_a karras, Version: stable-diffusion.cpp");
  EXPECT_EQ(made.at("sampler"), "euler_a");
  EXPECT_EQ(made.at("schedule"), "karras");
  EXPECT_EQ(made.at("rng"), "cpu");
  EXPECT_FALSE(made.contains("eta"));
}

TEST_F(SavedPictures, GiveTheirOptionsExceptWhereOthersAreGiven) {
  const auto path =
      png({{"easel", R"({"prompt": "p", "steps": 7, "sampler": "euler", "schedule": "karras",
    "seed": 1, "picture_seed": 5, "W": 64, "outdir": "/elsewhere", "no-such": 1, "eta": null})"}});
  Txt2ImgOptions options;
  const auto list = options_of(options);
  Given given;
  given.add("W");
  given.add("plms");
  options.drawing.sampling.plms = true;
  apply_saved_settings(path, list, given);
  EXPECT_EQ(options.drawing.prompt.prompt, "p");
  EXPECT_EQ(options.drawing.sampling.steps, 7);
  EXPECT_EQ(options.drawing.noise.seed, 5);
  EXPECT_EQ(options.width, 512);
  EXPECT_EQ(options.drawing.sampling.schedule, "");
  EXPECT_EQ(options.drawing.output.outdir, "outputs/txt2img-samples");
  EXPECT_EQ(options.drawing.batch.n_samples, 1);
  resolve(options.drawing, given);
  EXPECT_EQ(options.drawing.sampling.sampler, "plms");
}

TEST_F(SavedPictures, AreRefusedWhereTheyCannotBeMadeAgain) {
  const auto refuses = [&](const PngText& text) {
    EXPECT_THROW(read_saved_settings(png(text)), Error);
  };
  refuses({});
  refuses({{"parameters", "only a prompt"}});
  refuses({{"easel", R"({"seeding": "batch", "picture": 1, "n_samples": 1})"}});
  refuses({{"easel", R"({"init-latents": true})"}});
  refuses({{"easel", "[]"}});
  refuses({{"easel", std::string(100000, '[')}});
  refuses({{"easel", R"({"a":{"b":{"c":{"d":{"e":{"f":1}}}}}})"}});
}

TEST(JpegText, ComesBack) {
  const TempDir folder;
  const Image image{.width = 8, .height = 8, .channels = 3, .pixels = std::vector<uint8_t>(192, 9)};
  const std::string text = "caf\xc3\xa9 \xe7\x8c\xab \xf0\x9f\x90\xb1\nSteps: 2";
  const auto bytes = with_jpeg_text(encode_jpeg(image), text);
  const auto path = folder / "x.jpg";
  write_atomically(path, IfExists::Refuse, [&](FileWriter& file) { file.write(bytes); });
  EXPECT_EQ(read_jpeg_text(path), text);
  EXPECT_EQ(read_image(path).width, 8);
  // EXIF's sizes are 16 bits: what does not fit is left out.
  EXPECT_EQ(with_jpeg_text(encode_jpeg(image), std::string(40000, 'x')), encode_jpeg(image));
  // Cut or changed anywhere, it is read as something or nothing.
  for (size_t i = 0; i < 200; ++i) {
    auto damaged = bytes;
    damaged[i] = std::byte{0xFF};
    write_atomically(path, IfExists::Replace, [&](FileWriter& file) { file.write(damaged); });
    read_jpeg_text(path);
    damaged.resize(i);
    write_atomically(path, IfExists::Replace, [&](FileWriter& file) { file.write(damaged); });
    read_jpeg_text(path);
  }
}

}  // namespace
}  // namespace easel::cli
