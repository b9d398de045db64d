// Prompt lines, the jobs that they make, and the manifest.
#include "cli/jobs.h"

#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <easel/base/error.h>

#include "cli/manifest.h"
#include "cli/prompt_file.h"
#include "cli/txt2img_options.h"
#include "tests/support/temp_dir.h"

namespace easel::cli {
namespace {

namespace fs = std::filesystem;
using test::TempDir;

class PromptLines : public ::testing::Test {
 protected:
  PromptLine parse(std::string_view line) const { return parse_prompt_line(line, list_); }
  std::string error_of(std::string_view line) const {
    try {
      parse(line);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return error.what();
    }
    return "";
  }
  void expect_error(std::string_view line, std::string_view part) const {
    EXPECT_NE(error_of(line).find(part), std::string::npos) << line << ": " << error_of(line);
  }

  Txt2ImgOptions options_;
  std::vector<Option> list_ = options_of(options_);
};

TEST_F(PromptLines, ArePromptsAsTheyStand) {
  for (const char* line : {"", "a cat", "  two  spaces ", "a fox - in snow", "semi-detached -",
                           "{a|b} house", "-s", "a -S thing", "minus -x 3", "-- dashes"}) {
    const PromptLine parsed = parse(line);
    EXPECT_EQ(parsed.prompt, line);
    EXPECT_TRUE(parsed.changes.empty() && !parsed.count) << line;
  }
}

TEST_F(PromptLines, EndInOptionsAsTheDreamForksHaveThem) {
  const PromptLine line = parse("a red fox -n 2 -s30 -S 7 -W 64 -H 96 -C 5.5 -A k_euler");
  EXPECT_EQ(line.prompt, "a red fox");
  EXPECT_EQ(line.count, 2);
  EXPECT_EQ(line.changes, (Changes{{"steps", "30"},
                                   {"seed", "7"},
                                   {"W", "64"},
                                   {"H", "96"},
                                   {"scale", "5.5"},
                                   {"sampler", "k_euler"}}));
  EXPECT_EQ(parse("\"a fox\" -s 3").prompt, "a fox");
}

TEST_F(PromptLines, TakeTheProgramsOwnNames) {
  const PromptLine line = parse(
      "a fox --n 3 --ddim_steps=9 --cfg_scale 2 --plms --negative-prompt \"ugly, 'old' \\\" x\"");
  EXPECT_EQ(line.count, 3);
  EXPECT_EQ(line.changes, (Changes{{"steps", "9"},
                                   {"scale", "2"},
                                   {"plms", "true"},
                                   {"negative-prompt", "ugly, 'old' \" x"}}));
  EXPECT_EQ(parse("--seed 5").prompt, std::nullopt);
}

TEST_F(PromptLines, AreJson) {
  const PromptLine line =
      parse(R"({"prompt": "a fox", "n": 2, "steps": 30, "scale": 1.5, "plms": true, "eta": null})");
  EXPECT_EQ(line.prompt, "a fox");
  EXPECT_EQ(line.count, 2);
  EXPECT_EQ(line.changes, (Changes{{"plms", "true"}, {"scale", "1.5"}, {"steps", "30"}}));
  EXPECT_EQ(parse("{}").prompt, std::nullopt);
}

TEST_F(PromptLines, SayWhatIsWrong) {
  expect_error("a fox --setps 3", "did you mean");
  expect_error("a fox --outdir x", "whole run");
  expect_error("a fox --n_samples 3", "whole run");
  expect_error("a fox -n 0", "1 to 100000");
  expect_error("a fox -s 3 and more", "behind the options");
  expect_error("a fox --steps", "needs a value");
  expect_error("a fox --negative-prompt \"x", "not closed");
  expect_error("{\"prompt\": \"a", "no JSON object");
  expect_error(R"({"prompt": ["a"]})", "no plain value");
  expect_error("\xff", "not UTF-8");
}

TEST_F(PromptLines, AreCappedInLength) {
  EXPECT_EQ(error_of(std::string(1 << 16, 'x')), "");
  expect_error(std::string((1 << 16) + 1, 'x'), "more than the 65536");
}

TEST_F(PromptLines, AreCappedInJsonDepth) {
  expect_error("{\"prompt\": " + std::string(30000, '[') + std::string(30000, ']') + "}",
               "plain values");
}

TEST_F(PromptLines, ChangeTheOptions) {
  Given given;
  options_.drawing.sampling.plms = true;
  given.add("plms");
  apply_changes({{"sampler", "euler"}, {"steps", "3"}}, list_, given);
  EXPECT_FALSE(options_.drawing.sampling.plms);
  resolve(options_.drawing, given);
  EXPECT_EQ(options_.drawing.sampling.sampler, "euler");
  EXPECT_EQ(options_.drawing.sampling.steps, 3);
  apply_changes({{"plms", "true"}}, list_, given);
  resolve(options_.drawing, given);
  EXPECT_EQ(options_.drawing.sampling.sampler, "plms");
  EXPECT_THROW(apply_changes({{"steps", "many"}}, list_, given), Error);
}

TEST_F(PromptLines, KeepTheirPlaceWhereTheyAreWrong) {
  const TempDir folder;
  const auto lines =
      read_prompt_file(folder.write("p.txt", "one\n\xff two\nthree --x 1\n").string(), list_);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].error, "");
  EXPECT_NE(lines[1].error, "");
  EXPECT_NE(lines[2].error, "");
  EXPECT_TRUE(lines[1].where.ends_with("p.txt:2"));
}

