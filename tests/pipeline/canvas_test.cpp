#include "easel/pipeline/canvas.h"

#include <gtest/gtest.h>

#include <easel/base/error.h>

namespace easel {
namespace {

ModelSummary model() {
  return {
      .name = "m", .device = "cpu", .dtype = "float32", .latent_channels = 4, .downsampling = 8};
}

// Every pixel says where it is.
Image ramp(int width, int height) {
  Image image{.width = width, .height = height, .channels = 3, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const int value : {x, y, 7}) image.pixels.push_back(static_cast<uint8_t>(value % 256));
    }
  }
  return image;
}

Image box_mask(int width, int height, const Region& box) {
  Image image{.width = width, .height = height, .channels = 1, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const bool in =
          x >= box.left && x < box.left + box.width && y >= box.top && y < box.top + box.height;
      image.pixels.push_back(in ? 255 : 0);
    }
  }
  return image;
}

Image grey(int width, int height, uint8_t value) {
  Image image{.width = width, .height = height, .channels = 3, .pixels = {}};
  image.pixels.assign(static_cast<size_t>(width * height * 3), value);
  return image;
}

int at(const Image& image, int x, int y, int channel) {
  return image.pixels[static_cast<size_t>((y * image.width + x) * image.channels + channel)];
}

std::string size(const Image& image) { return fmt::format("{}x{}", image.width, image.height); }

Canvas made(const Image& picture, const CanvasSettings& settings, const Image& mask = {}) {
  return make_canvas(picture, mask, settings, model());
}

TEST(CanvasSize, IsThePicturesOwnRoundedDownToWhatIsBest) {
  EXPECT_EQ(size(made(ramp(200, 130), {}).picture), "192x128");
  EXPECT_EQ(size(made(ramp(128, 64), {}).picture), "128x64");
  EXPECT_EQ(made(ramp(128, 64), {}).picture.pixels, ramp(128, 64).pixels);
  EXPECT_EQ(size(made(ramp(63, 20), {}).picture), "56x16");
  EXPECT_EQ(size(made(ramp(1, 3), {}).picture), "8x8");
}

TEST(CanvasSize, ASideKeepsTheShape) {
  CanvasSettings settings;
  settings.width = 64;
  EXPECT_EQ(size(made(ramp(200, 100), settings).picture), "64x32");
  settings = {};
  settings.height = 64;
  EXPECT_EQ(size(made(ramp(200, 100), settings).picture), "128x64");
}

TEST(CanvasFit, CropsPadsAndStretches) {
  CanvasSettings settings;
  settings.width = 64;
  settings.height = 64;
  const Image wide = ramp(128, 64);
  const Image cropped = made(wide, settings).picture;
  EXPECT_EQ(size(cropped), "64x64");
  EXPECT_EQ(cropped.pixels, crop(wide, {.left = 32, .top = 0, .width = 64, .height = 64}).pixels);

  settings.fit = Fit::Pad;
  const Image padded = made(wide, settings).picture;
  EXPECT_EQ(size(padded), "64x64");
  for (int y = 0; y < 16; ++y) EXPECT_EQ(at(padded, 20, y, 0), at(padded, 20, 16, 0));
  EXPECT_NE(at(padded, 20, 16, 1), at(padded, 20, 47, 1));

  settings.fit = Fit::Stretch;
  const Image stretched = made(wide, settings).picture;
  EXPECT_EQ(size(stretched), "64x64");
  EXPECT_GT(at(stretched, 63, 30, 0), 120);
  EXPECT_EQ(fit_from_name("pad"), Fit::Pad);
  EXPECT_THROW(fit_from_name("zoom"), Error);
}

TEST(CanvasMask, FollowsThePicture) {
  CanvasSettings settings;
  settings.width = 64;
  settings.height = 64;
  const Image mask = box_mask(128, 64, {.left = 32, .top = 0, .width = 8, .height = 64});
  const Canvas canvas = made(ramp(128, 64), settings, mask);
  EXPECT_EQ(bounds(canvas.mask), (Region{.left = 0, .top = 0, .width = 8, .height = 64}));
  // One of another size and the same shape is resized.
  const Image small = box_mask(64, 32, {.left = 16, .top = 0, .width = 4, .height = 32});
  EXPECT_EQ(size(made(ramp(128, 64), settings, small).mask), "64x64");
  EXPECT_THROW(made(ramp(128, 64), settings, box_mask(64, 64, {0, 0, 8, 8})), Error);
}

TEST(CanvasMask, IsInvertedAndBlurred) {
  CanvasSettings settings;
  settings.invert_mask = true;
  const Image mask = box_mask(64, 64, {.left = 0, .top = 0, .width = 32, .height = 64});
  EXPECT_EQ(bounds(made(ramp(64, 64), settings, mask).mask).left, 32);
  settings = {};
  settings.mask_blur = 4;
  const Image soft = made(ramp(64, 64), settings, mask).mask;
  EXPECT_EQ(at(soft, 10, 20, 0), 255);
  EXPECT_NEAR(at(soft, 31, 20, 0), 127, 16);
  EXPECT_EQ(at(soft, 60, 20, 0), 0);
}

