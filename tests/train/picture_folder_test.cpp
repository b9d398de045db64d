#include "easel/train/picture_folder.h"

#include <set>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <easel/base/error.h>
#include <easel/io/image.h>
#include <easel/io/tensor_file.h>

#include "tests/support/temp_dir.h"

namespace easel {
namespace {

using test::file_bytes;
using test::message_of;
using test::TempDir;
namespace fs = std::filesystem;

// A PNG whose samples are all different enough to tell crops and flips apart.
std::string png(int width, int height) {
  Image image{.width = width, .height = height, .channels = 3, .pixels = {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (const int sample : {x, y, 100}) image.pixels.push_back(static_cast<uint8_t>(sample));
    }
  }
  const std::vector<std::byte> bytes = encode_png(image);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The sample that a value of a picture in [-1, 1] was.
int sample(const Tensor& picture_CHW, int64_t c, int64_t y, int64_t x) {
  return static_cast<int>(std::lround((picture_CHW[c][y][x].item<double>() + 1) * 127.5));
}

PictureFolder open(const TempDir& dir, PictureFolderOptions options = {}) {
  options.data_root = dir.path();
  return PictureFolder(options);
}

std::string refused(const TempDir& dir, const PictureFolderOptions& options = {}) {
  return message_of<Error>([&] { open(dir, options); });
}

void expect_in(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(message.find(part), std::string::npos) << "'" << part << "' in: " << message;
  }
}

TEST(PictureFolder, FindsPicturesToTheBottomInTheOrderOfTheirPaths) {
  const TempDir dir;
  fs::create_directories(dir / "b/deep");
  fs::create_directories(dir / ".hidden");
  dir.write("c.PNG", png(2, 2));
  dir.write("a.jpg", png(2, 2));
  dir.write("b/deep/x.jpeg", png(2, 2));
  dir.write("b/2.png", png(2, 2));
  dir.write("b/10.png", png(2, 2));
  dir.write(".d.png", png(2, 2));
  dir.write(".hidden/e.png", png(2, 2));
  dir.write("notes.md", "no picture");
  fs::create_directory_symlink(dir.path(), dir / "b/loop");
  const PictureFolder folder = open(dir);
  std::vector<std::string> names;
  for (int64_t i = 0; i < folder.size(); ++i) names.push_back(folder.name(i));
  EXPECT_EQ(names,
            (std::vector<std::string>{"a.jpg", "b/10.png", "b/2.png", "b/deep/x.jpeg", "c.PNG"}));
}

TEST(PictureFolder, FollowsLinks) {
  const TempDir dir, elsewhere;
  elsewhere.write("x.png", png(3, 3));
  elsewhere.write("x.txt", "linked");
  fs::create_directory_symlink(elsewhere.path(), dir / "linked");
  const PictureFolder folder = open(dir);
  ASSERT_EQ(folder.size(), 1);
  EXPECT_EQ(folder.load(0, 0).caption, "linked");
}

TEST(PictureFolder, TakesCaptionsFromTheFileBesideThePicture) {
  const TempDir dir;
  dir.write("a.png", png(2, 2));
  dir.write("a.txt", "\xEF\xBB\xBF \t a red circle\r\non blue \n\n");
  dir.write("b.png", png(2, 2));
  dir.write("c.png", png(2, 2));
  dir.write("c.txt", "\u84dd\u8272\u80cc\u666f\u4e0a\u7684\u7ea2\u8272\u5706\u5f62\n");
  const PictureFolder folder = open(dir);
  EXPECT_EQ(folder.caption(0, 1), "a red circle\r\non blue");
  EXPECT_EQ(folder.caption(1, 1), "");
  EXPECT_EQ(folder.caption(2, 1), "\u84dd\u8272\u80cc\u666f\u4e0a\u7684\u7ea2\u8272\u5706\u5f62");
  EXPECT_EQ(folder.load(2, 1).caption, folder.caption(2, 1));
}

TEST(PictureFolder, ReadsMetadataAsImagefolderHasIt) {
  const TempDir dir;
  fs::create_directories(dir / "sub/inner");
  for (const char* name : {"a.png", "b.png", "c.png", "sub/a.png", "sub/inner/d.png"}) {
    dir.write(name, png(2, 2));
  }
  dir.write("c.txt", "from the text file");
  dir.write("a.txt", "not this one");
  // With a byte order mark, a blank line, CRLF and no newline at the end.
  dir.write("metadata.jsonl",
            "\xEF\xBB\xBF{\"file_name\": \"./a.png\", \"text\": \"caf\\u00e9\", \"n\": 1}\r\n\n"
            "{\"file_name\": \"b.png\", \"text\": null}\n"
            "{\"file_name\": \"sub/inner/d.png\", \"text\": \"above\"}\n"
            "{\"file_name\": \"sub/a.png\", \"text\": \"above\"}");
  dir.write("sub/metadata.jsonl", "{\"file_name\": \"a.png\", \"text\": [\"nearer\"]}\n");
  const PictureFolder folder = open(dir);
  ASSERT_EQ(folder.size(), 5);
  EXPECT_EQ(folder.caption(0, 0), "caf\u00e9");
  EXPECT_EQ(folder.caption(1, 0), "");
  EXPECT_EQ(folder.caption(2, 0), "from the text file");
  EXPECT_EQ(folder.caption(3, 0), "nearer");
  EXPECT_EQ(folder.caption(4, 0), "above");
}

TEST(PictureFolder, ChoosesOneOfSeveralCaptionsByTheSeed) {
  const TempDir dir;
  dir.write("a.png", png(2, 2));
  dir.write("metadata.jsonl", R"({"file_name": "a.png", "prompt": ["one", "two", "three"]})");
  const PictureFolder folder = open(dir, {.caption_key = "prompt"});
  std::map<std::string, int> counts;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    ++counts[folder.caption(0, seed)];
    EXPECT_EQ(folder.caption(0, seed), folder.load(0, seed).caption);
  }
  ASSERT_EQ(counts.size(), 3u);
  for (const auto& [caption, count] : counts) EXPECT_GT(count, 60) << caption;
}

TEST(PictureFolder, NamesTheLineOfBrokenMetadata) {
  const std::string good = "{\"file_name\": \"a.png\", \"text\": \"x\"}\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{\"file_name\": \"b.png\", ", "not JSON"},
      {"[1]", "array where an object"},
      {"{\"text\": \"x\"}", "file_name"},
      {"{\"file_name\": 3}", "file_name"},
      {"{\"file_name\": \"\"}", "no path inside"},
      {"{\"file_name\": \"missing.png\"}", "does not exist"},
      {"{\"file_name\": \"../a.png\"}", "'..' are refused"},
      {"{\"file_name\": \"sub/../../x.png\"}", "'..' are refused"},
      {"{\"file_name\": \"/etc/passwd\"}", "absolute"},
      {"{\"file_name\": \"a.png\\u0000.png\"}", "no path inside"},
      {"{\"file_name\": \".b.png\"}", "hidden"},
      {"{\"file_name\": \"./a.png\"}", "listed twice, first in line 1"},
      {"{\"file_name\": \"b.png\", \"text\": 3}", "number"},
      {"{\"file_name\": \"b.png\", \"text\": [\"x\", 3]}", "list with other things"},
      {"{\"file_name\": \"b.png\", \"text\": {\"a\": 1}}", "object"},
      {"{\"file_name\": \"b.png\", \"text\": \"\xFF\"}", "not JSON"},
      {std::string(100, '[') + std::string(100, ']'), "nested too deeply"},
      {"{\"file_name\": \"sub\"}", "does not exist"},
  };
  for (const auto& [line, part] : cases) {
    const TempDir dir;
    fs::create_directories(dir / "sub");
    dir.write("a.png", png(2, 2));
    dir.write("b.png", png(2, 2));
    dir.write(".b.png", png(2, 2));
    dir.write("metadata.jsonl", good + line + "\n");
    expect_in(refused(dir), {"metadata.jsonl:2", part});
  }
}

