#include "easel/pipeline/explain_prompt.h"

#include <gtest/gtest.h>

#include "easel/base/error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

class ExplainPrompt : public ::testing::Test {
 protected:
  std::string explain(const std::string& prompt, Weighting weighting,
                      const std::string& sampler = "euler") {
    PictureSettings settings;
    settings.weighting = weighting;
    settings.sampler = sampler;
    settings.steps = 4;
    settings.negative_prompt = "(blurry:1.5)";
    return explain_prompt({.model = file_, .vocabulary = EASEL_CLIP_VOCABULARY}, prompt, settings);
  }

  test::TempDir folder_;
  std::filesystem::path file_ = test::write_tiny_model(folder_.path(), EASEL_CLIP_VOCABULARY);
};

TEST_F(ExplainPrompt, ShowsTokensWeightsChunksAndTheSchedule) {
  EXPECT_EQ(explain("a [(cat:1.2)|dog] BREAK it", Weighting::A1111),
            "prompt, weighting a1111:\n"
            "  'a (cat:1.2) BREAK it', evaluations 0 to 1, 3 to 3\n"
            "    chunk 1 of 2:\n"
            "      'a'                      320\n"
            "      'cat'                    2368           weight 1.2\n"
            "    chunk 2 of 2:\n"
            "      'it'                     585\n"
            "  'a dog BREAK it', evaluations 2 to 2, 4 to 4\n"
            "    chunk 1 of 2:\n"
            "      'a'                      320\n"
            "      'dog'                    1929\n"
            "    chunk 2 of 2:\n"
            "      'it'                     585\n"
            "negative prompt, weighting a1111:\n"
            "  '(blurry:1.5)'\n"
            "    chunk 1 of 1:\n"
            "      'blurry'                 21977          weight 1.5\n"
            "schedules count evaluations of the network, here 4 of 4 steps\n");
  EXPECT_NE(explain("a", Weighting::A1111, "heun").find("here 8 of 4 steps"), std::string::npos);
}

TEST_F(ExplainPrompt, ShowsWhatIsCut) {
  std::string text;
  for (int i = 0; i < 80; ++i) text += "cat ";
  const std::string shown = explain(text, Weighting::None);
  EXPECT_NE(shown.find("the last 5 tokens are cut"), std::string::npos);
  EXPECT_NE(shown.find("'blurry'"), std::string::npos);
}

}  // namespace
}  // namespace easel
