// A folder of pictures with captions.
//
// Captions come from metadata.jsonl as Hugging Face's imagefolder has it (one JSON object a line:
// "file_name", relative to the file's own folder, and the caption under `caption_key`, a string or
// a list of strings of which the example's seed chooses one), in the folder or in any below it; for
// a picture that no metadata.jsonl names, from NAME.txt beside NAME.png, trimmed; else they are "".
// Folders are searched to the bottom, links followed, hidden files and folders left out; pictures
// stand in the byte order of their paths.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <easel/base/fields.h>
#include <easel/train/dataset.h>

namespace easel {

struct PictureFolderOptions {
  std::filesystem::path data_root = {};
  int64_t size = 0;
  int64_t crop_size = 0;
  bool random_crop = false;
  double flip_p = 0;
  std::string interpolation = "bicubic";
  std::string caption_key = "text";
  bool require_captions = false;
  int64_t max_pixels = int64_t{1} << 28;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit(self.data_root, FieldInfo{.name = "data_root", .help = "The folder of pictures."});
    visit(self.size, FieldInfo{.name = "size",
                               .help = "The shorter side in pixels that pictures are resized to; "
                                       "0 leaves them as they are.",
                               .value = "N"});
    visit(self.crop_size, FieldInfo{.name = "crop_size",
                                    .help = "The side in pixels of the square that is cut out; 0 "
                                            "is size (and no crop where size is 0).",
                                    .value = "N"});
    visit(self.random_crop,
          FieldInfo{.name = "random_crop", .help = "Cut at a random place, not at the centre."});
    visit(self.flip_p, FieldInfo{.name = "flip_p",
                                 .help = "Probability, 0 to 1, of mirroring left and right; "
                                         "captions may speak of left and right.",
                                 .value = "P"});
    visit(self.interpolation, FieldInfo{.name = "interpolation",
                                        .help = "How pictures are resized, as Pillow does it.",
                                        .choices = "bilinear,bicubic,lanczos"});
    visit(self.caption_key, FieldInfo{.name = "caption_key",
                                      .help = "The key of the caption in metadata.jsonl.",
                                      .value = "KEY"});
    visit(self.require_captions,
          FieldInfo{.name = "require_captions", .help = "Every picture must have a caption."});
    visit(self.max_pixels, FieldInfo{.name = "max_pixels",
                                     .help = "Pictures of more pixels count as damaged.",
                                     .value = "N"});
  }
};

// Immutable; safe to share between threads.
class PictureFolder {
 public:
  // Reads the names and the captions, not the pictures. Throws Error where an option makes no
  // sense, the folder is missing or holds no pictures, a line of metadata.jsonl is broken
  // (FILE:LINE) or names a file that does not exist or lies outside, or a caption is not UTF-8 or
  // missing though required.
  explicit PictureFolder(PictureFolderOptions options);

  int64_t size() const { return static_cast<int64_t>(pictures_.size()); }

  // The picture as [3, H, W] and its caption. Throws Error where the picture cannot be read, has
  // too many pixels or is smaller than the crop.
  Example load(int64_t index, uint64_t seed) const;

  std::string caption(int64_t index, uint64_t seed) const;

  // The path below data_root.
  std::string name(int64_t index) const;

  // Whether load gives other pixels for other seeds, so that nothing may be cached.
  bool is_random() const { return options_.random_crop || options_.flip_p > 0; }

  const PictureFolderOptions& options() const { return options_; }

 private:
  struct Picture {
    std::filesystem::path path;  // below data_root
    std::vector<std::string> captions;
  };
  const Picture& at(int64_t index) const;

  PictureFolderOptions options_;
  std::vector<Picture> pictures_;
};

// The folder as a dataset that shares it.
Dataset as_dataset(std::shared_ptr<const PictureFolder> folder);

}  // namespace easel