TEST(PictureFolder, RefusesMetadataOfOtherKinds) {
  const TempDir dir;
  dir.write("a.png", png(2, 2));
  dir.write("b.webp", "RIFF");
  dir.write("metadata.jsonl", "{\"file_name\": \"b.webp\", \"text\": \"x\"}\n");
  expect_in(refused(dir), {"b.webp", ".png"});
  fs::remove(dir / "metadata.jsonl");
  dir.write("metadata.csv", "file_name,text\n");
  expect_in(refused(dir), {"metadata.csv", "metadata.jsonl"});
}

TEST(PictureFolder, SaysWhichCaptionsAreMissing) {
  const TempDir dir;
  for (int i = 0; i < 9; ++i) dir.write(fmt::format("{}.png", i), png(2, 2));
  dir.write("0.txt", "a caption");
  dir.write("1.txt", " \n");
  EXPECT_EQ(refused(dir), "");
  const std::string message = refused(dir, {.require_captions = true});
  expect_in(message, {"8 of the 9", "'1.png'", "'5.png'", "...", "NAME.txt"});
  EXPECT_EQ(message.find("'6.png'"), std::string::npos) << message;
}

TEST(PictureFolder, HintsAtTheKeyThatHasTheCaptions) {
  const TempDir dir;
  dir.write("a.png", png(2, 2));
  dir.write("metadata.jsonl", "{\"file_name\": \"a.png\", \"caption\": \"x\"}\n");
  expect_in(refused(dir, {.require_captions = true}), {"'text'", "'caption'", "caption_key"});
  EXPECT_EQ(refused(dir, {.caption_key = "caption", .require_captions = true}), "");
}

