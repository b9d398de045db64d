// The pages for man and what shells complete, read by man's programs and by the shells themselves
// where these are installed (bash always is).
#include "cli/about.h"

#include <map>

#include <gtest/gtest.h>

#include "cli/txt2img_options.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace easel::cli {
namespace {

using test::ProcessResult;
using test::TempDir;

const std::vector<std::string> kPrograms = {"txt2img", "img2img", "easel-checkpoint", "easel-train",
                                            "easel-upscale"};

void expect_in(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
}

bool is_installed(const std::string& program) {
  return test::run_process("/bin/sh", {"-c", "command -v " + program}).code == 0;
}

// What a program of ours prints; it is started once for the same.
std::string printed(const std::string& program, const std::vector<std::string>& arguments) {
  static std::map<std::vector<std::string>, std::string> kept;
  std::vector<std::string> words = arguments;
  words.push_back(program);
  const auto [found, is_new] = kept.try_emplace(words);
  if (!is_new) return found->second;
  const ProcessResult result =
      test::run_process(std::string(EASEL_BINARY_DIR) + "/bin/" + program, arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  return found->second = result.out;
}

TEST(ManPage, HasEveryOption) {
  Txt2ImgOptions options;
  const std::vector<Option> list = options_of(options);
  const std::string page = printed("txt2img", {"--man-page"});
  for (const Option& option : list) {
    std::string name = "\\fB\\-\\-" + std::string(option.info.name);
    for (size_t at = 6; (at = name.find('-', at + 1)) != std::string::npos; ++at) {
      if (name[at - 1] != '\\') name.insert(at, "\\");
    }
    expect_in(page, name + "\\fR");
  }
  expect_in(page, ".TH TXT2IMG 1 ");
  expect_in(page, ".SH EXIT STATUS");
}

TEST(ManPage, EscapesWhatRoffWouldRead) {
  const ProgramText text{.name = "x",
                         .summary = "a\\b",
                         .usage = "x --y",
                         .description = ".so what\n'tis",
                         .examples = ".x\n'y"};
  const std::string page = man_page(text, {});
  expect_in(page, "a\\eb");
  expect_in(page, "x \\-\\-y");
  expect_in(page, "\n\\&.so what 'tis");
  expect_in(page, "\n\\&.x\n\\&'y");
}

TEST(ManPage, IsCleanToMandoc) {
  if (!is_installed("mandoc")) GTEST_SKIP() << "mandoc is not installed";
  const TempDir folder;
  for (const std::string& program : kPrograms) {
    const auto file = folder.write(program + ".1", printed(program, {"--man-page"}));
    // A page without a date is the same whenever it is built.
    const ProcessResult lint = test::run_process(
        "/bin/sh",
        {"-c", "mandoc -T lint -W warning " + file.string() + " | grep -v 'missing date'"});
    EXPECT_EQ(lint.out + lint.err, "");
  }
}

// The words that bash completes the last of `words` to.
std::string bash_completes(const std::string& program, const std::string& words) {
  const TempDir folder;
  const auto file = folder.write("completion", printed(program, {"--completion", "bash"}));
  std::string function = "_" + program;
  for (char& c : function) c = c == '-' ? '_' : c;
  const std::string script = ". " + file.string() + "; COMP_WORDS=(" + program + " " + words +
                             "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); " + function +
                             "; printf '%s ' \"${COMPREPLY[@]}\"";
  test::ProcessOptions options;
  options.folder = EASEL_SOURCE_DIR;
  const ProcessResult result = test::run_process("/bin/bash", {"-c", script}, options);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return result.out;
}

TEST(Completion, WorksInBash) {
  EXPECT_EQ(bash_completes("txt2img", "--sampler-o"), "--sampler-order ");
  EXPECT_EQ(bash_completes("txt2img", "--rng ''"), "cuda cpu ");
  EXPECT_EQ(bash_completes("txt2img", "--rng = cp"), "cpu ");
  EXPECT_EQ(bash_completes("txt2img", "--rng ="), "cuda cpu ");
  EXPECT_EQ(bash_completes("txt2img", "--sampler plm"), "plms ");
  EXPECT_EQ(bash_completes("txt2img", "--ckpt LICEN"), "LICENSE ");
  EXPECT_EQ(bash_completes("txt2img", "--outdir tes"), "tests ");
  EXPECT_EQ(bash_completes("txt2img", "--steps ''"), " ");
  EXPECT_EQ(bash_completes("easel-checkpoint", "inspe"), "inspect ");
  EXPECT_EQ(bash_completes("easel-checkpoint", "inspect LICEN"), "LICENSE ");
  EXPECT_EQ(bash_completes("easel-train", "--form"), "--format ");
}

TEST(Completion, WorksInFish) {
  if (!is_installed("fish")) GTEST_SKIP() << "fish is not installed";
  const TempDir folder;
  for (const std::string& program : kPrograms) {
    folder.write(program + ".fish", printed(program, {"--completion", "fish"}));
  }
  test::ProcessOptions options;
  options.folder = EASEL_SOURCE_DIR;
  const auto completes = [&](const std::string& line) {
    const std::string program = line.substr(0, line.find(' '));
    const ProcessResult result = test::run_process(
        "/bin/sh",
        {"-c", "HOME=" + folder.path().string() + " fish --no-config -c 'source " +
                   (folder / (program + ".fish")).string() + "; complete -C \"" + line + "\"'"},
        options);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  };
  expect_in(completes("txt2img --sampler-o"), "--sampler-order");
  expect_in(completes("txt2img --rng cu"), "cuda\t");
  expect_in(completes("txt2img --sampler plm"), "plms\t");
  EXPECT_EQ(completes("txt2img --ckpt LICEN"), "LICENSE\n");
  expect_in(completes("txt2img --outdir tes"), "tests/");
  expect_in(completes("easel-checkpoint inspe"), "inspect");
}

TEST(Completion, WorksInZsh) {
  if (!is_installed("zsh")) GTEST_SKIP() << "zsh is not installed";
  const TempDir folder;
  for (const std::string& program : kPrograms) {
    folder.write("_" + program, printed(program, {"--completion", "zsh"}));
  }
  // A shell on a terminal of its own, into which the line and a tab are typed; what it shows then
  // is waited for.
  const std::string script = R"zsh(
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -d $1/dump"
zpty -w shell "cd $2; print -r READY\$((1 + 1))"
zpty -m -r shell shown '*READY2*'
zpty -w -n shell "$3"$'\t'
zpty -m -r shell shown "*$4*"
)zsh";
  const auto completes = [&](const std::string& line, const std::string& shown) {
    const ProcessResult result = test::run_process(
        "/usr/bin/timeout", {"20", "zsh", "-f", "-c", script, "zsh", folder.path().string(),
                             EASEL_SOURCE_DIR, line, shown});
    EXPECT_EQ(result.code, 0) << line << ": " << result.err;
  };
  completes("txt2img --sampler-o", "--sampler-order  -- the order of");
  completes("txt2img --rng cp", "--rng cpu");
  completes("txt2img --sampler plm", "--sampler plms");
  completes("txt2img --ckpt LICEN", "--ckpt LICENSE");
  completes("easel-checkpoint inspe", "easel-checkpoint inspect");
}

}  // namespace
}  // namespace easel::cli
