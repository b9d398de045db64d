// Runs of many pictures, each with its own settings, interrupted and taken up again.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

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

const fs::path& batch_model() {
  static const TempDir folder;
  static const fs::path file = test::write_tiny_model(folder.path(), EASEL_CLIP_VOCABULARY);
  return file;
}

class BatchProgram : public ::testing::Test {
 protected:
  ProcessResult draw(const std::vector<std::string>& arguments, ProcessOptions options = {}) {
    std::vector<std::string> all = {"--ckpt",    batch_model().string(),
                                    "--H",       "32",
                                    "--W",       "32",
                                    "--steps",   "2",
                                    "--device",  "cpu",
                                    "--threads", "1",
                                    "--n_iter",  "1",
                                    "--outdir",  "out"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    options.folder = folder_.path();
    return test::run_process(std::string(EASEL_BINARY_DIR) + "/bin/txt2img", all, options);
  }
  // The settings of each picture by its number in the folder.
  std::vector<nlohmann::json> settings(const fs::path& samples = "out/samples") const {
    std::map<std::string, nlohmann::json> sorted;
    for (const auto& entry : fs::directory_iterator(folder_ / samples)) {
      sorted[entry.path().filename()] =
          nlohmann::json::parse(read_png_text(entry.path())[1].second);
    }
    std::vector<nlohmann::json> list;
    for (const auto& [name, json] : sorted) list.push_back(json);
    return list;
  }
  std::string bytes(const fs::path& name) const { return test::file_bytes(folder_ / name); }
  size_t count(const fs::path& name) const {
    const fs::directory_iterator list(folder_ / name);
    return static_cast<size_t>(std::distance(begin(list), end(list)));
  }
  // The same up to what another size of batch rounds differently.
  void expect_same(const fs::path& a, const fs::path& b) const {
    const Image left = read_image(folder_ / a);
    const Image right = read_image(folder_ / b);
    ASSERT_EQ(left.pixels.size(), right.pixels.size());
    int most = 0;
    for (size_t i = 0; i < left.pixels.size(); ++i) {
      most = std::max(most, std::abs(int{left.pixels[i]} - int{right.pixels[i]}));
    }
    EXPECT_LE(most, 2);
  }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }

  TempDir folder_;
};

