#include "easel/pipeline/run.h"

#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/diffusion/noise.h>
#include <easel/io/tensor_file.h>

#include "tests/support/compare.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

using test::TempDir;
using Batches = std::vector<std::vector<std::string>>;

const StableDiffusion& model() {
  static const StableDiffusion loaded = test::tiny_model(EASEL_CLIP_VOCABULARY);
  return loaded;
}

RunRequest small_run(Batches batches) {
  RunRequest request;
  request.batches = std::move(batches);
  request.settings.width = 32;
  request.settings.height = 32;
  request.settings.steps = 2;
  return request;
}

std::vector<RunPicture> draw(const RunRequest& request) {
  std::vector<RunPicture> pictures;
  run_pictures(model(), request,
               {.log = {}, .on_step = {}, .on_picture = [&](RunPicture&& picture) {
                  pictures.push_back(std::move(picture));
                }});
  return pictures;
}

TEST(RunTxt2Img, NumbersPicturesAndSeedsThroughAllBatches) {
  const auto pictures = draw(small_run({{"a", "b"}, {"c"}}));
  ASSERT_EQ(pictures.size(), 3u);
  for (size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(pictures[k].number, static_cast<int64_t>(k));
    EXPECT_EQ(pictures[k].seed, 42 + k);
    EXPECT_EQ(pictures[k].prompt, std::string(1, static_cast<char>('a' + k)));
  }
}

TEST(RunTxt2Img, ShowsPicturesOnTheirWay) {
  RunRequest request = small_run({{"a", "b"}, {"c"}});
  request.settings.steps = 5;
  std::vector<size_t> counts;
  Image last;
  run_pictures(model(), request,
               {.log = {},
                .on_step = {},
                .on_picture = {},
                .on_preview =
                    [&](std::vector<Image>&& images) {
                      counts.push_back(images.size());
                      last = std::move(images[0]);
                    },
                .preview_every = 2});
  EXPECT_EQ(counts, (std::vector<size_t>{2, 2, 1, 1}));
  EXPECT_EQ(last.width, 32);
  EXPECT_EQ(last.height, 32);
  EXPECT_EQ(last.pixels.size(), 3u * 32 * 32);
}

TEST(RunTxt2Img, APictureIsReproducedAloneFromItsSeed) {
  const auto pictures = draw(small_run({{"a", "b"}, {"c", "d"}}));
  RunRequest alone = small_run({{"d"}});
  alone.seed = 45;
  const auto again = draw(alone);
  int worst = 0;
  for (size_t i = 0; i < again[0].image.pixels.size(); ++i) {
    worst = std::max(worst, std::abs(again[0].image.pixels[i] - pictures[3].image.pixels[i]));
  }
  EXPECT_LE(worst, 1);
}

TEST(RunTxt2Img, BatchSeedingGoesOnFromBatchToBatch) {
  RunRequest request = small_run({{"a"}, {"a"}});
  request.seeding = Seeding::Batch;
  const auto pictures = draw(request);
  EXPECT_NE(pictures[0].image.pixels, pictures[1].image.pixels);
  EXPECT_EQ(pictures[1].seed, 42u);
}

TEST(RunTxt2Img, FixedCodeStartsEveryBatchAlike) {
  for (const Seeding seeding : {Seeding::Image, Seeding::Batch}) {
    RunRequest request = small_run({{"a", "a"}, {"a"}});
    request.seeding = seeding;
    request.fixed_code = true;
    const auto pictures = draw(request);
    EXPECT_NE(pictures[0].image.pixels, pictures[1].image.pixels);
    int worst = 0;
    for (size_t i = 0; i < pictures[0].image.pixels.size(); ++i) {
      worst = std::max(worst, std::abs(pictures[0].image.pixels[i] - pictures[2].image.pixels[i]));
    }
    EXPECT_LE(worst, 1);
  }
}

TEST(RunTxt2Img, StepNoiseIsNotTheFixedStart) {
  RunRequest request = small_run({{"a"}});
  request.settings.sampler = "euler_a";
  const auto drawn = draw(request);
  request.fixed_code = true;
  EXPECT_EQ(draw(request)[0].image.pixels, drawn[0].image.pixels);
}

TEST(RunTxt2Img, SavesLatentsAndStartsFromThem) {
  const TempDir folder;
  for (const std::string name : {"x_T.npy", "x_T.safetensors"}) {
    NoiseSource source = NoiseSource::per_image(Rng::Cuda, {42, 43});
    const Tensor noise = source.draw({2, 4, 4, 4});
    if (name.ends_with("npy"))
      write_npy(folder / name, noise, IfExists::Refuse);
    else
      write_safetensors(folder / name, {{"x_T", noise}}, {}, IfExists::Refuse);
    RunRequest request = small_run({{"a", "b"}});
    request.save_latents = folder / ("final_" + name);
    const auto drawn = draw(request);
    request.seed = 1000;
    request.init_latents = folder / name;
    request.save_latents = folder / ("again_" + name);
    EXPECT_EQ(draw(request)[1].image.pixels, drawn[1].image.pixels);
    const Tensor first = read_tensor_file(folder / ("final_" + name)).tensors.begin()->second;
    EXPECT_EQ(shape_text(first.sizes()), "[2, 4, 4, 4]");
    EXPECT_TRUE(
        at::equal(first, read_tensor_file(folder / ("again_" + name)).tensors.begin()->second));
    EXPECT_THROW(draw(request), Error);  // again_... is not overwritten
    request.overwrite = true;
    EXPECT_NO_THROW(draw(request));
  }
}

