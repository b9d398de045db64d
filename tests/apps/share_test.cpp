// Runs that several processes draw: the folder in the end is that of one process.
#include "cli/share.h"

#include <atomic>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/image.h>

#include "cli/manifest.h"
#include "cli/process_rank.h"
#include "cli/shared_folder.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel::cli {
namespace {

namespace fs = std::filesystem;
using test::ProcessOptions;
using test::ProcessResult;
using test::TempDir;

// The environment as it was, at the end of a test.
class Launchers : public ::testing::Test {
 protected:
  Launchers() { clear(); }
  ~Launchers() override { clear(); }
  static void clear() {
    for (const char* name :
         {"RANK", "WORLD_SIZE", "LOCAL_RANK", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
          "OMPI_COMM_WORLD_LOCAL_RANK", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "SLURM_PROCID",
          "SLURM_NTASKS", "SLURM_LOCALID"}) {
      ::unsetenv(name);
    }
  }
  static void set(const std::map<std::string, std::string>& variables) {
    clear();
    for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  }
  static Share share(const std::string& text) { return read_share({.share = text}); }
};

TEST_F(Launchers, SayWhichPartIsWhose) {
  EXPECT_FALSE(launched_rank());
  EXPECT_THROW(share("auto"), Error);
  const auto expect = [&](const std::map<std::string, std::string>& variables, int64_t local) {
    set(variables);
    EXPECT_EQ(share("auto").part, 2);
    EXPECT_EQ(share("auto").parts, 8);
    EXPECT_EQ(launched_rank()->local_rank, local);
  };
  expect({{"RANK", "2"}, {"WORLD_SIZE", "8"}, {"LOCAL_RANK", "1"}}, 1);
  expect({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "8"}}, 2);
  expect({{"PMI_RANK", "2"}, {"PMI_SIZE", "8"}, {"MPI_LOCALRANKID", "0"}}, 0);
  expect({{"SLURM_PROCID", "2"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "0"}}, 0);
  // mpirun within a job of Slurm.
  expect({{"OMPI_COMM_WORLD_RANK", "2"},
          {"OMPI_COMM_WORLD_SIZE", "8"},
          {"SLURM_PROCID", "0"},
          {"SLURM_NTASKS", "4"}},
         2);
}

TEST_F(Launchers, AreHeardOnlyWhereTheyAreAsked) {
  set({{"RANK", "2"}, {"WORLD_SIZE", "8"}});
  EXPECT_TRUE(share("").alone());
  EXPECT_EQ(share("1/3").part, 1);
  EXPECT_EQ(share("1/3").parts, 3);
  EXPECT_EQ(share("folder").kind, Share::Kind::Folder);
  EXPECT_NE(unshared_notice().find("WORLD_SIZE is 8"), std::string::npos);
  set({{"RANK", "two"}, {"WORLD_SIZE", "8"}});
  EXPECT_EQ(unshared_notice(), "");
  EXPECT_THROW(share("auto"), Error);
  set({{"RANK", "8"}, {"WORLD_SIZE", "8"}});
  EXPECT_THROW(share("auto"), Error);
  set({{"RANK", "0"}, {"WORLD_SIZE", "1"}});
  EXPECT_EQ(unshared_notice(), "");
  EXPECT_EQ(shared_device("cpu"), "cpu");
  EXPECT_EQ(shared_device("cuda:3"), "cuda:3");
}

TEST_F(Launchers, AndPartsAreRefusedWhereTheyAreNone) {
  for (const char* text :
       {"3/3", "-1/3", "1", "/", "1/", "/3", "1/0", "a/b", "0/2000000", "Auto"}) {
    EXPECT_THROW(share(text), Error) << text;
  }
}

