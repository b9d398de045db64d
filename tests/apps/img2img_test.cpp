// img2img as a person runs it, on a tiny model.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/io/edit.h>
#include <easel/io/file.h>
#include <easel/io/image.h>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::ProcessOptions;
using test::ProcessResult;
using test::TempDir;

const std::string kProgram = std::string(EASEL_BINARY_DIR) + "/bin/img2img";

const fs::path& model_file() {
  static const TempDir folder;
  static const fs::path file = test::write_tiny_model(folder.path(), EASEL_CLIP_VOCABULARY);
  return file;
}

Image ramp(int width, int height) {
  Image image{.width = width, .height = height, .channels = 3, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const int value : {4 * x, 5 * y, 90}) {
        image.pixels.push_back(static_cast<uint8_t>(value));
      }
    }
  }
  return image;
}

// White in the middle, black around.
Image mask(int width, int height) {
  Image image{.width = width, .height = height, .channels = 1, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool in = x >= width / 4 && x < width / 2 && y >= height / 4 && y < height / 2;
      image.pixels.push_back(in ? 255 : 0);
    }
  }
  return image;
}

class Img2ImgProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    write("in.png", ramp(48, 32));
    write("mask.png", mask(48, 32));
  }
  void write(const std::string& name, const Image& image) {
    const auto bytes = encode_png(image);
    folder_.write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  ProcessResult run(std::vector<std::string> arguments) {
    ProcessOptions options;
    options.folder = folder_.path();
    return test::run_process(kProgram, arguments, options);
  }
  ProcessResult draw(const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"--ckpt", model_file().string(), "--steps", "3", "--device",
                                    "cpu",    "--threads",           "1"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all);
  }
  ProcessResult change(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--init-img", "in.png"});
    return draw(arguments);
  }
  Image picture(const std::string& name) const { return read_image(folder_ / name); }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }

  TempDir folder_;
};

TEST_F(Img2ImgProgram, TellsAboutItself) {
  const ProcessResult help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* part : {"--init-img", "--strength X", "[0.75]", "[5]", "--ddim_steps",
                           "--outpaint", "outputs/img2img-samples", "Repainting a part:"}) {
    expect_in(help.out, part);
  }
  expect_in(run({"--version"}).out, "img2img 0.");
}

TEST_F(Img2ImgProgram, LaysOutItsFilesAsCompVisDoes) {
  const ProcessResult first = change({"--prompt", "a cat"});
  ASSERT_EQ(first.code, 0) << first.err;
  const fs::path out = folder_ / "outputs/img2img-samples";
  EXPECT_TRUE(fs::exists(out / "samples/00000.png") && fs::exists(out / "samples/00001.png"));
  EXPECT_FALSE(fs::exists(out / "samples/00002.png"));
  EXPECT_TRUE(fs::exists(out / "grid-0000.png"));
  const Image image = read_image(out / "samples/00000.png");
  EXPECT_EQ(image.width, 48);
  EXPECT_EQ(image.height, 32);
}

TEST_F(Img2ImgProgram, PicturesCarryTheirSettings) {
  ASSERT_EQ(
      change({"--strength", "0.5", "-o", "a.png", "--mask", "mask.png", "--mask-blur", "2"}).code,
      0);
  const PngText text = read_png_text(folder_ / "a.png");
  ASSERT_EQ(text.size(), 2u);
  expect_in(text[0].second, "Size: 48x32");
  expect_in(text[0].second, "Denoising strength: 0.5, Mask blur: 2");
  const auto json = nlohmann::json::parse(text[1].second);
  EXPECT_EQ(json["program"], "img2img");
  EXPECT_EQ(json["init-img"], "in.png");
  EXPECT_EQ(json["mask"], "mask.png");
  EXPECT_EQ(json["strength"], 0.5);
  EXPECT_EQ(json["mask-blur"], 2.0);
  EXPECT_EQ(json["W"], 48);
  EXPECT_EQ(json["scale"], 5.0);
}

