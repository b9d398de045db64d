#include "easel/train/picture_folder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <easel/base/error.h>
#include <easel/base/utf8.h>
#include <easel/io/file.h>
#include <easel/io/image.h>
#include <easel/io/resize.h>
#include <easel/train/batch.h>

#include "picture_metadata.h"

namespace easel {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 7> kReadable = {".bmp", ".jpeg", ".jpg", ".pgm",
                                                       ".png", ".pnm",  ".ppm"};
constexpr std::array<std::string_view, 6> kUnreadable = {".avif", ".gif",  ".heic",
                                                         ".tif",  ".tiff", ".webp"};
constexpr int64_t kMaxSide = 1 << 20;
constexpr size_t kMaxCaptionBytes = 1 << 20;
constexpr std::string_view kSpace = " \t\r\n\f\v";

// What an example's seed is mixed with for each of its choices.
enum Choice : uint64_t { kCropTop = 0x70696374, kCropLeft, kFlip, kCaption };

// Uniform in [0, 1).
double uniform(uint64_t seed, Choice choice) {
  return static_cast<double>(mix_seed(seed, choice) >> 11) * 0x1p-53;
}

// Uniform in 0 ... count - 1.
int64_t uniform_below(int64_t count, uint64_t seed, Choice choice) {
  return std::min(count - 1,
                  static_cast<int64_t>(uniform(seed, choice) * static_cast<double>(count)));
}

std::string shown(const fs::path& path) { return printable(path.native(), 4096); }

std::string extension(const fs::path& path) {
  std::string text = path.extension().string();
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

template <size_t kCount>
bool has_extension(const fs::path& path, const std::array<std::string_view, kCount>& list) {
  return std::find(list.begin(), list.end(), extension(path)) != list.end();
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

void check_options(const PictureFolderOptions& options) {
  const auto side = [](std::string_view name, int64_t value) {
    if (value < 0 || value > kMaxSide) {
      fail_usage("{} is a number of pixels from 0 to {}; got {}", name, kMaxSide, value);
    }
  };
  side("size", options.size);
  side("crop_size", options.crop_size);
  if (options.size > 0 && options.crop_size > options.size) {
    fail_usage("crop_size {} is more than size {}, the shorter side that it is cut from",
               options.crop_size, options.size);
  }
  if (options.random_crop && options.size == 0 && options.crop_size == 0) {
    fail_usage("random_crop needs a size or a crop_size");
  }
  if (!(options.flip_p >= 0 && options.flip_p <= 1)) {
    fail_usage("flip_p is a probability from 0 to 1; got {}", options.flip_p);
  }
  if (options.max_pixels < 1) fail_usage("max_pixels is at least 1; got {}", options.max_pixels);
  if (options.caption_key.empty()) fail_usage("caption_key is empty; the usual one is 'text'");
  resize_filter_from_name(options.interpolation);
}

// What stands in a folder and below it.
struct Found {
  std::map<std::string, std::vector<std::string>> pictures;  // captions by path below the root
  std::vector<std::string> keys;                             // of all metadata.jsonl
  std::string unreadable;  // a file of a kind that is not read, for the message
};

class Search {
 public:
  Search(const fs::path& root, const std::string& caption_key)
      : root_(root), caption_key_(caption_key) {}

  Found run() && {
    visit("", {});
    return std::move(found_);
  }

 private:
  // Captions that a folder's own metadata.jsonl or one above gives, by path below the root.
  using Captions = std::map<fs::path, std::vector<std::string>>;

  void visit(const fs::path& folder, const std::vector<const Captions*>& above) {
    // A link may lead back to a folder that was already seen.
    if (!seen_.insert(fs::canonical(root_ / folder)).second) return;
    std::vector<fs::path> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(root_ / folder)) {
      if (!entry.path().filename().native().starts_with('.'))
        names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());

    std::vector<const Captions*> metadata = above;
    Captions own;
    if (read_metadata(folder, own)) metadata.push_back(&own);
    for (const fs::path& name : names) {
      const fs::path path = folder / name;
      std::error_code dangling;
      if (fs::is_directory(root_ / path, dangling)) {
        visit(path, metadata);
      } else if (has_extension(path, kReadable)) {
        add(path, metadata);
      } else if (found_.unreadable.empty() && has_extension(path, kUnreadable)) {
        found_.unreadable = path.string();
      }
    }
  }

  bool read_metadata(const fs::path& folder, Captions& captions) {
    const fs::path file = root_ / folder / "metadata.jsonl";
    if (!fs::exists(file)) {
      const fs::path csv = root_ / folder / "metadata.csv";
      if (fs::exists(csv)) {
        fail("'{}' is not read; make it a metadata.jsonl, one JSON object a line", shown(csv));
      }
      return false;
    }
    for (auto& [name, texts] : read_picture_metadata(file, caption_key_, found_.keys)) {
      if (!has_extension(name, kReadable)) {
        fail("'{}' lists '{}', which is no picture that can be read; known are {}", shown(file),
             shown(name), fmt::join(kReadable, ", "));
      }
      captions.emplace(folder / name, std::move(texts));
    }
    return true;
  }

  // The nearest metadata.jsonl that names the picture decides, then the text file beside it.
  void add(const fs::path& path, const std::vector<const Captions*>& metadata) {
    for (auto nearest = metadata.rbegin(); nearest != metadata.rend(); ++nearest) {
      if (const auto listed = (*nearest)->find(path); listed != (*nearest)->end()) {
        found_.pictures.emplace(path.string(), listed->second);
        return;
      }
    }
    found_.pictures.emplace(path.string(), sidecar(path));
  }

  std::vector<std::string> sidecar(fs::path path) const {
    const fs::path file = root_ / path.replace_extension(".txt");
    if (!fs::exists(file)) return {};
    const std::string text = read_text_file(file, kMaxCaptionBytes);
    if (!is_valid_utf8(text)) fail("the caption in '{}' is not UTF-8", shown(file));
    std::string_view caption = text;
    if (caption.starts_with("\xEF\xBB\xBF")) caption.remove_prefix(3);
    return {std::string(trimmed(caption))};
  }

  const fs::path& root_;
  const std::string& caption_key_;
  std::set<fs::path> seen_;
  Found found_;
};

Found search(const PictureFolderOptions& options) {
  const fs::path& root = options.data_root;
  if (root.empty()) fail_usage("data_root is empty; it names the folder of pictures");
  std::error_code ignored;
  if (!fs::exists(root, ignored)) fail("the data folder '{}' does not exist", shown(root));
  if (!fs::is_directory(root, ignored)) fail("'{}' is no folder of pictures", shown(root));
  try {
    Found found = Search(root, options.caption_key).run();
    if (found.pictures.empty()) {
      fail("the data folder '{}' holds no pictures ({}){}", shown(root), fmt::join(kReadable, ", "),
           found.unreadable.empty() ? ""
                                    : "; files such as '" + printable(found.unreadable) +
                                          "' must be converted to one of these first");
    }
    return found;
  } catch (const fs::filesystem_error& error) {
    fail("cannot search the data folder '{}': {}", shown(root), printable(error.what(), 4096));
  }
}

bool is_blank(const std::string& caption) { return trimmed(caption).empty(); }

void check_captions(const PictureFolderOptions& options, const Found& found) {
  std::vector<std::string> missing;
  int64_t num_missing = 0;
  for (const auto& [path, captions] : found.pictures) {
    if (!captions.empty() && std::none_of(captions.begin(), captions.end(), is_blank)) continue;
    ++num_missing;
    if (missing.size() < 5) missing.push_back("'" + printable(path) + "'");
  }
  if (num_missing == 0) return;
  std::vector<std::string> keys;
  for (const std::string& key : found.keys) {
    if (key != "file_name") keys.push_back("'" + printable(key, 40) + "'");
  }
  const bool other_keys = !keys.empty() && std::find(found.keys.begin(), found.keys.end(),
                                                     options.caption_key) == found.keys.end();
  keys.resize(std::min<size_t>(keys.size(), 10));
  fail(
      "{} of the {} pictures in '{}' have no caption: {}{}; captions come from the key '{}' of "
      "metadata.jsonl{} or from NAME.txt beside the picture",
      num_missing, found.pictures.size(), shown(options.data_root), fmt::join(missing, ", "),
      num_missing > static_cast<int64_t>(missing.size()) ? " ..." : "",
      printable(options.caption_key),
      other_keys ? fmt::format(" (its keys are {}: see caption_key)", fmt::join(keys, ", ")) : "");
}

// The size of a picture whose shorter side becomes `size`; the longer is rounded down, as
// torchvision does it.
std::pair<int64_t, int64_t> scaled(const Image& image, int64_t size) {
  const int64_t shorter = std::min(image.width, image.height);
  return {image.width * size / shorter, image.height * size / shorter};
}

// The pixels of the rectangle as float32 [3, height, width] in [-1, 1].
Tensor to_tensor(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width,
                 bool flip) {
  Tensor picture_CHW = at::empty({3, height, width}, at::kFloat);
  float* const out = picture_CHW.data_ptr<float>();
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* row = image.pixels.data() + ((top + y) * image.width + left) * 3;
    for (int64_t x = 0; x < width; ++x) {
      const uint8_t* pixel = row + (flip ? width - 1 - x : x) * 3;
      for (int64_t c = 0; c < 3; ++c) {
        out[(c * height + y) * width + x] = static_cast<float>(pixel[c]) / 127.5F - 1.0F;
      }
    }
  }
  return picture_CHW;
}

}  // namespace

