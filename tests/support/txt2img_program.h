// txt2img as a person runs it, with the tiny model, in a folder of its own.
#pragma once

#include <filesystem>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel::test {

// One model file for all tests of this process.
inline const std::filesystem::path& tiny_model_file() {
  static const TempDir folder;
  static const std::filesystem::path file = write_tiny_model(folder.path(), EASEL_CLIP_VOCABULARY);
  return file;
}

class Txt2ImgProgram : public ::testing::Test {
 protected:
  ProcessResult run(std::vector<std::string> arguments, ProcessOptions options = {}) {
    options.folder = folder_.path();
    return run_process(std::string(EASEL_BINARY_DIR) + "/bin/txt2img", arguments, options);
  }
  // With the tiny model, small pictures and few steps.
  ProcessResult draw(const std::vector<std::string>& arguments, ProcessOptions options = {}) {
    std::vector<std::string> all = {"--ckpt",    tiny_model_file().string(),
                                    "--H",       "32",
                                    "--W",       "48",
                                    "--steps",   "2",
                                    "--device",  "cpu",
                                    "--threads", "1"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all, std::move(options));
  }
  bool there(const std::filesystem::path& name) const {
    return std::filesystem::exists(folder_ / name);
  }
  size_t entries(const std::filesystem::path& name) const {
    const std::filesystem::directory_iterator list(folder_ / name);
    return static_cast<size_t>(std::distance(begin(list), end(list)));
  }
  static void expect_in(const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << "no '" << part << "' in: " << text;
  }

  TempDir folder_;
};

}  // namespace easel::test
