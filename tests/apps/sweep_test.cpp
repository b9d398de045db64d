// What the cells of a sheet are, and what its axes say.
#include "cli/sweep.h"

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "cli/txt2img_options.h"

namespace easel::cli {
namespace {

using Texts = std::vector<std::string>;

Texts prompts(const Sweep& sweep) {
  Texts texts;
  for (const PromptLine& cell : sweep.cells) texts.push_back(cell.prompt.value_or("?"));
  return texts;
}

// As A1111's script makes them: bit n of the number is part n.
TEST(PromptMatrix, IsEveryChoiceInA1111sOrder) {
  const Sweep sweep = prompt_matrix("a house | in snow, |at night|red ");
  EXPECT_EQ(prompts(sweep),
            (Texts{"a house ", "a house , in snow", "a house , at night",
                   "a house , in snow, at night", "a house , red", "a house , in snow, red",
                   "a house , at night, red", "a house , in snow, at night, red"}));
  EXPECT_EQ(sweep.columns, (Texts{"", "in snow", "at night", "in snow, at night"}));
  EXPECT_EQ(sweep.rows, (Texts{"", "red"}));
  EXPECT_EQ(prompts(prompt_matrix("alone")), Texts{"alone"});
}

TEST(PromptMatrix, IsCappedInSize) {
  EXPECT_EQ(prompt_matrix("a" + std::string(10, '|')).cells.size(), 1024u);
  EXPECT_THROW(prompt_matrix("a" + std::string(11, '|')), Error);
}

class XySweep : public ::testing::Test {
 protected:
  Sweep make(const Texts& axes) const { return xy_sweep(axes, "a cat, a hat", list_); }
  std::string error_of(const Texts& axes) const {
    try {
      make(axes);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::Usage);
      return error.what();
    }
    return "";
  }

  Txt2ImgOptions options_;
  std::vector<Option> list_ = options_of(options_);
};

TEST_F(XySweep, ChangesOptionsRowByRow) {
  Sweep sweep = make({"y:cfg-scale=5,7.5", "x:sampler=ddim,plms"});
  set_seed(sweep, 42);
  ASSERT_EQ(sweep.cells.size(), 4u);
  EXPECT_EQ(sweep.cells[1].changes, (Changes{{"sampler", "plms"}, {"scale", "5"}, {"seed", "42"}}));
  EXPECT_EQ(sweep.cells[2].changes,
            (Changes{{"sampler", "ddim"}, {"scale", "7.5"}, {"seed", "42"}}));
  EXPECT_EQ(sweep.cells[2].count, 1);
  EXPECT_EQ(sweep.columns, (Texts{"sampler: ddim", "sampler: plms"}));
  EXPECT_EQ(sweep.rows, (Texts{"scale: 5", "scale: 7.5"}));
}

TEST_F(XySweep, ReplacesInThePrompt) {
  Sweep sweep = make({"x:prompt:cat=cat,\"dog, old\"", "y:seed=1,2"});
  set_seed(sweep, 42);
  EXPECT_EQ(prompts(sweep),
            (Texts{"a cat, a hat", "a dog, old, a hat", "a cat, a hat", "a dog, old, a hat"}));
  EXPECT_EQ(sweep.cells[3].changes, (Changes{{"seed", "2"}}));
  EXPECT_EQ(sweep.columns, (Texts{"cat", "dog, old"}));
  EXPECT_EQ(prompts(make({"x:prompt:at=AT"})), Texts{"a cAT, a hAT"});
}

TEST_F(XySweep, SaysWhatIsWrong) {
  for (const Texts& axes :
       {Texts{"sampler=ddim"}, Texts{"z:sampler=ddim"}, Texts{"x:sampler"}, Texts{"x:samplr=ddim"},
        Texts{"x:outdir=a,b"}, Texts{"x:prompt:dog=fox"}, Texts{"x:prompt:=fox"},
        Texts{"x:seed=1", "x:steps=2"}, Texts{"x:seed=1", "y:seed=2"},
        Texts{"x:prompt:cat=\"dog"}}) {
    EXPECT_NE(error_of(axes), "") << axes[0];
  }
}

TEST_F(XySweep, IsCappedInSize) {
  EXPECT_EQ(error_of({"x:seed=" + std::string(1023, ',')}), "");
  EXPECT_NE(error_of({"x:seed=" + std::string(511, ','), "y:steps=1,2,3"}), "");
}

}  // namespace
}  // namespace easel::cli
