// What models and their configs say to txt2img.
#include <gtest/gtest.h>

#include <easel/io/image.h>

#include "tests/support/txt2img_program.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::ProcessResult;

class Txt2ImgModels : public test::Txt2ImgProgram {};

TEST_F(Txt2ImgModels, ModelsMustFit) {
  const ProcessResult channels = draw({"--C", "3", "-o", "a.png"});
  EXPECT_EQ(channels.code, 2);
  expect_in(channels.err, "--C 3");
  EXPECT_EQ(draw({"--f", "4", "-o", "a.png"}).code, 2);
  const ProcessResult missing = run({"--ckpt", "none.ckpt"});
  EXPECT_EQ(missing.code, 1);
  expect_in(missing.err, "none.ckpt");
  folder_.write("text.ckpt", "this is no checkpoint");
  EXPECT_EQ(run({"--ckpt", "text.ckpt", "--device", "cpu", "-o", "a.png"}).code, 1);
  const std::string whole = test::file_bytes(test::tiny_model_file());
  folder_.write("cut.safetensors", whole.substr(0, whole.size() / 2));
  EXPECT_EQ(run({"--ckpt", "cut.safetensors", "--device", "cpu", "-o", "a.png"}).code, 1);
  EXPECT_FALSE(there("a.png"));
}

TEST_F(Txt2ImgModels, AModelMayBringDefaults) {
  fs::create_symlink(test::tiny_model_file(), folder_ / "m.safetensors");
  fs::create_symlink(fs::path(test::tiny_model_file()).replace_extension(".yaml"),
                     folder_ / "m.yaml");
  folder_.write("m.txt2img.json", R"({"H": 64, "W": 32, "steps": 3, "sampler": "euler",
                                      "n_samples": 2, "scale": 4.5})");
  const std::vector<std::string> common = {"--ckpt", "m.safetensors", "--device", "cpu"};
  const auto settings_of = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), common.begin(), common.end());
    EXPECT_EQ(run(arguments).code, 0);
    return read_png_text(folder_ / arguments.back())[0].second;
  };
  const std::string own = settings_of({"-o", "a.png"});
  expect_in(own, "Steps: 3, Sampler: euler,");
  expect_in(own, "CFG scale: 4.5");
  expect_in(own, "Size: 32x64");
  const std::string given = settings_of({"--plms", "--steps", "2", "-o", "b.png"});
  expect_in(given, "Steps: 2, Sampler: plms,");
  expect_in(given, "Size: 32x64");

  for (const std::string bad : {"[1]", "{\"H\": \"tall\"}", "{\"outdir\": \"/tmp\"}", "{"}) {
    folder_.write("m.txt2img.json", bad);
    const ProcessResult result = run({"--ckpt", "m.safetensors", "-o", "c.png"});
    EXPECT_EQ(result.code, 1) << bad;
    expect_in(result.err, "m.txt2img.json");
  }
}

TEST_F(Txt2ImgModels, AConfigMayNameTheSampler) {
  fs::create_symlink(test::tiny_model_file(), folder_ / "m.safetensors");
  const std::string config =
      test::file_bytes(fs::path(test::tiny_model_file()).replace_extension(".yaml"));
  const auto with = [&](const std::string& sampling) {
    folder_.write("m.yaml", config + "\nsampling: " + sampling + "\n");
  };
  const auto settings_of = [&](std::vector<std::string> arguments) {
    for (const char* each : {"cpu", "--device", "m.safetensors", "--ckpt"}) {
      arguments.insert(arguments.begin(), each);
    }
    const ProcessResult result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return read_png_text(folder_ / arguments.back())[0].second;
  };
  with("{sampler: DPM++ 2M Karras, steps: 3, H: 32, W: 64}");
  expect_in(settings_of({"-o", "a.png"}), "Steps: 3, Sampler: dpmpp_2m,");
  expect_in(settings_of({"-o", "b.png"}), "Schedule type: karras");
  expect_in(settings_of({"--sampler", "euler", "-o", "c.png"}), "Steps: 3, Sampler: euler,");
  // What lies beside the model says more than what it was trained from.
  folder_.write("m.txt2img.json", R"({"steps": 2})");
  expect_in(settings_of({"-o", "d.png"}), "Steps: 2, Sampler: dpmpp_2m,");

  for (const std::string bad : {"ddim", "{sampler: [ddim]}", "{outdir: /tmp}", "{steps: many}"}) {
    with(bad);
    const ProcessResult result = run({"--ckpt", "m.safetensors", "-o", "e.png"});
    EXPECT_NE(result.code, 0) << bad;
    expect_in(result.err, "m.yaml");
  }
  with("{sampler: dimm}");
  expect_in(run({"--ckpt", "m.safetensors", "-o", "e.png"}).err, "ddim");
}

}  // namespace
}  // namespace easel
