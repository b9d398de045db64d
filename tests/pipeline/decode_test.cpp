#include "easel/pipeline/decode.h"

#include <gtest/gtest.h>

#include <easel/base/error.h>

#include "tests/support/compare.h"
#include "tests/support/tiny_model.h"

namespace easel {
namespace {

TEST(ToImage, TruncatesOrRoundsAndClamps) {
  // (x + 1) / 2 * 255: 0, 127.5, 254.9, and what lies outside.
  const Tensor x_CHW = at::tensor({-1.0f, 0.0f, 0.9992f, 2.0f, -3.0f, 1.0f}).reshape({3, 1, 2});
  const Image truncated = to_image(x_CHW, PixelRounding::Truncate);
  EXPECT_EQ(truncated.width, 2);
  EXPECT_EQ(truncated.height, 1);
  EXPECT_EQ(truncated.channels, 3);
  EXPECT_EQ(truncated.pixels, (std::vector<uint8_t>{0, 254, 0, 127, 255, 255}));
  EXPECT_EQ(to_image(x_CHW, PixelRounding::Nearest).pixels,
            (std::vector<uint8_t>{0, 255, 0, 128, 255, 255}));
}

TEST(DecodeLatents, DecodesPicturesOneByOne) {
  const StableDiffusion model = test::tiny_model(EASEL_CLIP_VOCABULARY);
  const Tensor latents = test::hashed_tensor("latents", {3, 4, 2, 3});
  const auto all = decode_latents(model, latents, PixelRounding::Truncate);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].width, 24);
  EXPECT_EQ(all[0].height, 16);
  for (int64_t k = 0; k < 3; ++k) {
    const auto one = decode_latents(model, latents.narrow(0, k, 1), PixelRounding::Truncate);
    EXPECT_EQ(one[0].pixels, all[static_cast<size_t>(k)].pixels);
  }
}

TEST(DecodeLatents, DecodesAgainInFloat32WhereHalfOverflows) {
  StableDiffusion half = test::tiny_model(EASEL_CLIP_VOCABULARY, at::kHalf);
  StableDiffusion full = test::tiny_model(EASEL_CLIP_VOCABULARY);
  // Beyond 65504 in the first convolution: infinite in float16 and fine in float32.
  for (StableDiffusion* model : {&half, &full}) {
    for (const auto& [name, tensor] : nn::named_parameters(model->autoencoder)) {
      if (name == "decoder.conv_in.weight") *tensor = tensor->clamp(-1, 1).mul(60000);
    }
  }
  const Tensor latents = test::hashed_tensor("latents", {2, 4, 2, 2});
  std::vector<std::string> lines;
  const auto images = decode_latents(half, latents, PixelRounding::Truncate,
                                     [&](LogLevel level, std::string_view line) {
                                       if (level == LogLevel::Warning) lines.emplace_back(line);
                                     });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("float32"), std::string::npos);
  const auto exact = decode_latents(full, latents, PixelRounding::Truncate);
  for (size_t k = 0; k < images.size(); ++k) {
    double difference = 0;
    for (size_t i = 0; i < images[k].pixels.size(); ++i) {
      difference = std::max(difference, std::abs(double(images[k].pixels[i]) - exact[k].pixels[i]));
    }
    EXPECT_LE(difference, 12);  // the weights themselves were rounded to float16
  }
}

TEST(DecodeLatents, InStripsGivesTheSamePictures) {
  const StableDiffusion model = test::tiny_model(EASEL_CLIP_VOCABULARY);
  const Tensor latents = test::hashed_tensor("latents", {1, 4, 9, 3});
  const auto decode = [&](VaeTiling tiling) {
    return decode_latents(model, latents, PixelRounding::Nearest, {}, tiling)[0];
  };
  const Image whole = decode(VaeTiling::Off);
  const Image strips = decode(VaeTiling::On);
  int worst = 0;
  for (size_t i = 0; i < whole.pixels.size(); ++i) {
    worst = std::max(worst, std::abs(whole.pixels[i] - strips.pixels[i]));
  }
  EXPECT_LE(worst, 1);
  const Tensor x = from_image(whole);
  test::expect_close(encode_pictures(model, x, {}, VaeTiling::On).mean_BCHW,
                     encode_pictures(model, x, {}, VaeTiling::Off).mean_BCHW, 1e-5);
}

TEST(DecodeLatents, RefusesLatentsThatAreNotFinite) {
  const StableDiffusion model = test::tiny_model(EASEL_CLIP_VOCABULARY);
  const Tensor latents = at::full({1, 4, 2, 2}, std::numeric_limits<double>::quiet_NaN());
  EXPECT_THROW(decode_latents(model, latents, PixelRounding::Truncate), Error);
}

}  // namespace
}  // namespace easel