PictureFolder::PictureFolder(PictureFolderOptions options) : options_(std::move(options)) {
  check_options(options_);
  Found found = search(options_);
  if (options_.require_captions) check_captions(options_, found);
  for (auto& [path, captions] : found.pictures)
    pictures_.push_back({fs::path(path), std::move(captions)});
}

const PictureFolder::Picture& PictureFolder::at(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < size(), "PictureFolder: index ", index, " of ", size());
  return pictures_[static_cast<size_t>(index)];
}

std::string PictureFolder::name(int64_t index) const { return printable(at(index).path.native()); }

std::string PictureFolder::caption(int64_t index, uint64_t seed) const {
  const std::vector<std::string>& captions = at(index).captions;
  if (captions.empty()) return "";
  return captions[static_cast<size_t>(
      uniform_below(static_cast<int64_t>(captions.size()), seed, kCaption))];
}

Example PictureFolder::load(int64_t index, uint64_t seed) const {
  const fs::path path = options_.data_root / at(index).path;
  Image image = read_image(path, 3, options_.max_pixels);
  if (options_.size > 0) {
    const auto [width, height] = scaled(image, options_.size);
    if (width > options_.max_pixels / height || std::max(width, height) > kMaxSide) {
      fail("the picture '{}' of {}x{} pixels would be too large at {}x{}", shown(path), image.width,
           image.height, width, height);
    }
    image = resize(image, static_cast<int>(width), static_cast<int>(height),
                   resize_filter_from_name(options_.interpolation));
  }
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = image.height;
  int64_t width = image.width;
  if (const int64_t crop = options_.crop_size > 0 ? options_.crop_size : options_.size; crop > 0) {
    if (width < crop || height < crop) {
      fail("the picture '{}' of {}x{} pixels is smaller than the crop of {}x{}", shown(path), width,
           height, crop, crop);
    }
    // The centre is rounded to even, as torchvision's CenterCrop does it.
    const auto start = [&](int64_t space, Choice choice) {
      return options_.random_crop
                 ? uniform_below(space + 1, seed, choice)
                 : static_cast<int64_t>(std::nearbyint(static_cast<double>(space) / 2));
    };
    top = start(height - crop, kCropTop);
    left = start(width - crop, kCropLeft);
    height = width = crop;
  }
  const bool flip = uniform(seed, kFlip) < options_.flip_p;
  return {to_tensor(image, top, left, height, width, flip), caption(index, seed)};
}

Dataset as_dataset(std::shared_ptr<const PictureFolder> folder) {
  return {
      .size = folder->size(),
      .load = [folder](int64_t index, uint64_t seed) { return folder->load(index, seed); },
      .caption = [folder](int64_t index, uint64_t seed) { return folder->caption(index, seed); },
      .name = [folder](int64_t index) { return folder->name(index); }};
}

}  // namespace easel