TEST(SharedFolders, ShareOneRun) {
  const TempDir dir;
  fs::create_directories(dir / "samples");
  SharedFolder a(dir.path(), "a");
  SharedFolder b(dir.path(), "b");
  a.join({{"steps", 20}, {"sampler", "ddim"}});
  b.join({{"steps", 20}, {"sampler", "ddim"}});
  const auto other = test::message_of<Error>([&] {
    SharedFolder(dir.path(), "c").join({{"steps", 30}, {"scale", 2}});
  });
  for (const char* part :
       {"steps: 20 there and 30 here", "scale: none there", "sampler: \"ddim\""}) {
    EXPECT_NE(other.find(part), std::string::npos) << other;
  }
  EXPECT_THROW(check_not_shared(dir.path()), Error);

  const std::vector<std::byte> bytes(3, std::byte{'x'});
  EXPECT_EQ(a.write(1, bytes, "B", R"({"seed": 2})"), dir / "samples/00001.png");
  EXPECT_EQ(b.write(1, bytes, "B", R"({"seed": 2})"), std::nullopt);
  EXPECT_EQ(b.write(0, bytes, "A", ""), dir / "samples/00000.png");
  EXPECT_EQ(a.are_there(3), (std::vector<bool>{true, true, false}));
  dir.write("share/killed.jsonl", "{\"id\":\"B\",\"path\":\"samples/00001.png\",\"sett");
  dir.write("samples/.easel-12.tmp", "half a pict");
  dir.write("share/17.0", "killed\n");
  EXPECT_FALSE(a.is_finished());
  b.finish(2, bytes);
  a.finish(2, bytes);  // as after an interruption
  EXPECT_TRUE(a.is_finished());
  EXPECT_EQ(test::file_bytes(dir / "manifest.jsonl"),
            "{\"id\":\"A\",\"path\":\"samples/00000.png\"}\n"
            "{\"id\":\"B\",\"path\":\"samples/00001.png\",\"settings\":{\"seed\":2}}\n"
            "{\"id\":\"" +
                grid_id("AB") + "\",\"path\":\"grid-0000.png\"}\n");
  EXPECT_EQ(test::file_bytes(dir / "grid-0000.png"), "xxx");
  std::set<std::string> left;
  for (const auto& entry : fs::recursive_directory_iterator(dir.path())) {
    if (entry.is_regular_file()) left.insert(entry.path().lexically_relative(dir.path()));
  }
  EXPECT_EQ(left, (std::set<std::string>{"grid-0000.png", "manifest.jsonl", "samples/00000.png",
                                         "samples/00001.png", "share/finished", "share/run.json"}));
  check_not_shared(dir.path());
}

TEST(SharedFolders, DoNotMixWithOtherPictures) {
  const TempDir dir;
  fs::create_directories(dir / "samples");
  dir.write("samples/00007.png", "x");
  EXPECT_THROW(SharedFolder(dir.path(), "a").join({{"steps", 20}}), Error);
  EXPECT_FALSE(fs::exists(dir / "share"));
}

class SharedRuns : public ::testing::Test {
 protected:
  SharedRuns() {
    test::write_tiny_model(dir_.path(), EASEL_CLIP_VOCABULARY);
    std::string prompts;
    for (int i = 0; i < kPictures; ++i) {
      prompts += fmt::format("picture {}{}\n", i, i % 5 == 0 ? " --scale 5 -S 7" : "");
    }
    dir_.write("p.txt", prompts);
  }
  ProcessResult draw(const std::string& outdir, const std::vector<std::string>& more,
                     ProcessOptions options = {}, const std::string& program = "txt2img") {
    std::vector<std::string> all = environment_;
    for (const char* word : {"--ckpt", "tiny.safetensors", "--H", "32", "--W", "32", "--device",
                             "cpu", "--threads", "1", "--progress", "json"}) {
      all.emplace_back(word);
    }
    all.insert(all.begin() + static_cast<std::ptrdiff_t>(environment_.size()),
               std::string(EASEL_BINARY_DIR) + "/bin/" + program);
    all.insert(all.end(), {"--outdir", outdir});
    all.insert(all.end(), more.begin(), more.end());
    options.folder = dir_.path();
    return test::run_process("/usr/bin/env", all, options);
  }
  std::vector<std::string> run(const std::string& share = "", int steps = 8) const {
    std::vector<std::string> words = {"--from-file", "p.txt", "--n_samples", "2",
                                      "--n_iter",    "1",     "--steps",     std::to_string(steps)};
    if (!share.empty()) words.insert(words.end(), {"--share", share, "--lease", "1"});
    return words;
  }
  // All files but those in share/, which only says who drew what.
  std::map<std::string, std::string> files(const std::string& outdir) const {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(dir_ / outdir)) {
      const fs::path path = entry.path().lexically_relative(dir_ / outdir);
      if (!entry.is_regular_file() || *path.begin() == "share") continue;
      found[path] = test::file_bytes(entry.path());
    }
    return found;
  }
  void expect_same(const std::string& got, const std::string& want) const {
    const auto a = files(got);
    const auto b = files(want);
    std::set<std::string> names[2];
    for (const auto& [name, bytes] : a) names[0].insert(name);
    for (const auto& [name, bytes] : b) names[1].insert(name);
    EXPECT_EQ(names[0], names[1]);
    for (const auto& [name, bytes] : b) {
      EXPECT_TRUE(a.contains(name) && a.at(name) == bytes) << name;
    }
    EXPECT_TRUE(fs::exists(dir_ / got / "share/finished"));
  }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }

  static constexpr int kPictures = 24;
  TempDir dir_;
  std::vector<std::string> environment_;  // NAME=VALUE
};

