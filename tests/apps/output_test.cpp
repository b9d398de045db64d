// Numbered files, the writer's thread, prompt files and finding models.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include <easel/base/error.h>

#include "cli/find_model.h"
#include "cli/output_files.h"
#include "cli/picture_writer.h"
#include "cli/prompt_file.h"
#include "cli/terminal.h"
#include "tests/support/temp_dir.h"

namespace easel::cli {
namespace {

using test::TempDir;

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(NumberedFiles, CountUpAfterTheHighest) {
  const TempDir folder;
  EXPECT_EQ(NumberedFiles(folder.path(), "", 5, ".png").write(bytes("a")), folder / "00000.png");
  folder.write("00007.png", "x");
  folder.write("00009.jpg", "x");
  folder.write("note.png", "x");
  folder.write("123456.png.part", "x");
  NumberedFiles files(folder.path(), "", 5, ".png");
  EXPECT_EQ(files.write(bytes("b")), folder / "00008.png");
  folder.write("00009.png", "another program's");
  EXPECT_EQ(files.write(bytes("c")), folder / "00010.png");
  EXPECT_EQ(test::file_bytes(folder / "00009.png"), "another program's");
  EXPECT_EQ(test::file_bytes(folder / "00008.png"), "b");
}

TEST(NumberedFiles, HaveTheirOwnSeries) {
  const TempDir folder;
  folder.write("grid-0002.png", "x");
  folder.write("grid-x.png", "x");
  EXPECT_EQ(NumberedFiles(folder.path(), "grid-", 4, ".png").write(bytes("g")),
            folder / "grid-0003.png");
}

TEST(NumberedFiles, AreSafeWhereTwoProgramsFillOneFolder) {
  const TempDir folder;
  const auto fill = [&](const std::string& text) {
    NumberedFiles files(folder.path(), "", 5, ".png");
    for (int i = 0; i < 20; ++i) files.write(bytes(text));
  };
  std::thread first([&] { fill("one"); });
  std::thread second([&] { fill("two"); });
  first.join();
  second.join();
  EXPECT_EQ(folder.count(), 40u);
}

TEST(NumberedFiles, TellTheNameFirst) {
  const TempDir folder;
  folder.write("00000.png", "x");
  NumberedFiles files(folder.path(), "", 5, ".png");
  std::vector<std::string> told;
  const auto path = files.write(bytes("a"), [&](const std::filesystem::path& name) {
    EXPECT_FALSE(std::filesystem::exists(name));
    told.push_back(name.filename().string());
    if (told.size() == 1) folder.write("00001.png", "another program's");
  });
  EXPECT_EQ(told, (std::vector<std::string>{"00001.png", "00002.png"}));
  EXPECT_EQ(path, folder / "00002.png");
}

TEST(NumberedFiles, FailInAFolderThatIsNotThere) {
  const TempDir folder;
  NumberedFiles files(folder / "none", "", 5, ".png");
  EXPECT_THROW(files.write(bytes("a")), Error);
}

TEST(CheckWritable, KeepsWhatIsThere) {
  const TempDir folder;
  folder.write("old.png", "x");
  EXPECT_THROW(check_writable(folder / "old.png", false), Error);
  EXPECT_NO_THROW(check_writable(folder / "old.png", true));
  EXPECT_NO_THROW(check_writable(folder / "new.png", false));
  EXPECT_THROW(check_writable(folder / "none" / "new.png", false), Error);
  EXPECT_THROW(check_writable(folder.path(), true), Error);
  EXPECT_THROW(check_writable("/dev/null", true), Error);
}

TEST(PrepareFolder, MakesFoldersAndRefusesFiles) {
  const TempDir folder;
  prepare_folder(folder / "a" / "b");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a" / "b"));
  folder.write("file", "x");
  EXPECT_THROW(prepare_folder(folder / "file"), Error);
  EXPECT_THROW(prepare_folder(folder / "file" / "samples"), Error);
}

TEST(PictureWriter, RunsJobsInOrder) {
  std::vector<int> done;
  PictureWriter writer(2);
  for (int i = 0; i < 20; ++i) writer.push([&done, i] { done.push_back(i); });
  writer.finish();
  ASSERT_EQ(done.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(done[static_cast<size_t>(i)], i);
}

TEST(PictureWriter, ReportsAnErrorOnceAndStops) {
  std::atomic<int> after = 0;
  PictureWriter writer(4);
  writer.push([] { throw Error("disk full"); });
  EXPECT_THROW(writer.finish(), Error);
  EXPECT_NO_THROW(writer.push([&] { ++after; }));
  EXPECT_NO_THROW(writer.finish());
  EXPECT_EQ(after, 0);
}

TEST(PictureWriter, FinishesItsWorkWhenItGoesAway) {
  int done = 0;
  {
    PictureWriter writer;
    for (int i = 0; i < 5; ++i) writer.push([&] { ++done; });
  }
  EXPECT_EQ(done, 5);
}

TEST(SplitLines, IsPythonsSplitlines) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(split_lines(""), Lines{});
  EXPECT_EQ(split_lines("a\n"), Lines{"a"});
  EXPECT_EQ(split_lines("a\n\nb"), (Lines{"a", "", "b"}));
  EXPECT_EQ(split_lines("a\r\nb\rc\vd\fe\x1c"
                        "f\xc2\x85g\xe2\x80\xa8h"),
            (Lines{"a", "b", "c", "d", "e", "f", "g", "h"}));
  EXPECT_EQ(split_lines("\n\n"), (Lines{"", ""}));
  EXPECT_EQ(split_lines("\xef\xbb\xbf"
                        "a"),
            Lines{"a"});
}

TEST(FindModel, TakesFilesFoldersAndNames) {
  const TempDir folder;
  std::filesystem::create_directories(folder / "one");
  std::filesystem::create_directories(folder / "two");
  std::filesystem::create_directories(folder / "diffusers");
  std::filesystem::create_directories(folder / "models" / "named");
  folder.write("one/model.ckpt", "x");
  folder.write("two/a.ckpt", "x");
  folder.write("two/b.safetensors", "x");
  folder.write("diffusers/model_index.json", "{}");
  folder.write("models/named/m.safetensors", "x");
  EXPECT_EQ(find_model(folder / "one", "/none"), folder / "one" / "model.ckpt");
  EXPECT_EQ(find_model(folder / "one" / "model.ckpt", "/none"), folder / "one" / "model.ckpt");
  EXPECT_EQ(find_model(folder / "diffusers", "/none"), folder / "diffusers");
  EXPECT_EQ(find_model("named", folder.path()), folder / "models" / "named" / "m.safetensors");
  EXPECT_THROW(find_model(folder / "two", "/none"), Error);
  EXPECT_THROW(find_model(folder / "models", "/none"), Error);
  EXPECT_THROW(find_model("no-such-model", folder.path()), Error);
}

TEST(FindModel, TakesTheModelThatComesWithEaselUnasked) {
  namespace fs = std::filesystem;
  if (fs::exists("models")) GTEST_SKIP() << "the models of the current folder go before others";
  const TempDir folder;
  const fs::path models = folder / "models";
  fs::create_directories(models / "shapes");
  folder.write("models/shapes/README.md", "a card without weights");
  EXPECT_THROW(find_model({}, folder.path()), Error);
  folder.write("models/shapes/shapes.safetensors", "");
  folder.write("models/shapes/shapes.yaml", "");
  EXPECT_EQ(find_model({}, folder.path()), models / "shapes" / "shapes.safetensors");
}

TEST(FindConfig, LooksBesideTheProgramToo) {
  const TempDir folder;
  std::filesystem::create_directories(folder / "configs");
  folder.write("configs/easel-test.yaml", "");
  EXPECT_EQ(find_config("", folder.path()), "");
  EXPECT_EQ(find_config("configs/easel-test.yaml", folder.path()),
            folder / "configs/easel-test.yaml");
  EXPECT_THROW(find_config("configs/none.yaml", folder.path()), Error);
}

TEST(DurationText, IsForPeople) {
  EXPECT_EQ(duration_text(0), "0:00");
  EXPECT_EQ(duration_text(7.4), "0:07");
  EXPECT_EQ(duration_text(754), "12:34");
  EXPECT_EQ(duration_text(3723), "1:02:03");
  EXPECT_EQ(duration_text(-1), "0:00");
}

}  // namespace
}  // namespace easel::cli