TEST_F(Img2ImgProgram, TakesSizesAndFits) {
  ASSERT_EQ(change({"--W", "32", "--H", "32", "-o", "a.png"}).code, 0);
  EXPECT_EQ(picture("a.png").width, 32);
  ASSERT_EQ(change({"--width", "24", "-o", "b.png", "--fit", "pad"}).code, 0);
  EXPECT_EQ(picture("b.png").height, 16);
  write("odd.png", ramp(53, 39));
  ASSERT_EQ(draw({"-i", "odd.png", "-o", "c.png"}).code, 0);
  EXPECT_EQ(picture("c.png").width, 48);
  EXPECT_EQ(picture("c.png").height, 32);
}

TEST_F(Img2ImgProgram, RepaintsWhatTheMaskShowsAndNothingElse) {
  const auto differs = [&](const std::string& name, const Region& inside) {
    const Image got = picture(name);
    const Image was = ramp(48, 32);
    EXPECT_EQ(got.pixels.size(), was.pixels.size());
    bool changed = false;
    for (int y = 0; y < 32; ++y) {
      for (int x = 0; x < 48; ++x) {
        const auto at = static_cast<size_t>(3 * (48 * y + x));
        const bool same = std::equal(&got.pixels[at], &got.pixels[at] + 3, &was.pixels[at]);
        const bool in = x >= inside.left && x < inside.left + inside.width && y >= inside.top &&
                        y < inside.top + inside.height;
        EXPECT_TRUE(in || same) << name << " at " << x << ", " << y;
        changed = changed || !same;
      }
    }
    EXPECT_TRUE(changed) << name;
  };
  ASSERT_EQ(change({"--mask", "mask.png", "-o", "a.png"}).code, 0);
  differs("a.png", {.left = 12, .top = 8, .width = 12, .height = 8});
  ASSERT_EQ(
      change({"--mask", "mask.png", "--only-masked", "--only-masked-padding", "4", "-o", "b.png"})
          .code,
      0);
  differs("b.png", {.left = 12, .top = 8, .width = 12, .height = 8});
  write("left.png", crop(mask(96, 64), {.left = 0, .top = 0, .width = 48, .height = 32}));
  ASSERT_EQ(change({"--mask", "left.png", "--sampler", "euler_a", "-o", "c.png"}).code, 0);
  differs("c.png", {.left = 24, .top = 16, .width = 24, .height = 16});
}