// One is killed for certain, others perhaps, at what moment the machine decides; the last one ends
// in any case, and the folder is always the same.
TEST_F(SharedRuns, SurviveTheirWorkers) {
  constexpr int kSteps = 60;  // a batch takes some tenths of a second: nobody is done at once
  ASSERT_EQ(draw("one", run("", kSteps)).code, 0);
  ASSERT_EQ(files("one").size(), size_t{kPictures} + 2);
  std::atomic<int> killed = 0;
  const auto work = [&](int steps) {  // lives for so many steps; 0: to the end
    bool sent = false;
    ProcessOptions options;
    options.on_error_text = [&](pid_t pid, const std::string& text) {
      int seen = 0;
      for (size_t at = 0; (at = text.find("\"step\"", at)) != text.npos; ++at) ++seen;
      if (sent || steps == 0 || seen < steps) return;
      sent = true;
      ::kill(pid, SIGKILL);
    };
    const ProcessResult result = draw("many", run("folder", kSteps), options);
    if (result.code == 128 + SIGKILL) {
      ++killed;
    } else {
      EXPECT_EQ(result.code, 0) << result.err;
    }
  };
  work(kSteps + 20);  // in the second batch; alone, so that it comes to that
  EXPECT_EQ(killed, 1);
  EXPECT_EQ(files("many").count("manifest.jsonl"), 0u);
  std::mt19937 random(1);
  std::vector<std::thread> workers;
  for (int i = 1; i < 8; ++i) {
    const int steps = i % 2 == 0 ? 0 : static_cast<int>(random() % (3 * kSteps)) + 1;
    workers.emplace_back([&, steps] { work(steps); });
  }
  for (std::thread& worker : workers) worker.join();
  work(0);
  expect_same("many", "one");
}

TEST_F(SharedRuns, AreDividedByRanks) {
  ASSERT_EQ(draw("one", run()).code, 0);
  environment_ = {"RANK=0", "WORLD_SIZE=3"};
  const ProcessResult first = draw("parts", run("auto"));
  EXPECT_EQ(first.code, 0) << first.err;
  expect_in(first.err, "whoever draws the last one");
  environment_ = {"OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=3"};
  EXPECT_EQ(draw("parts", run("auto")).code, 0);
  EXPECT_EQ(draw("elsewhere", run("auto")).code, 0);
  environment_ = {"SLURM_PROCID=2", "SLURM_NTASKS=3"};
  EXPECT_EQ(draw("parts", run("auto")).code, 0);
  expect_same("parts", "one");
  // A machine without the common folder has the pictures of its part, under the same names.
  const auto all = files("one");
  const auto part = files("elsewhere");
  EXPECT_GT(part.size(), 4u);
  EXPECT_LT(part.size(), 16u);
  for (const auto& [name, bytes] : part) EXPECT_TRUE(all.at(name) == bytes) << name;
  // Again: there is nothing to do.
  const ProcessResult again = draw("parts", run("1/3"));
  EXPECT_EQ(again.code, 0);
  expect_in(again.err, "0 of 24 pictures were drawn here");
  expect_in(again.err, "24 of 24 pictures were there already");
  expect_same("parts", "one");
}

