// txt2img as a person runs it, on a tiny model.
#include <fstream>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/io/image.h>
#include <easel/io/tensor_file.h>
#include <easel/io/watermark.h>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

namespace fs = std::filesystem;
using test::ProcessOptions;
using test::ProcessResult;
using test::TempDir;

const std::string kProgram = std::string(EASEL_BINARY_DIR) + "/bin/txt2img";

// One model file for all tests of this process.
const fs::path& model_file() {
  static const TempDir folder;
  static const fs::path file = test::write_tiny_model(folder.path(), EASEL_CLIP_VOCABULARY);
  return file;
}

class Txt2ImgProgram : public ::testing::Test {
 protected:
  ProcessResult run(std::vector<std::string> arguments, ProcessOptions options = {}) {
    options.folder = folder_.path();
    return test::run_process(kProgram, arguments, options);
  }
  // With the tiny model, small pictures and few steps.
  ProcessResult draw(const std::vector<std::string>& arguments, ProcessOptions options = {}) {
    std::vector<std::string> all = {
        "--ckpt", model_file().string(), "--H", "32", "--W", "48", "--steps", "2", "--device",
        "cpu",    "--threads",           "1"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all, std::move(options));
  }
  bool there(const fs::path& name) const { return fs::exists(folder_ / name); }
  size_t entries(const fs::path& name) const {
    const fs::directory_iterator list(folder_ / name);
    return static_cast<size_t>(std::distance(begin(list), end(list)));
  }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }

  TempDir folder_;
};

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

TEST_F(Txt2ImgProgram, ReadsPromptsAsItIsTold) {
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

TEST_F(Txt2ImgProgram, AppliesLoras) {
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
  EXPECT_EQ(draw({"--lora", model_file().string(), "-o", "x.png"}).code, 1);
}

TEST_F(Txt2ImgProgram, ExplainsPrompts) {
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

TEST_F(Txt2ImgProgram, KnowsEmbeddingsByName) {
  const std::string folder = std::string(EASEL_TEST_DATA) + "/prompts/embeddings";
  ASSERT_EQ(draw({"--prompt", "a mystyle cat", "-o", "plain.png"}).code, 0);
  const ProcessResult known =
      draw({"--prompt", "a mystyle cat", "-o", "known.png", "--embeddings", folder});
  ASSERT_EQ(known.code, 0) << known.err;
  EXPECT_NE(read_image(folder_ / "plain.png").pixels, read_image(folder_ / "known.png").pixels);
  EXPECT_EQ(draw({"-o", "x.png", "--embeddings", "none.pt"}).code, 2);
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

TEST_F(Txt2ImgProgram, ReadsPromptsFromAFile) {
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

TEST_F(Txt2ImgProgram, ModelsMustFit) {
  const ProcessResult channels = draw({"--C", "3", "-o", "a.png"});
  EXPECT_EQ(channels.code, 2);
  expect_in(channels.err, "--C 3");
  EXPECT_EQ(draw({"--f", "4", "-o", "a.png"}).code, 2);
  const ProcessResult missing = run({"--ckpt", "none.ckpt"});
  EXPECT_EQ(missing.code, 1);
  expect_in(missing.err, "none.ckpt");
  folder_.write("text.ckpt", "this is no checkpoint");
  EXPECT_EQ(run({"--ckpt", "text.ckpt", "--device", "cpu", "-o", "a.png"}).code, 1);
  const std::string whole = test::file_bytes(model_file());
  folder_.write("cut.safetensors", whole.substr(0, whole.size() / 2));
  EXPECT_EQ(run({"--ckpt", "cut.safetensors", "--device", "cpu", "-o", "a.png"}).code, 1);
  EXPECT_FALSE(there("a.png"));
}

TEST_F(Txt2ImgProgram, AModelMayBringDefaults) {
  fs::create_symlink(model_file(), folder_ / "m.safetensors");
  fs::create_symlink(fs::path(model_file()).replace_extension(".yaml"), folder_ / "m.yaml");
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

TEST_F(Txt2ImgProgram, AConfigMayNameTheSampler) {
  fs::create_symlink(model_file(), folder_ / "m.safetensors");
  const std::string config = test::file_bytes(fs::path(model_file()).replace_extension(".yaml"));
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
  const std::vector<std::string> common = {"--ckpt", model_file(), "--device", "cpu", "--steps",
                                           "1",      "--H",        "256",      "--W", "256"};
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

TEST_F(Txt2ImgProgram, PromptsMayLeaveChoicesToTheSeed) {
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

}  // namespace
}  // namespace easel