TEST_F(PromptLines, AreNeededInAFile) {
  const TempDir folder;
  for (const char* text : {"", "\xff\n"}) {
    EXPECT_THROW(read_prompt_file(folder.write("p.txt", text).string(), list_), Error);
  }
  EXPECT_THROW(read_prompt_file((folder / "none").string(), list_), Error);
  EXPECT_THROW(read_prompt_file(folder.path().string(), list_), Error);
}

using Batches = std::vector<std::vector<std::string>>;

PromptLine plain(const std::string& prompt) {
  PromptLine line;
  line.prompt = prompt;
  return line;
}

TEST(Jobs, BatchPlainLinesAsCompVisDoes) {
  const std::vector<PromptLine> lines = {plain("a"), plain("b"), plain("c")};
  const auto jobs = make_jobs(lines, "", 2, 2);
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].batches, (Batches{{"a", "b"}, {"c"}, {"a", "b"}, {"c"}}));
  EXPECT_FALSE(jobs[0].own_seed);
}

TEST(Jobs, ShareBatchesWhereTheOptionsAreTheSame) {
  std::vector<PromptLine> lines = {plain("a"), plain("b"), plain("c"), plain("d")};
  lines[1].changes = lines[2].changes = {{"steps", "3"}};
  lines[2].count = 3;
  const auto jobs = make_jobs(lines, "", 2, 1);
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_EQ(jobs[0].batches, (Batches{{"a"}}));
  EXPECT_EQ(jobs[1].batches, (Batches{{"b", "c"}, {"c", "c"}}));
  EXPECT_EQ(jobs[1].num_pictures(), 4);
  EXPECT_EQ(jobs[2].batches, (Batches{{"d"}}));
}

TEST(Jobs, WithASeedOfTheirOwnStandAlone) {
  std::vector<PromptLine> lines = {plain("a"), plain("b"), PromptLine()};
  lines[0].changes = lines[1].changes = {{"seed", "5"}};
  const auto jobs = make_jobs(lines, "the run's", 4, 2);
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_TRUE(jobs[0].own_seed && jobs[1].own_seed && !jobs[2].own_seed);
  EXPECT_EQ(jobs[0].batches, (Batches{{"a", "a"}}));  // seeds 5 and 6
  EXPECT_EQ(jobs[2].batches, (Batches{{"the run's"}, {"the run's"}}));
}

TEST(Jobs, AreAtMostAMillionPictures) {
  PromptLine line = plain("a");
  line.count = 100000;
  const std::vector<PromptLine> lines(11, line);
  EXPECT_THROW(make_jobs(lines, "", 1, 1), Error);
}

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(Manifests, KnowWhatIsThere) {
  const TempDir folder;
  fs::create_directories(folder / "samples");
  {
    NumberedFiles files(folder / "samples", "", 5, ".png");
    Manifest manifest(folder.path(), false);
    EXPECT_EQ(manifest.write(files, bytes("a"), "A", R"({"steps": 3})"),
              folder / "samples/00000.png");
    manifest.write(files, bytes("a again"), "A", "");
    manifest.write(files, bytes("b"), "B", "");
  }
  fs::remove(folder / "samples/00002.png");
  Manifest manifest(folder.path(), true);
  EXPECT_EQ(manifest.take("A"), folder / "samples/00000.png");
  EXPECT_EQ(manifest.take("A"), folder / "samples/00001.png");
  EXPECT_EQ(manifest.take("A"), std::nullopt);
  EXPECT_EQ(manifest.take("B"), std::nullopt);
  std::ifstream file(folder / "manifest.jsonl");
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, R"({"id":"A","path":"samples/00000.png","settings":{"steps":3}})");
}

// Killed between the line and the file, the next picture takes the name.
TEST(Manifests, BelieveTheLastLineOfAPath) {
  const TempDir folder;
  folder.write("a.png", "x");
  folder.write("manifest.jsonl",
               "{\"id\":\"A\",\"path\":\"a.png\"}\n{\"id\":\"B\",\"path\":\"a.png\"}\n");
  Manifest manifest(folder.path(), true);
  EXPECT_EQ(manifest.take("A"), std::nullopt);
  EXPECT_EQ(manifest.take("B"), folder / "a.png");
}

TEST(Manifests, TakeNothingFromMalformedLines) {
  const TempDir folder;
  folder.write("a.png", "x");
  folder.write("sub.jsonl", "x");
  const std::string deep = std::string(100000, '[');
  folder.write("manifest.jsonl", "\n[]\n{\"id\":1,\"path\":\"a.png\"}\n" + deep +
                                     "\n{\"id\":\"X\",\"path\":\"../a.png\"}\n"
                                     "{\"id\":\"X\",\"path\":\"/etc/passwd\"}\n"
                                     "{\"id\":\"X\"}\n\xff\n{\"id\":\"A\",\"path\":\"a.png\"");
  EXPECT_EQ(Manifest(folder.path(), true).take("X"), std::nullopt);
  EXPECT_EQ(Manifest(folder.path(), true).take("A"), std::nullopt);  // cut short
  NumberedFiles files(folder.path(), "n", 1, ".png");
  Manifest(folder.path(), false).write(files, bytes("n"), "N", "");
  EXPECT_EQ(Manifest(folder.path(), true).take("N"), folder / "n0.png");
}

TEST(Manifests, NameTextsByTheirHash) {
  EXPECT_EQ(text_id(""), "cbf29ce484222325");  // FNV-1a's own test vectors
  EXPECT_EQ(text_id("a"), "af63dc4c8601ec8c");
  EXPECT_EQ(text_id("foobar"), "85944171f73967e8");
}

}  // namespace
}  // namespace easel::cli