TEST(RunTxt2Img, RefusesInitialLatentsThatDoNotFit) {
  const TempDir folder;
  const auto refuses = [&](const Tensor& tensor) {
    write_npy(folder / "x.npy", tensor, IfExists::Replace);
    RunRequest request = small_run({{"a", "b"}, {"c", "d"}});
    request.init_latents = folder / "x.npy";
    try {
      draw(request);
      return false;
    } catch (const Error&) {
      return true;
    }
  };
  EXPECT_TRUE(refuses(at::zeros({3, 4, 4, 4})));
  EXPECT_TRUE(refuses(at::zeros({1, 3, 4, 4})));
  EXPECT_TRUE(refuses(at::zeros({4, 4})));
  EXPECT_TRUE(refuses(at::full({4, 4, 4}, std::numeric_limits<double>::infinity())));
  EXPECT_TRUE(refuses(at::zeros({1, 4, 4, 4}, at::kLong)));
  EXPECT_FALSE(refuses(at::ones({4, 4, 4})));
  EXPECT_FALSE(refuses(at::ones({4, 4, 4, 4})));
  EXPECT_FALSE(refuses(at::ones({2, 4, 4, 4})));
}

TEST(RunTxt2Img, RefusesWhatCannotBeMeant) {
  EXPECT_THROW(draw(small_run({})), Error);
  EXPECT_THROW(draw(small_run({{}})), Error);
  RunRequest request = small_run({{"a"}});
  request.rng = "dice";
  EXPECT_THROW(draw(request), Error);
  request = small_run({{"a"}});
  request.save_latents = "latents.txt";
  EXPECT_THROW(draw(request), Error);
  request = small_run({{"a"}});
  request.init_latents = "/no/such/file.npy";
  EXPECT_THROW(draw(request), Error);
}

class RunWithLoras : public ::testing::Test {
 protected:
  void SetUp() override {
    write("one", "mid_block_attentions_0_transformer_blocks_0_attn1_to_q");
    write("two", "mid_block_attentions_0_transformer_blocks_0_attn1_to_v");
  }
  void write(const std::string& name, const std::string& module) {
    write_safetensors(folder_ / (name + ".safetensors"),
                      {{"lora_unet_" + module + ".lora_down.weight", at::ones({1, 64})},
                       {"lora_unet_" + module + ".lora_up.weight", at::ones({64, 1})}},
                      {}, IfExists::Refuse);
  }
  RunRequest run_of(Batches batches) {
    RunRequest request = small_run(std::move(batches));
    request.seeding = Seeding::Batch;
    request.fixed_code = true;
    request.lora_folders = {folder_.path()};
    return request;
  }
  std::vector<uint8_t> pixels(Batches batches, std::vector<LoraChoice> loras = {}) {
    RunRequest request = run_of(std::move(batches));
    request.loras = std::move(loras);
    return draw(request).back().image.pixels;
  }
  LoraChoice choice(const std::string& name, double weight) {
    return {.file = folder_ / (name + ".safetensors"), .text_encoder = weight, .unet = weight};
  }
  TempDir folder_;
};

TEST_F(RunWithLoras, PromptsNameTheirs) {
  const auto plain = pixels({{"a"}});
  const auto one = pixels({{"a"}}, {choice("one", 0.5)});
  const auto both = pixels({{"a"}}, {choice("one", 0.5), choice("two", 1)});
  EXPECT_NE(plain, one);
  EXPECT_NE(one, both);
  EXPECT_EQ(pixels({{"a<lora:one:0.5>"}}), one);
  EXPECT_EQ(pixels({{"<lora:one:0.5>a<lyco:two>"}}), both);
  EXPECT_EQ(pixels({{"a<lora:two:1>"}}, {choice("one", 0.5)}), both);
  RunRequest webui = run_of({{"a<lora:one:0.5>"}});
  webui.settings.weighting = Weighting::A1111;
  const auto pictures = draw(webui);
  EXPECT_EQ(pictures[0].image.pixels, one);
  EXPECT_EQ(pictures[0].prompt, "a<lora:one:0.5>");
}

TEST_F(RunWithLoras, BatchesDoNotKeepThoseOfOthers) {
  const auto plain = pixels({{"a"}});
  const auto two = pixels({{"a<lora:two:1>"}});
  const auto pictures =
      draw(run_of({{"a<lora:one:0.5>"}, {"a"}, {"a<lora:two:1>"}, {"a"}, {"a<lora:two:1>"}}));
  ASSERT_EQ(pictures.size(), 5u);
  EXPECT_NE(pictures[0].image.pixels, plain);
  EXPECT_EQ(pictures[1].image.pixels, plain);
  EXPECT_EQ(pictures[2].image.pixels, two);
  EXPECT_EQ(pictures[3].image.pixels, plain);
  EXPECT_EQ(pictures[4].image.pixels, two);
}

TEST_F(RunWithLoras, RefuseWhatCannotBeMeant) {
  const auto refused = [&](Batches batches) {
    const RunRequest request = run_of(std::move(batches));
    return test::message_of<Error>([&] { check(request); });
  };
  const std::string mixed = refused({{"a<lora:one:0.5>", "a<lora:two:1>"}});
  EXPECT_NE(mixed.find("(one: 0.5 and two: 1)"), std::string::npos) << mixed;
  EXPECT_NE(refused({{"a", "a<lora:two:1>"}}).find("(none and two: 1)"), std::string::npos);
  EXPECT_NE(refused({{"a<lora:onne:1>"}}).find("did you mean 'one'"), std::string::npos);
  EXPECT_NE(refused({{"a<lora:one:big>"}}).find("not 'big'"), std::string::npos);
  EXPECT_EQ(refused({{"a<lora:one:1>", "b<lora:one:1>"}}), "");
}

}  // namespace
}  // namespace easel
