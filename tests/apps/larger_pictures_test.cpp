// Larger pictures as a person makes them, on a tiny model: the second pass, upscalers, pictures
// that repeat, the autoencoder in strips.
#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include <easel/io/image.h>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "tests/support/upscalers.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::ProcessResult;
using test::TempDir;

const fs::path& model_file() {
  static const TempDir folder;
  static const fs::path file = test::write_tiny_model(folder.path(), EASEL_CLIP_VOCABULARY);
  return file;
}

class LargerPictures : public ::testing::Test {
 protected:
  ProcessResult run(const std::string& program, const std::vector<std::string>& arguments) {
    return test::run_process(std::string(EASEL_BINARY_DIR) + "/bin/" + program, arguments,
                             {.folder = folder_.path()});
  }
  ProcessResult draw(const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {
        "--ckpt", model_file().string(), "--H", "32", "--W", "48", "--steps", "2", "--device",
        "cpu",    "--threads",           "1"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run("txt2img", all);
  }
  Image read(const fs::path& name) const { return read_image(folder_ / name); }
  std::string parameters(const fs::path& name) const {
    return read_png_text(folder_ / name)[0].second;
  }
  std::string write_upscaler(const std::string& name) const {
    return cases_.write(name, folder_ / (name + ".safetensors")).string();
  }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }

  TempDir folder_;
  test::UpscalerCases cases_;
};

TEST_F(LargerPictures, BySecondPassAreDrawnAgainFromTheirOwnText) {
  const ProcessResult made =
      draw({"--prompt", "a cat", "-o", "a.png", "--hires-scale", "1.5", "--hires-steps", "3",
            "--hires-strength", "0.6", "--hires-upscaler", "latent-bicubic-antialiased"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(read("a.png").width, 72);
  EXPECT_EQ(read("a.png").height, 48);
  expect_in(parameters("a.png"), "Size: 48x32");
  expect_in(parameters("a.png"),
            "Denoising strength: 0.6, Hires upscale: 1.5, Hires steps: 3, Hires upscaler: Latent "
            "(bicubic antialiased)");
  const ProcessResult verified = run(
      "txt2img",
      {"--verify", "a.png", "--ckpt", model_file().string(), "--device", "cpu", "--threads", "1"});
  EXPECT_EQ(verified.code, 0) << verified.out << verified.err;

  const ProcessResult unknown = draw({"--hires-scale", "2", "--hires-upscaler", "latnet"});
  EXPECT_EQ(unknown.code, 2);
  expect_in(unknown.err, "did you mean 'latent'");
  const ProcessResult alone = draw({"--hires-steps", "3"});
  EXPECT_EQ(alone.code, 2);
  expect_in(alone.err, "--hires-scale");
}

TEST_F(LargerPictures, ByAnUpscalerAreWhatItMakesOfTheDrawnOnes) {
  const std::string upscaler = write_upscaler("compact_x2");
  ASSERT_EQ(draw({"-o", "small.png"}).code, 0);
  const ProcessResult made = draw({"-o", "large.png", "--upscale", upscaler});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(read("large.png").width, 96);
  expect_in(parameters("large.png"), "Postprocess upscaler: compact_x2");
  // The same by the program for pictures that are there, whose text goes with them.
  const ProcessResult again = run("easel-upscale", {upscaler, "small.png", "-o", "again.png",
                                                    "--device", "cpu", "--threads", "1"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(read("again.png").pixels, read("large.png").pixels);
  EXPECT_EQ(parameters("again.png"), parameters("small.png"));

  const ProcessResult none = draw({"--upscale", "none.pth"});
  EXPECT_EQ(none.code, 2);
  expect_in(none.err, "no such file");
  expect_in(draw({"--upscale", model_file().string(), "-o", "x.png"}).err, "no upscaler");
}

TEST_F(LargerPictures, OfManyFilesNeverReplaceAny) {
  const std::string upscaler = write_upscaler("compact_x2");
  ASSERT_EQ(draw({"-o", "a.png"}).code, 0);
  ASSERT_EQ(draw({"-o", "b.jpg"}).code, 0);
  const std::vector<std::string> both = {upscaler,  "a.png", "b.jpg",    "--outdir", "large",
                                         "--scale", "3",     "--device", "cpu"};
  const ProcessResult made = run("easel-upscale", both);
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(read("large/a.png").width, 144);
  EXPECT_EQ(read("large/b.png").height, 96);
  const ProcessResult twice = run("easel-upscale", both);
  EXPECT_EQ(twice.code, 1);
  expect_in(twice.err, "exists already");
  EXPECT_EQ(run("easel-upscale", {upscaler, "a.png", "b.jpg", "-o", "one.png"}).code, 2);
  EXPECT_EQ(run("easel-upscale", {upscaler}).code, 2);
  EXPECT_EQ(run("easel-upscale", {upscaler, "a.png", "--tile", "5"}).code, 2);
  expect_in(run("easel-upscale", {"--help"}).out, "--outdir");
}

TEST_F(LargerPictures, ThatRepeatDifferFromThoseThatDoNot) {
  ASSERT_EQ(draw({"-o", "plain.png"}).code, 0);
  ASSERT_EQ(draw({"-o", "both.png", "--tiling"}).code, 0);
  ASSERT_EQ(draw({"-o", "x.png", "--tiling", "--tiling-axes", "x"}).code, 0);
  expect_in(parameters("both.png"), "Tiling: True");
  expect_in(parameters("x.png"), "Tiling: True, Tiling axes: x");
  EXPECT_NE(read("both.png").pixels, read("plain.png").pixels);
  EXPECT_NE(read("both.png").pixels, read("x.png").pixels);
  EXPECT_EQ(run("txt2img", {"--verify", "x.png", "--ckpt", model_file().string(), "--device", "cpu",
                            "--threads", "1"})
                .code,
            0);
  EXPECT_EQ(draw({"--tiling-axes", "x"}).code, 2);
}

TEST_F(LargerPictures, InStripsAreTheSame) {
  ASSERT_EQ(draw({"-o", "whole.png", "--vae-tiling", "off", "--H", "128"}).code, 0);
  ASSERT_EQ(draw({"-o", "strips.png", "--vae-tiling", "on", "--H", "128"}).code, 0);
  const Image whole = read("whole.png");
  const Image strips = read("strips.png");
  int worst = 0;
  for (size_t i = 0; i < whole.pixels.size(); ++i) {
    worst = std::max(worst, std::abs(whole.pixels[i] - strips.pixels[i]));
  }
  EXPECT_LE(worst, 1);
}

}  // namespace
}  // namespace easel