TEST_F(SharedRuns, AreDividedByNothingElse) {
  dir_.write("p.txt", "one\ntwo\n");
  environment_ = {"RANK=1", "WORLD_SIZE=2", "LOCAL_RANK=1"};
  const ProcessResult result = draw("out", run());
  EXPECT_EQ(result.code, 0) << result.err;
  expect_in(result.err, "WORLD_SIZE is 2");
  EXPECT_EQ(files("out").size(), 4u);
}

TEST_F(SharedRuns, SayWhatCannotBeDrawnOnce) {
  dir_.write("p.txt", "one\ntwo --steps many\nthree\nfour --W 7\nfive --steps 3\nsix\n");
  EXPECT_EQ(draw("one", run()).code, 1);
  int failed = 0;
  for (const char* part : {"0/2", "1/2"}) {
    const ProcessResult result = draw("two", run(part));
    for (const char* line : {"p.txt:2: ", "p.txt:4: "}) {
      if (result.err.find(line) != std::string::npos) ++failed;
    }
  }
  EXPECT_EQ(failed, 2);
  expect_same("two", "one");
  const ProcessResult folder = draw("folder", run("folder"));
  EXPECT_EQ(folder.code, 1);
  expect_in(folder.err, "2 of 6 pictures could not be drawn");
  expect_same("folder", "one");
}

TEST_F(SharedRuns, OfPicturesFromPictures) {
  dir_.write("p.txt", "one\ntwo --init-img one/samples/00001.png\nthree --strength 0.5\n");
  ASSERT_EQ(draw("one", {"--prompt", "a cat", "--steps", "2", "--n_iter", "1"}).code, 0);
  auto changed = [&](const std::string& outdir, const std::string& share) {
    auto words = run(share);
    words.insert(words.end(), {"--init-img", "one/samples/00000.png"});
    const ProcessResult result = draw(outdir, words, {}, "img2img");
    EXPECT_EQ(result.code, 0) << result.err;
  };
  changed("alone", "");
  changed("parts", "1/2");
  changed("parts", "folder");  // the same run, whoever takes which part of it
  expect_same("parts", "alone");
}

TEST_F(SharedRuns, RefuseWhatCannotBeShared) {
  const auto refused = [&](std::vector<std::string> more, int code, const std::string& part) {
    const auto words = run("folder");
    more.insert(more.begin(), words.begin(), words.end());
    const ProcessResult result = draw("out", more);
    EXPECT_EQ(result.code, code) << part;
    expect_in(result.err, part);
  };
  refused({"--seeding", "batch"}, 2, "--seeding batch has no meaning with --share");
  refused({"--seed", "-1"}, 2, "every process would draw another");
  refused({"--preview", "2"}, 2, "--preview");
  refused({"--from-file", "-"}, 2, "write them to a file");
  refused({"--share", "2/2"}, 2, "with R from 0 to N - 1");
  refused({"--lease", "0"}, 2, "--lease is 0");
  refused({"--share", "auto"}, 2, "no launcher says");
  EXPECT_FALSE(fs::exists(dir_ / "out"));

  dir_.write("p.txt", "one\ntwo\nthree --steps 2\n");
  ASSERT_EQ(draw("out", run("0/2")).code, 0);
  refused({"--scale", "3"}, 1, "scale: 7.5 there and 3.0 here");
  dir_.write("p.txt", "one\nTWO\nthree --steps 2\n");
  refused({}, 1, "prompts and their options");
  dir_.write("p.txt", "one\ntwo\nthree --steps 2\n");
  const ProcessResult alone = draw("out", run());
  EXPECT_EQ(alone.code, 1);
  expect_in(alone.err, "which is not finished");
  ASSERT_EQ(draw("out", run("1/2")).code, 0);
  EXPECT_EQ(draw("out", run()).code, 0);  // more pictures, numbered on
  EXPECT_EQ(files("out").size(), 9u);
}

}  // namespace
}  // namespace easel::cli