TEST(PictureFolder, RefusesFoldersWithoutPictures) {
  const TempDir dir;
  expect_in(message_of<Error>([&] { PictureFolder({.data_root = dir / "no"}); }),
            {"does not exist", "no"});
  expect_in(message_of<Error>([&] { PictureFolder({.data_root = ""}); }), {"data_root"});
  const fs::path file = dir.write("file", "x");
  expect_in(message_of<Error>([&] { PictureFolder({.data_root = file}); }), {"no folder"});
  expect_in(refused(dir), {"holds no pictures", ".png"});
  dir.write("a.webp", "RIFF");
  expect_in(refused(dir), {"a.webp", "converted"});
}

TEST(PictureFolder, RefusesCaptionsThatAreNoText) {
  const TempDir dir;
  dir.write("a.png", png(2, 2));
  dir.write("a.txt", "caf\xE9");
  expect_in(refused(dir), {"a.txt", "UTF-8"});
  dir.write("a.txt", std::string((1 << 20) + 1, 'x'));
  expect_in(refused(dir), {"a.txt"});
}

TEST(PictureFolder, RefusesOptionsThatMakeNoSense) {
  const TempDir dir;
  dir.write("a.png", png(2, 2));
  expect_in(refused(dir, {.size = -1}), {"size", "-1"});
  expect_in(refused(dir, {.crop_size = -1}), {"crop_size"});
  expect_in(refused(dir, {.size = 8, .crop_size = 9}), {"crop_size 9", "size 8"});
  expect_in(refused(dir, {.random_crop = true}), {"random_crop"});
  expect_in(refused(dir, {.flip_p = 1.5}), {"flip_p"});
  expect_in(refused(dir, {.flip_p = std::nan("")}), {"flip_p"});
  expect_in(refused(dir, {.interpolation = "cubic"}), {"bicubic"});
  expect_in(refused(dir, {.caption_key = ""}), {"caption_key"});
  expect_in(refused(dir, {.max_pixels = 0}), {"max_pixels"});
}

class PictureTransforms : public testing::TestWithParam<std::string> {};

TEST_P(PictureTransforms, AreTorchvisionsResizeAndCenterCrop) {
  const fs::path data = EASEL_TEST_DATA "/resize";
  const Tensor want = read_npy(data / ("cropped_" + GetParam() + ".npy"));
  int64_t offset = 0;
  for (int64_t picture = 0; picture < 2; ++picture) {
    for (const auto& [size, crop] :
         std::vector<std::pair<int64_t, int64_t>>{{16, 11}, {25, 24}, {13, 8}, {13, 13}, {20, 7}}) {
      const PictureFolder folder(
          {.data_root = data, .size = size, .crop_size = crop, .interpolation = GetParam()});
      ASSERT_EQ(folder.size(), 2);
      const Tensor got_CHW = folder.load(picture, 7).picture_CHW;
      ASSERT_EQ(got_CHW.sizes(), (at::IntArrayRef{3, crop, crop}));
      const Tensor want_CHW =
          want.narrow(0, offset, got_CHW.numel()).reshape(got_CHW.sizes()).to(at::kFloat) / 127.5 -
          1;
      EXPECT_LT((got_CHW - want_CHW).abs().max().item<float>(), 1e-6) << size << " " << crop;
      offset += got_CHW.numel();
    }
  }
  EXPECT_EQ(offset, want.numel());
}

INSTANTIATE_TEST_SUITE_P(Filters, PictureTransforms,
                         testing::Values("bilinear", "bicubic", "lanczos"),
                         [](const auto& filter) { return filter.param; });

TEST(PictureFolder, GivesPicturesAsTheyAreWithoutASize) {
  const TempDir dir;
  dir.write("a.png", png(5, 3));
  const Tensor picture_CHW = open(dir).load(0, 0).picture_CHW;
  EXPECT_EQ(picture_CHW.scalar_type(), at::kFloat);
  ASSERT_EQ(picture_CHW.sizes(), (at::IntArrayRef{3, 3, 5}));
  EXPECT_EQ(sample(picture_CHW, 0, 2, 4), 4);
  EXPECT_EQ(sample(picture_CHW, 1, 2, 4), 2);
  EXPECT_EQ(picture_CHW[0][0][0].item<float>(), -1);
}

