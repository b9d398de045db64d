// txt2img as a person runs it, on a tiny model.
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/io/image.h>
#include <easel/io/tensor_file.h>
#include <easel/io/watermark.h>

#include "tests/support/txt2img_program.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::ProcessResult;
using test::Txt2ImgProgram;

TEST_F(Txt2ImgProgram, TellsAboutItself) {
  const ProcessResult help = run({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_EQ(help.err, "");
  expect_in(help.out, "--ddim_steps");
  expect_in(help.out, "Sampling:");
  expect_in(run({"--version"}).out, "txt2img 0.");
  expect_in(run({"--list-samplers"}).out, "dpm_solver");
}

TEST_F(Txt2ImgProgram, LaysOutItsFilesAsCompVisDoes) {
  const ProcessResult first = draw({"--prompt", "a cat", "--plms"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, "");
  const fs::path out = "outputs/txt2img-samples";
  EXPECT_EQ(entries(out / "samples"), 6u);
  EXPECT_TRUE(there(out / "samples/00000.png") && there(out / "samples/00005.png"));
  EXPECT_TRUE(there(out / "grid-0000.png"));
  const Image grid = read_image(folder_ / (out / "grid-0000.png"));
  EXPECT_EQ(grid.width, 3 * (48 + 2) + 2);
  EXPECT_EQ(grid.height, 2 * (32 + 2) + 2);

  const std::string before = test::file_bytes(folder_ / (out / "samples/00000.png"));
  ASSERT_EQ(draw({"--n_iter", "1", "--n_samples", "2", "--n_rows", "1"}).code, 0);
  EXPECT_EQ(entries(out / "samples"), 8u);
  EXPECT_EQ(test::file_bytes(folder_ / (out / "samples/00000.png")), before);
  EXPECT_EQ(read_image(folder_ / (out / "grid-0001.png")).width, 48 + 4);
}

TEST_F(Txt2ImgProgram, SkipsWhatItIsTold) {
  ASSERT_EQ(draw({"--outdir", "a", "--skip_grid", "--n_iter", "1"}).code, 0);
  EXPECT_EQ(entries("a"), 2u);  // and the manifest
  EXPECT_EQ(entries("a/samples"), 3u);
  ASSERT_EQ(draw({"--outdir", "b", "--skip_save", "--n_iter", "1"}).code, 0);
  EXPECT_TRUE(there("b/grid-0000.png"));
  EXPECT_FALSE(there("b/samples"));
}

TEST_F(Txt2ImgProgram, PicturesCarryTheirSettings) {
  ASSERT_EQ(draw({"--prompt", "caf\xc3\xa9", "-n", "blurry", "--seed", "7", "--n_iter", "1"}).code,
            0);
  const fs::path samples = folder_ / "outputs/txt2img-samples/samples";
  const PngText text = read_png_text(samples / "00001.png");
  ASSERT_EQ(text.size(), 2u);
  expect_in(text[0].second, "caf\xc3\xa9\nNegative prompt: blurry\nSteps: 2, Sampler: ddim");
  expect_in(text[0].second, "Seed: 8, Size: 48x32");
  const auto json = nlohmann::json::parse(text[1].second);
  EXPECT_EQ(json["seed"], 7);
  EXPECT_EQ(json["picture_seed"], 8);

  // The seed in the file makes the same picture again.
  ASSERT_EQ(draw({"--prompt", "caf\xc3\xa9", "-n", "blurry", "--seed", "8", "-o", "again.png",
                  "--no-metadata"})
                .code,
            0);
  EXPECT_TRUE(read_png_text(folder_ / "again.png").empty());
  const Image again = read_image(folder_ / "again.png");
  const Image picture = read_image(samples / "00001.png");
  ASSERT_EQ(again.pixels.size(), picture.pixels.size());
  int worst = 0;
  for (size_t i = 0; i < again.pixels.size(); ++i) {
    worst = std::max(worst, std::abs(again.pixels[i] - picture.pixels[i]));
  }
  EXPECT_LE(worst, 1);
}

TEST_F(Txt2ImgProgram, TunesItsSampler) {
  ASSERT_EQ(draw({"--sampler", "UniPC Karras", "--sampler-order", "2", "--solver", "bh2",
                  "--guidance_rescale=0.7", "--guidance-schedule", "9,3", "-o", "a.png"})
                .code,
            0);
  const PngText text = read_png_text(folder_ / "a.png");
  expect_in(text[0].second, "Sampler: unipc, Schedule type: karras");
  expect_in(text[0].second,
            "Sampler order: 2, Solver: bh2, Guidance rescale: 0.7, Guidance schedule: \"9,3\"");
  const auto json = nlohmann::json::parse(text[1].second);
  EXPECT_EQ(json["sampler-order"], 2);
  EXPECT_EQ(json["solver"], "bh2");
  EXPECT_EQ(json["guidance-schedule"], "9,3");
}

TEST_F(Txt2ImgProgram, WritesOneFileOrTheStandardOutput) {
  ASSERT_EQ(draw({"-o", "cat.png"}).code, 0);
  EXPECT_EQ(folder_.count(), 1u);
  EXPECT_EQ(read_image(folder_ / "cat.png").width, 48);
  ASSERT_EQ(draw({"-o", "cat.jpg"}).code, 0);
  EXPECT_EQ(test::file_bytes(folder_ / "cat.jpg").substr(0, 2), "\xff\xd8");
  const ProcessResult piped = draw({"-o", "-"});
  ASSERT_EQ(piped.code, 0) << piped.err;
  EXPECT_EQ(piped.out, test::file_bytes(folder_ / "cat.png"));

  const ProcessResult again = draw({"-o", "cat.png"});
  EXPECT_EQ(again.code, 1);
  expect_in(again.err, "--overwrite");
  EXPECT_EQ(draw({"-o", "cat.png", "--overwrite", "--seed", "9"}).code, 0);
  EXPECT_NE(piped.out, test::file_bytes(folder_ / "cat.png"));
  EXPECT_EQ(draw({"-o", "x.png", "--n_samples", "2"}).code, 2);
  EXPECT_EQ(draw({"-o", "none/x.png"}).code, 1);
}

TEST_F(Txt2ImgProgram, SavesLatentsAndStartsFromThem) {
  ASSERT_EQ(draw({"--save-latents", "z.safetensors", "-o", "a.png"}).code, 0);
  const Tensor z = read_tensor_file(folder_ / "z.safetensors").tensors.begin()->second;
  EXPECT_EQ(shape_text(z.sizes()), "[1, 4, 4, 6]");
  write_npy(folder_ / "x.npy", at::ones({4, 4, 6}), IfExists::Refuse);
  EXPECT_EQ(draw({"--init-latents", "x.npy", "-o", "b.png"}).code, 0);
  write_npy(folder_ / "y.npy", at::ones({4, 6, 4}), IfExists::Refuse);
  const ProcessResult wrong = draw({"--init-latents", "y.npy", "-o", "c.png"});
  EXPECT_EQ(wrong.code, 1);
  expect_in(wrong.err, "[4, 4, 6]");
}

TEST_F(Txt2ImgProgram, DrawsASeedAndSaysWhich) {
  const ProcessResult result = draw({"--seed", "-1", "-o", "a.png"});
  ASSERT_EQ(result.code, 0);
  const std::string text = read_png_text(folder_ / "a.png")[0].second;
  const size_t at = text.find("Seed: ") + 6;
  expect_in(result.err, "seed " + text.substr(at, text.find(',', at) - at));
}

TEST_F(Txt2ImgProgram, UsageErrorsAreTwo) {
  const auto refuses = [&](std::vector<std::string> arguments, const std::string& part) {
    const ProcessResult result = draw(arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_EQ(result.err.find("txt2img: error: "), 0u) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
    expect_in(result.err, part);
    EXPECT_EQ(folder_.count(), 0u);
  };
  refuses({"--promt", "x"}, "--prompt");
  refuses({"--H", "500"}, "496 and 504");
  refuses({"--W", "-64"}, "W");
  refuses({"--steps", "0"}, "steps");
  refuses({"--sampler", "eular"}, "euler");
  refuses({"--schedule", "karas"}, "karras");
  refuses({"--plms", "--ddim_eta", "0.5"}, "eta");
  refuses({"--plms", "--sampler", "ddim"}, "plms");
  refuses({"--plms", "--s-churn", "3"}, "euler");
  refuses({"--sampler", "unipc", "--solver", "bh3"}, "bh1");
  refuses({"--sampler", "unipc", "--steps", "1"}, "at least 2");
  refuses({"--guidance-interval", "0.8"}, "0.1,0.8");
  refuses({"--device", "gpu"}, "cuda");
  refuses({"--laion400m"}, "laion400m");
  refuses({"--scale", "-1"}, "scale");
  refuses({"--threads", "-1"}, "threads");
  refuses({"--save-latents", "z.txt"}, ".npy");
  refuses({"--fixed_code", "--init-latents", "x.npy"}, "choose one");
}

TEST_F(Txt2ImgProgram, ShowsPicturesOnTheirWay) {
  ASSERT_EQ(draw({"--preview", "1", "-o", "a.png"}).code, 0);
  EXPECT_TRUE(there("a.png"));
  EXPECT_EQ(folder_.count(), 1u);
  const ProcessResult blocked = [&] {
    fs::create_directory(folder_ / "b.png.preview.png");
    return draw({"--preview", "1", "-o", "b.png"});
  }();
  EXPECT_EQ(blocked.code, 0);
  expect_in(blocked.err, "warning: no preview: ");
  EXPECT_TRUE(there("b.png"));
  EXPECT_EQ(draw({"--preview", "-1", "-o", "c.png"}).code, 2);
}

TEST_F(Txt2ImgProgram, HidesAWatermark) {
  const std::vector<std::string> common = {
      "--ckpt", test::tiny_model_file(), "--device", "cpu", "--steps", "1", "--H", "256", "--W",
      "256"};
  const auto draw_as = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), common.begin(), common.end());
    const ProcessResult result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return read_image(folder_ / arguments.back());
  };
  const Image plain = draw_as({"-o", "plain.png"});
  const Image marked = draw_as({"--watermark", "StableDiffusionV1", "-o", "marked.png"});
  EXPECT_EQ(marked.pixels, with_watermark(plain, "StableDiffusionV1").pixels);
  EXPECT_NE(marked.pixels, plain.pixels);
  // The settings say so, and the same picture comes of them.
  EXPECT_EQ(draw_as({"--from-image", "marked.png", "-o", "again.png"}).pixels, marked.pixels);

  const ProcessResult small = draw({"--watermark", "a", "-o", "small.png"});
  EXPECT_EQ(small.code, 2);
  expect_in(small.err, "too small for a watermark");
}

TEST_F(Txt2ImgProgram, LeavesNothingHalfWrittenOnAFullDisk) {
  const ProcessResult one = draw(
      {"-o", "a.png"}, {.folder = {}, .input = {}, .max_file_bytes = 512, .on_error_text = {}});
  EXPECT_EQ(one.code, 1);
  expect_in(one.err, "txt2img: error: ");
  EXPECT_EQ(folder_.count(), 0u);
  const ProcessResult many = draw(
      {"--outdir", "out"}, {.folder = {}, .input = {}, .max_file_bytes = 512, .on_error_text = {}});
  EXPECT_EQ(many.code, 1);
  EXPECT_EQ(entries("out/samples"), 0u);
  EXPECT_EQ(entries("out"), 2u);
  EXPECT_EQ(test::file_bytes(folder_ / "out/manifest.jsonl"), "");
}

TEST_F(Txt2ImgProgram, RefusesAnOutputFolderThatIsAFile) {
  folder_.write("out", "x");
  const ProcessResult result = draw({"--outdir", "out"});
  EXPECT_EQ(result.code, 1);
  expect_in(result.err, "out");
  EXPECT_EQ(test::file_bytes(folder_ / "out"), "x");
}

TEST_F(Txt2ImgProgram, KeepsWhatIsDoneWhenInterrupted) {
  bool sent = false;
  const ProcessResult result =
      draw({"--n_iter", "50", "--n_samples", "1", "--progress", "lines"},
           {.folder = {}, .input = {}, .on_error_text = [&](pid_t pid, const std::string& text) {
              if (!sent && text.find("00001.png") != std::string::npos) {
                sent = true;
                ::kill(pid, SIGINT);
              }
            }});
  EXPECT_EQ(result.code, 130) << result.err;
  expect_in(result.err, "interrupted");
  const size_t kept = entries("outputs/txt2img-samples/samples");
  EXPECT_GE(kept, 2u);
  EXPECT_LT(kept, 50u);
  EXPECT_FALSE(there("outputs/txt2img-samples/grid-0000.png"));
  for (const auto& entry : fs::directory_iterator(folder_ / "outputs/txt2img-samples/samples")) {
    EXPECT_EQ(read_image(entry.path()).width, 48);
  }
}

TEST_F(Txt2ImgProgram, ProgressIsForPeopleOrForPrograms) {
  EXPECT_EQ(draw({"-o", "a.png", "--quiet"}).err, "");
  const ProcessResult lines = draw({"-o", "b.png"});
  expect_in(lines.err, "step 2/2");
  EXPECT_EQ(lines.err.find('\r'), std::string::npos);
  const ProcessResult bar = draw({"-o", "c.png", "--progress", "bar"});
  expect_in(bar.err, "\r");
  const ProcessResult json = draw({"-o", "d.png", "--progress", "json"});
  std::istringstream events(json.err);
  int steps = 0;
  int pictures = 0;
  for (std::string line; std::getline(events, line);) {
    const auto event = nlohmann::json::parse(line);
    steps += event["event"] == "step";
    pictures += event["event"] == "picture";
  }
  EXPECT_EQ(steps, 2);
  EXPECT_EQ(pictures, 1);
  expect_in(draw({"-o", "e.png", "--verbose"}).err, "peak memory");
}

TEST_F(Txt2ImgProgram, DrawsTheSameInLittleMemory) {
  const auto pixels = [&](const std::string& name, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--prompt", "a hill", "-o", name, "--vae-tiling", "on"});
    const ProcessResult result = draw(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return read_image(folder_ / name).pixels;
  };
  EXPECT_EQ(pixels("little.png", {"--low-memory"}), pixels("usual.png", {}));
}

}  // namespace
}  // namespace easel