TEST_F(BatchProgram, EachLineHasItsOwnSettings) {
  folder_.write("p.txt",
                "plain one\nplain two\n"
                "a fox -n 2 -s 3 -S 7 -W 48\n"
                "{\"prompt\": \"json\", \"sampler\": \"euler\", \"scale\": 1}\n"
                "plain three\n");
  const ProcessResult result = draw({"--from-file", "p.txt", "--n_samples", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  expect_in(result.err, "differ in size");
  const auto made = settings();
  ASSERT_EQ(made.size(), 6u);
  const std::vector<std::string> prompts = {"plain one", "plain two", "a fox",
                                            "a fox",     "json",      "plain three"};
  // Those without a seed of their own count on from the run's, 42.
  const std::vector<int> seeds = {42, 43, 7, 8, 46, 47};
  for (size_t i = 0; i < made.size(); ++i) {
    EXPECT_EQ(made[i]["prompt"], prompts[i]);
    EXPECT_EQ(made[i]["picture_seed"], seeds[i]);
    EXPECT_EQ(made[i]["steps"], i == 2 || i == 3 ? 3 : 2);
    EXPECT_EQ(made[i]["W"], i == 2 || i == 3 ? 48 : 32);
    EXPECT_EQ(made[i]["sampler"], i == 4 ? "euler" : "ddim");
  }
  // Each is the picture that its settings alone make.
  ASSERT_EQ(draw({"--prompt", "a fox", "--steps", "3", "--seed", "8", "--W", "48", "--n_samples",
                  "1", "--outdir", "alone"})
                .code,
            0);
  expect_same("alone/samples/00000.png", "out/samples/00003.png");
}

TEST_F(BatchProgram, ABadLineDoesNotLoseTheOthers) {
  folder_.write("p.txt", "one\ntwo --steps many\nthree --W 7\nfour --sampler eular\nfive\n");
  const ProcessResult result = draw({"--from-file", "p.txt"});
  EXPECT_EQ(result.code, 1);
  expect_in(result.err, "p.txt:2: --steps takes a whole number");
  expect_in(result.err, "p.txt:3: ");
  expect_in(result.err, "p.txt:4: unknown sampler 'eular'");
  expect_in(result.err, "3 of 5 pictures could not be drawn");
  const auto made = settings();
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(made[1]["prompt"], "five");
  EXPECT_EQ(made[1]["picture_seed"], 46);

  const ProcessResult strict =
      draw({"--from-file", "p.txt", "--continue-on-error=false", "--outdir", "strict"});
  EXPECT_EQ(strict.code, 2);
  EXPECT_FALSE(fs::exists(folder_ / "strict"));
}

TEST_F(BatchProgram, ResumesWhatIsMissing) {
  folder_.write("p.txt", "one\ntwo\nthree -n 2 -S 9\n");
  ASSERT_EQ(draw({"--from-file", "p.txt", "--n_samples", "1"}).code, 0);
  const std::string third = bytes("out/samples/00002.png");
  const std::string grid = bytes("out/grid-0000.png");
  const ProcessResult nothing = draw({"--from-file", "p.txt", "--n_samples", "1", "--resume"});
  EXPECT_EQ(nothing.code, 0) << nothing.err;
  expect_in(nothing.err, "4 of 4 pictures were there already");
  EXPECT_EQ(count("out/samples"), 4u);
  EXPECT_EQ(count("out"), 3u);  // samples, manifest, one grid

  fs::remove(folder_ / "out/samples/00002.png");
  fs::remove(folder_ / "out/grid-0000.png");
  ASSERT_EQ(draw({"--from-file", "p.txt", "--n_samples", "2", "--resume"}).code, 0);
  EXPECT_EQ(count("out/samples"), 4u);
  folder_.write("old.png", third);
  expect_same("out/samples/00004.png", "old.png");
  EXPECT_EQ(read_image(folder_ / "out/grid-0000.png").height, 2 * 34 + 2);

  // Another prompt, another picture; without --resume all are new.
  folder_.write("p.txt", "one\nTWO\n");
  ASSERT_EQ(draw({"--from-file", "p.txt", "--resume"}).code, 0);
  EXPECT_EQ(count("out/samples"), 5u);
  ASSERT_EQ(draw({"--from-file", "p.txt"}).code, 0);
  EXPECT_EQ(count("out/samples"), 7u);
}

TEST_F(BatchProgram, ResumesOneStreamOfNumbers) {
  const std::vector<std::string> run = {"--seeding", "batch", "--n_iter", "3",        "--n_samples",
                                        "1",         "--eta", "1",        "--prompt", "a cat"};
  ASSERT_EQ(draw(run).code, 0);
  const auto last = read_image(folder_ / "out/samples/00002.png").pixels;
  fs::remove(folder_ / "out/samples/00002.png");
  auto again = run;
  again.push_back("--resume");
  ASSERT_EQ(draw(again).code, 0);
  EXPECT_EQ(count("out/samples"), 3u);
  EXPECT_EQ(read_image(folder_ / "out/samples/00002.png").pixels, last);
}

TEST_F(BatchProgram, MakesAPictureAgainFromItsOwnText) {
  ASSERT_EQ(draw({"--prompt", "a cat", "-n", "dog", "--sampler", "euler_a", "--seed", "7",
                  "--n_samples", "1", "--n_iter", "2"})
                .code,
            0);
  const std::string second = (folder_ / "out/samples/00001.png").string();
  const std::vector<std::string> model = {
      "--ckpt", batch_model().string(), "--device", "cpu", "--threads", "1"};
  const auto run = [&](std::vector<std::string> more) {
    more.insert(more.begin(), model.begin(), model.end());
    return test::run_process(std::string(EASEL_BINARY_DIR) + "/bin/txt2img", more,
                             {.folder = folder_.path(), .input = {}, .on_error_text = {}});
  };
  const ProcessResult same = run({"--verify", second});
  EXPECT_EQ(same.code, 0) << same.err;
  expect_in(same.out, "the same, pixel for pixel");
  const ProcessResult other = run({"--verify", second, "--seed", "9"});
  EXPECT_EQ(other.code, 1) << other.err;
  expect_in(other.out, "pixels differ");
  EXPECT_FALSE(fs::exists(folder_ / "outputs"));

  ASSERT_EQ(run({"--from-image", second, "-o", "again.png"}).code, 0);
  EXPECT_EQ(read_image(folder_ / "again.png").pixels, read_image(second).pixels);
  ASSERT_EQ(run({"--from-image", second, "-o", "more.jpg", "--steps", "3"}).code, 0);
  // A1111's text in the JPEG is enough, too.
  ASSERT_EQ(run({"--from-image", "more.jpg", "-o", "more.png"}).code, 0);
  expect_in(read_png_text(folder_ / "more.png")[0].second,
            "a cat\nNegative prompt: dog\nSteps: 3, Sampler: euler_a");
  EXPECT_EQ(run({"--from-image", "none.png", "-o", "x.png"}).code, 1);
  EXPECT_EQ(run({"--verify", second, "-o", "x.png"}).code, 2);
}

TEST_F(BatchProgram, DrawsSheets) {
  const ProcessResult xy =
      draw({"--prompt", "a cat", "--xy", "x:sampler=ddim,euler,no-such", "y:prompt:cat=dog,fox"});
  EXPECT_EQ(xy.code, 1) << xy.err;
  expect_in(xy.err, "cell 3,2: unknown sampler 'no-such'");
  expect_in(xy.err, "2 of 6 pictures could not be drawn");
  EXPECT_FALSE(fs::exists(folder_ / "out/grid-0000.png"));
  const auto made = settings();
  ASSERT_EQ(made.size(), 4u);
  EXPECT_EQ(made[3]["prompt"], "a fox");
  EXPECT_EQ(made[3]["sampler"], "euler");
  EXPECT_EQ(made[3]["picture_seed"], 42);

  ASSERT_EQ(draw({"--prompt-matrix", "a cat|in snow|at night", "--outdir", "matrix"}).code, 0);
  EXPECT_EQ(settings("matrix/samples")[3]["prompt"], "a cat, in snow, at night");
  const Image sheet = read_image(folder_ / "matrix/grid-0000.png");
  EXPECT_GT(sheet.width, 2 * 40);
  EXPECT_GT(sheet.height, 2 * 40 + 24);
  EXPECT_EQ(draw({"--xy", "x:seed=1,2", "--from-file", "p.txt"}).code, 2);
  EXPECT_EQ(draw({"--xy", "x:seed=1,2", "--n_iter", "3"}).code, 2);
}

// The scripts that a person would copy.
TEST_F(BatchProgram, BatchScriptsRun) {
  const std::string bin = std::string(EASEL_BINARY_DIR) + "/bin/";
  const auto script = [&](const std::string& name, const std::string& arguments) {
    const std::string command = "TXT2IMG=" + bin + "txt2img IMG2IMG=" + bin + "img2img " +
                                EASEL_SOURCE_DIR + "/scripts/batches/" + name + " " + arguments +
                                " --ckpt " + batch_model().string() +
                                " --H 32 --W 32 --steps 2 --device cpu --threads 1";
    const ProcessResult result = test::run_process(
        "/bin/bash", {"-c", command}, {.folder = folder_.path(), .input = {}, .on_error_text = {}});
    EXPECT_EQ(result.code, 0) << result.err;
  };
  script("seed_sweep", "'a cat' 5 3");
  EXPECT_EQ(settings("outputs/seeds/samples")[2]["picture_seed"], 7);
  script("style_grid", "'a fox' 'an owl' --");
  EXPECT_EQ(count("outputs/styles/samples"), 10u);
  EXPECT_EQ(settings("outputs/styles/samples")[5]["prompt"], "an owl, oil on canvas");
  EXPECT_GT(read_image(folder_ / "outputs/styles/grid-0000.png").width, 5 * 40);
  script("folder_img2img", "outputs/seeds/samples 'a dog'");
  EXPECT_EQ(count("outputs/folder/samples"), 3u);
  EXPECT_EQ(settings("outputs/folder/samples")[1]["init-img"], "outputs/seeds/samples/00001.png");
  folder_.write("p.txt", "one\ntwo\nthree\nfour\nfive\n");
  script("slurm_array", "p.txt outputs/array");
  EXPECT_EQ(count("outputs/array/samples"), 5u);
  EXPECT_TRUE(fs::exists(folder_ / "outputs/array/share/finished"));
}

TEST_F(BatchProgram, RefusesToResumeWhatLeavesNoManifest) {
  EXPECT_EQ(draw({"--resume", "--skip_save"}).code, 2);
  EXPECT_EQ(draw({"--resume", "--save-latents", "z.npy"}).code, 2);
}

TEST_F(BatchProgram, ManifestsLeaveTheSettingsOutAsPicturesDo) {
  ASSERT_EQ(draw({"--prompt", "a secret", "--no-metadata", "--n_samples", "1"}).code, 0);
  EXPECT_EQ(bytes("out/manifest.jsonl").find("secret"), std::string::npos);
  expect_in(draw({"--prompt", "a secret", "--no-metadata", "--n_samples", "1", "--resume"}).err,
            "1 of 1 pictures were there already");
}

TEST_F(BatchProgram, TwoAtOnceShareAFolder) {
  const auto fill = [&](const std::string& prompt) {
    const ProcessResult result =
        draw({"--prompt", prompt, "--n_iter", "8", "--n_samples", "1", "--skip_grid"});
    EXPECT_EQ(result.code, 0) << result.err;
  };
  std::thread first([&] { fill("one"); });
  std::thread second([&] { fill("two"); });
  first.join();
  second.join();
  std::map<std::string, std::set<int>> seeds;
  for (const auto& json : settings()) seeds[json["prompt"]].insert(json["picture_seed"].get<int>());
  EXPECT_EQ(count("out/samples"), 16u);
  EXPECT_EQ(seeds["one"].size(), 8u);
  EXPECT_EQ(seeds["two"].size(), 8u);
  std::ifstream manifest(folder_ / "out/manifest.jsonl");
  std::set<std::string> paths;
  for (std::string line; std::getline(manifest, line);) {
    paths.insert(nlohmann::json::parse(line)["path"]);
  }
  EXPECT_EQ(paths.size(), 16u);
}

// Ended again and again, now politely and now not, a run comes to its end with every picture there
// once.
TEST_F(BatchProgram, ComesToItsEndThroughInterruptsAndKills) {
  constexpr size_t num = 20;
  std::string prompts;
  for (size_t i = 0; i < num; ++i) {
    prompts += "picture " + std::to_string(i) + (i % 3 == 0 ? " --steps 3\n" : "\n");
  }
  folder_.write("p.txt", prompts);
  const std::vector<std::string> run = {"--from-file", "p.txt",      "--n_samples", "2",
                                        "--resume",    "--progress", "json"};
  int code = -1;
  int rounds = 0;
  for (; rounds < 40 && code != 0; ++rounds) {
    const size_t after = static_cast<size_t>(rounds % 4) + 1;  // events of pictures
    const int signal = rounds % 2 == 0 ? SIGKILL : SIGINT;
    bool sent = false;
    const ProcessResult result = draw(
        run, {.folder = {}, .input = {}, .on_error_text = [&](pid_t pid, const std::string& text) {
                size_t seen = 0;
                for (size_t at = 0; (at = text.find("\"picture\"", at)) != text.npos; ++at) ++seen;
                if (sent || seen < after) return;
                sent = true;
                ::kill(pid, signal);
              }});
    code = result.code;
    if (sent && code != 0) EXPECT_EQ(code, signal == SIGKILL ? 128 + SIGKILL : 130) << result.err;
  }
  EXPECT_EQ(code, 0);
  EXPECT_GE(rounds, 4);
  std::multiset<std::string> there;
  for (const auto& json : settings()) there.insert(json["prompt"]);
  EXPECT_EQ(there.size(), num);
  for (size_t i = 0; i < num; ++i) EXPECT_EQ(there.count("picture " + std::to_string(i)), 1u) << i;
  EXPECT_EQ(read_image(folder_ / "out/grid-0000.png").height, 10 * 34 + 2);
}

}  // namespace
}  // namespace easel
