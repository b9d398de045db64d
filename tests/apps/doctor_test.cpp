// txt2img --doctor: what it finds and what it advises.
#include "cli/doctor.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace easel::cli {
namespace {

namespace fs = std::filesystem;
using test::ProcessResult;
using test::TempDir;

Finding finding_of(const DrawingOptions& options, const fs::path& data, std::string_view topic) {
  for (Finding& finding : look_at_files(options, data)) {
    if (finding.topic == topic) return finding;
  }
  ADD_FAILURE() << "nothing about " << topic;
  return {};
}

void expect_in(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
}

TEST(Doctor, FindsWhatIsMissing) {
  const TempDir data;
  DrawingOptions options;
  options.output.outdir = data / "out";
  options.model.ckpt = data / "none.ckpt";
  const Finding easel = finding_of(options, data.path(), "Easel");
  expect_in(easel.fix, "v1-inference.yaml and clip/bpe_simple_vocab_16e6.txt.gz are missing");
  const Finding model = finding_of(options, data.path(), "Model");
  EXPECT_TRUE(model.prevents);
  expect_in(model.fix, "there is no model " + options.model.ckpt.string());
  const Finding output = finding_of(options, data.path(), "Output");
  EXPECT_EQ(output.fix, "");
  expect_in(output.found, " free");
  EXPECT_EQ(data.count(), 0u);
}

TEST(Doctor, FindsModelsWithTheirSizes) {
  const TempDir data;
  fs::create_directories(data / "models/mine");
  fs::create_directories(data / "models/empty");
  data.write("models/mine/model.ckpt", std::string(2'000'000, 'x'));
  DrawingOptions options;
  options.model.model = "mine";
  const Finding model = finding_of(options, data.path(), "Model");
  EXPECT_EQ(model.found, (data / "models/mine/model.ckpt").string() + ", 2 MB");
  EXPECT_FALSE(model.prevents);
  const Finding names = finding_of(options, data.path(), "By name");
  expect_in(names.found, "mine (in models/ here and in ");
}

TEST(Doctor, SeesAnOutputFolderThatIsAFile) {
  const TempDir data;
  DrawingOptions options;
  options.output.outdir = data.write("file", "x") / "below";
  const Finding output = finding_of(options, data.path(), "Output");
  EXPECT_TRUE(output.prevents);
  expect_in(output.fix, "is no folder: name another with --outdir");
}

TEST(Doctor, PutsAdviceBelowWhatItFound) {
  const std::vector<Finding> findings = {
      {.topic = "Model", .found = "none", .fix = "fetch one", .prevents = true},
      {.topic = "Memory", .found = "1.0 GB free"}};
  EXPECT_EQ(findings_text(findings),
            "Model         none\n"
            "              -> fetch one\n"
            "Memory        1.0 GB free\n"
            "\nNothing can be drawn yet: Model.\n");
  expect_in(findings_text(std::span(findings).subspan(1)), "\nReady to draw.\n");
}

TEST(Doctor, IsRunByTheProgramsThatDraw) {
  const TempDir folder;
  for (const std::string program : {"txt2img", "img2img"}) {
    const ProcessResult result =
        test::run_process(std::string(EASEL_BINARY_DIR) + "/bin/" + program,
                          {"--doctor", "--device", "cpu", "--ckpt", "none.ckpt"},
                          {.folder = folder.path(), .input = {}, .on_error_text = {}});
    EXPECT_EQ(result.code, 1) << result.err;
    EXPECT_EQ(result.err, "");
    for (const char* topic : {"LibTorch ", "GPU ", "Processor ", "Memory ", "on cpu: float32 ",
                              "Easel ", "From the hub ", "Output "}) {
      expect_in(result.out, topic);
    }
    expect_in(result.out, "Nothing can be drawn yet: Model.");
  }
  EXPECT_EQ(folder.count(), 0u);
}

}  // namespace
}  // namespace easel::cli