TEST(CanvasMask, MustHaveSomethingWhite) {
  const Image black = box_mask(64, 64, {});
  EXPECT_THROW(made(ramp(64, 64), {}, black), Error);
  CanvasSettings settings;
  settings.only_masked = true;
  EXPECT_THROW(made(ramp(64, 64), settings), Error);
}

TEST(Finished, PutsBackWhatIsOutsideTheMask) {
  const Image mask = box_mask(64, 64, {.left = 16, .top = 16, .width = 8, .height = 8});
  const Canvas canvas = made(ramp(64, 64), {}, mask);
  const Image result = finished(canvas, grey(64, 64, 200));
  EXPECT_EQ(at(result, 15, 20, 0), 15);
  EXPECT_EQ(at(result, 16, 20, 0), 200);
  EXPECT_EQ(at(result, 24, 20, 0), 24);
  EXPECT_EQ(finished(made(ramp(64, 64), {}), grey(64, 64, 9)).pixels, grey(64, 64, 9).pixels);
}

TEST(OnlyMasked, DrawsTheSurroundingsAndPutsThemBack) {
  CanvasSettings settings;
  settings.only_masked = true;
  settings.only_masked_padding = 8;
  settings.width = 64;
  settings.height = 64;
  const Image picture = ramp(200, 100);
  const Image mask = box_mask(200, 100, {.left = 100, .top = 40, .width = 20, .height = 10});
  const Canvas canvas = made(picture, settings, mask);
  EXPECT_EQ(canvas.region, (Region{.left = 92, .top = 27, .width = 36, .height = 36}));
  EXPECT_EQ(size(canvas.picture), "64x64");
  EXPECT_EQ(size(canvas.mask), "64x64");
  const Image result = finished(canvas, grey(64, 64, 250));
  ASSERT_EQ(size(result), "200x100");
  for (int y = 0; y < 100; ++y) {
    for (int x = 0; x < 200; ++x) {
      const bool in = x >= 100 && x < 120 && y >= 40 && y < 50;
      EXPECT_EQ(at(result, x, y, 0), in ? 250 : x) << x << ", " << y;
    }
  }
}

TEST(OnlyMasked, TheSurroundingsStayWithinThePicture) {
  CanvasSettings settings;
  settings.only_masked = true;
  settings.only_masked_padding = 1000000;
  const Image mask = box_mask(130, 70, {.left = 0, .top = 60, .width = 10, .height = 10});
  EXPECT_EQ(made(ramp(130, 70), settings, mask).region, (Region{0, 0, 130, 70}));
  settings.only_masked_padding = 0;
  settings.width = 64;
  settings.height = 64;
  EXPECT_EQ(made(ramp(130, 70), settings, mask).region, (Region{0, 60, 10, 10}));
  // Wider than the picture's height allows.
  const Image tall = box_mask(130, 70, {.left = 60, .top = 0, .width = 2, .height = 70});
  settings.width = 128;
  EXPECT_EQ(made(ramp(130, 70), settings, tall).region, (Region{0, 0, 130, 70}));
}

TEST(Outpaint, ContinuesTheEdgesUnderAWhiteMask) {
  CanvasSettings settings;
  settings.outpaint = {.left = 16, .right = 0, .top = 0, .bottom = 8};
  const Canvas canvas = made(ramp(64, 64), settings);
  EXPECT_EQ(size(canvas.picture), "80x72");
  EXPECT_EQ(at(canvas.picture, 0, 10, 1), 10);
  EXPECT_EQ(at(canvas.picture, 0, 10, 0), 0);
  EXPECT_EQ(at(canvas.picture, 20, 10, 0), 4);
  EXPECT_EQ(at(canvas.mask, 15, 10, 0), 255);
  EXPECT_EQ(at(canvas.mask, 16, 10, 0), 0);
  EXPECT_EQ(at(canvas.mask, 40, 64, 0), 255);
}

TEST(Outpaint, MarginsMakeUpWholeUnits) {
  CanvasSettings settings;
  settings.outpaint = {.left = 0, .right = 10, .top = 0, .bottom = 0};
  EXPECT_EQ(size(made(ramp(67, 64), settings).picture), "80x64");
}

TEST(Outpaint, ABlurSoftensTheSeamInsideThePictureOnly) {
  CanvasSettings settings;
  settings.outpaint = {.left = 16, .right = 0, .top = 0, .bottom = 0};
  settings.mask_blur = 4;
  const Image mask = made(ramp(64, 64), settings).mask;
  EXPECT_EQ(at(mask, 15, 10, 0), 255);
  EXPECT_GT(at(mask, 17, 10, 0), 50);
  EXPECT_EQ(at(mask, 40, 10, 0), 0);
}

}  // namespace
}  // namespace easel