TEST_F(Img2ImgProgram, AddsToThePicturesSides) {
  const ProcessResult result = change({"--outpaint", "16,0,0,8", "-o", "a.png"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Image got = picture("a.png");
  EXPECT_EQ(got.width, 64);
  EXPECT_EQ(got.height, 40);
  EXPECT_EQ(crop(got, {.left = 16, .top = 0, .width = 48, .height = 32}).pixels,
            ramp(48, 32).pixels);
  expect_in(read_png_text(folder_ / "a.png")[0].second, "Denoising strength: 1");
}

TEST_F(Img2ImgProgram, TakesAnInpaintingCheckpoint) {
  ModelConfig config = test::tiny_config();
  config.unet.in_channels = 9;
  config.conditioning_key = ConditioningKey::Hybrid;
  const fs::path file = test::write_tiny_model(
      folder_.path(), test::tiny_model(EASEL_CLIP_VOCABULARY, at::kFloat, config));
  const ProcessResult result = run({"--ckpt", file.string(), "--init-img", "in.png", "--mask",
                                    "mask.png", "--steps", "2", "--device", "cpu", "-o", "a.png"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Image got = picture("a.png");
  EXPECT_EQ(crop(got, {.left = 0, .top = 16, .width = 48, .height = 16}).pixels,
            crop(ramp(48, 32), {.left = 0, .top = 16, .width = 48, .height = 16}).pixels);
}

TEST_F(Img2ImgProgram, TheSameSeedGivesTheSamePicture) {
  ASSERT_EQ(change({"--n_samples", "2", "--encode", "sample", "--seed", "5", "--skip_grid"}).code,
            0);
  ASSERT_EQ(change({"--encode", "sample", "--seed", "6", "-o", "b.png"}).code, 0);
  const Image second = picture("outputs/img2img-samples/samples/00001.png");
  const Image alone = picture("b.png");
  for (size_t i = 0; i < alone.pixels.size(); ++i) {
    ASSERT_LE(std::abs(alone.pixels[i] - second.pixels[i]), 1);
  }
}

TEST_F(Img2ImgProgram, UsageErrorsAreTwo) {
  const auto refuses = [&](const std::vector<std::string>& arguments, const std::string& part) {
    const ProcessResult result = draw(arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_EQ(result.err.find("img2img: error: "), 0u) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    expect_in(result.err, part);
    EXPECT_EQ(folder_.count(), 2u);
  };
  refuses({}, "--init-img");
  refuses({"--init-image", "in.png"}, "--init-img");
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--strength", "1.1"}, "strength is 1.1"},
      {{"--strength", "much"}, "a number"},
      {{"--encode", "mode"}, "mean"},
      {{"--fit", "pad"}, "--W and --H"},
      {{"--W", "50"}, "48 and 56"},
      {{"--H", "0"}, "H"},
      {{"--invert-mask"}, "--mask"},
      {{"--only-masked"}, "--mask"},
      {{"--mask-blur", "3"}, "--mask"},
      {{"--mask", "mask.png", "--mask-blur", "-1"}, "--mask-blur"},
      {{"--mask", "mask.png", "--only-masked-padding", "8"}, "--only-masked"},
      {{"--outpaint", "8,8"}, "left,right,top,bottom"},
      {{"--outpaint", "8,8,8,x"}, "left,right,top,bottom"},
      {{"--outpaint", "0,0,0,0"}, "adds nothing"},
      {{"--plms", "--sampler", "ddim"}, "plms"},
  };
  for (const auto& [arguments, part] : cases) {
    std::vector<std::string> all = {"--init-img", "in.png"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    refuses(all, part);
  }
}

TEST_F(Img2ImgProgram, RefusesWhatIsNoPicture) {
  const auto refuses = [&](const std::string& name, const std::string& bytes,
                           const std::string& part) {
    folder_.write(name, bytes);
    const ProcessResult result = draw({"--init-img", name, "-o", "a.png"});
    EXPECT_EQ(result.code, 1) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    expect_in(result.err, name);
    expect_in(result.err, part);
    EXPECT_FALSE(fs::exists(folder_ / "a.png"));
  };
  refuses("empty.png", "", "no picture");
  refuses("junk.jpg", "this is no picture", "no picture");
  const std::string whole = test::file_bytes(folder_ / "in.png");
  refuses("cut.png", whole.substr(0, whole.size() / 2), "truncated");
  std::string huge = whole;
  huge.replace(16, 8, std::string("\0\0\x42\x68\0\0\x42\x68", 8));
  refuses("huge.png", huge, "17000x17000");
  const ProcessResult missing = draw({"--init-img", "none.png"});
  EXPECT_EQ(missing.code, 1);
  expect_in(missing.err, "none.png");

  write(
      "black.png",
      Image{.width = 48, .height = 32, .channels = 1, .pixels = std::vector<uint8_t>(48 * 32, 0)});
  const ProcessResult black = change({"--mask", "black.png"});
  EXPECT_EQ(black.code, 1);
  expect_in(black.err, "nothing white");
  write("tall.png", mask(32, 48));
  const ProcessResult tall = change({"--mask", "tall.png"});
  EXPECT_EQ(tall.code, 1);
  expect_in(tall.err, "32x48");
}

}  // namespace
}  // namespace easel