TEST(PictureFolder, CropsAtEveryPlaceByTheSeed) {
  const TempDir dir;
  dir.write("a.png", png(7, 6));
  const PictureFolder folder = open(dir, {.crop_size = 4, .random_crop = true});
  EXPECT_TRUE(folder.is_random());
  std::map<std::pair<int, int>, int> places;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const Tensor picture_CHW = folder.load(0, seed).picture_CHW;
    EXPECT_TRUE(at::equal(picture_CHW, folder.load(0, seed).picture_CHW));
    const int left = sample(picture_CHW, 0, 0, 0);
    const int top = sample(picture_CHW, 1, 0, 0);
    EXPECT_EQ(sample(picture_CHW, 0, 3, 3), left + 3);
    EXPECT_EQ(sample(picture_CHW, 1, 3, 3), top + 3);
    ++places[{left, top}];
  }
  ASSERT_EQ(places.size(), 12u);
  for (const auto& [place, count] : places) EXPECT_GT(count, 20);
}

TEST(PictureFolder, FlipsWithItsProbabilityAndTheCropStays) {
  const TempDir dir;
  dir.write("a.png", png(9, 9));
  const PictureFolder plain = open(dir, {.crop_size = 4, .random_crop = true});
  const PictureFolder half = open(dir, {.crop_size = 4, .random_crop = true, .flip_p = 0.5});
  const PictureFolder always = open(dir, {.crop_size = 4, .random_crop = true, .flip_p = 1});
  int flips = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const Tensor picture_CHW = plain.load(0, seed).picture_CHW;
    const Tensor mirrored_CHW = picture_CHW.flip(2);
    EXPECT_TRUE(at::equal(always.load(0, seed).picture_CHW, mirrored_CHW));
    const Tensor got_CHW = half.load(0, seed).picture_CHW;
    const bool flipped = at::equal(got_CHW, mirrored_CHW);
    EXPECT_TRUE(flipped || at::equal(got_CHW, picture_CHW));
    flips += flipped ? 1 : 0;
  }
  EXPECT_GT(flips, 150);
  EXPECT_LT(flips, 250);
  EXPECT_FALSE(open(dir).is_random());
}

TEST(PictureFolder, ThrowsOnPicturesThatCannotBeUsed) {
  const TempDir dir;
  const std::string whole = png(8, 8);
  dir.write("0-cut.png", whole.substr(0, whole.size() / 2));
  dir.write("1-empty.png", "");
  dir.write("2-text.jpg", "not a picture");
  dir.write("3-small.png", png(3, 9));
  dir.write("4-large.png", png(30, 30));
  dir.write("5-good.png", whole);
  const PictureFolder folder = open(dir, {.crop_size = 4, .max_pixels = 100});
  const std::vector<std::string> parts = {"0-cut", "1-empty", "2-text", "smaller than the crop",
                                          "4-large"};
  for (size_t i = 0; i < parts.size(); ++i) {
    expect_in(message_of<Error>([&] { folder.load(static_cast<int64_t>(i), 0); }), {parts[i]});
  }
  EXPECT_EQ(folder.load(5, 0).picture_CHW.numel(), 3 * 16);
  dir.write("6-gone.png", whole);
  const PictureFolder before = open(dir);
  fs::remove(dir / "6-gone.png");
  expect_in(message_of<Error>([&] { before.load(6, 0); }), {"6-gone.png"});
}

TEST(PictureFolder, RefusesALongPictureThatWouldGrowTooLarge) {
  const TempDir dir;
  dir.write("long.png", png(2000, 1));
  const PictureFolder folder = open(dir, {.size = 64, .max_pixels = 1 << 20});
  expect_in(message_of<Error>([&] { folder.load(0, 0); }), {"long.png", "128000x64"});
}

TEST(PictureFolder, IsADatasetThatOutlivesItsOwner) {
  const TempDir dir;
  dir.write("a.png", png(4, 4));
  dir.write("a.txt", "x");
  auto folder = std::make_shared<const PictureFolder>(open(dir));
  const Dataset dataset = as_dataset(folder);
  folder.reset();
  EXPECT_EQ(dataset.size, 1);
  EXPECT_EQ(dataset.name(0), "a.png");
  EXPECT_EQ(dataset.caption(0, 0), "x");
  EXPECT_EQ(dataset.load(0, 0).picture_CHW.numel(), 48);
}

}  // namespace
}  // namespace easel
