// img2img's options: CompVis's with their spellings and defaults, and what Easel adds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <easel/base/fields.h>
#include <easel/pipeline/run.h>

#include "cli/drawing_options.h"
#include "cli/settings_text.h"

namespace easel::cli {

// The picture that a run starts from, and what of it is repainted.
struct InitOptions {
  std::filesystem::path init_img;
  double strength = 0.75;
  double image_cfg = 1.5;
  std::filesystem::path depth;
  int64_t noise_level = 20;
  std::string encode = "mean";
  std::optional<int64_t> height;
  std::optional<int64_t> width;
  std::string fit = "crop";

  std::filesystem::path mask;
  bool invert_mask = false;
  double mask_blur = 0;
  bool only_masked = false;
  int64_t only_masked_padding = 32;
  std::string outpaint;

  bool operator==(const InitOptions&) const = default;

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    picture_fields(self, visit);
    mask_fields(self, visit);
  }

 private:
  template <class Self, class Visit>
  static void picture_fields(Self& self, Visit& visit) {
    constexpr std::string_view group = "The picture it starts from";
    visit(self.init_img, FieldInfo{.name = "init-img",
                                   .aliases = "i",
                                   .group = group,
                                   .help = "the picture: PNG, JPEG, BMP, GIF, PSD, TGA, PNM",
                                   .value = "FILE"});
    visit(self.strength,
          FieldInfo{.name = "strength",
                    .group = group,
                    .help = "how far it may change, 0 (not at all) to 1 (nothing of it stays; the "
                            "default of --outpaint)",
                    .value = "X"});
    visit(self.image_cfg,
          FieldInfo{.name = "image-cfg",
                    .aliases = "cfg-image,image-cfg-scale",
                    .group = group,
                    .help = "InstructPix2Pix: how closely it keeps to the picture (--scale: to the "
                            "prompt); such a model has no use for --strength",
                    .value = "X"});
    visit(
        self.depth,
        FieldInfo{.name = "depth",
                  .group = group,
                  .help = "Stable Diffusion 2's depth model: how near what is in the picture is, a "
                          "picture of the same shape; lighter is nearer",
                  .value = "FILE"});
    visit(self.noise_level,
          FieldInfo{.name = "noise-level",
                    .group = group,
                    .help = "Stable Diffusion 2's upscaler, which draws the picture four times as "
                            "large: how much of its detail is made up, 0 to 350; such a model has "
                            "no use for --strength",
                    .value = "N"});
    visit(self.encode, FieldInfo{.name = "encode",
                                 .group = group,
                                 .help = "which latents stand for it: the mean of what the "
                                         "autoencoder says, or a sample as in CompVis's",
                                 .value = "HOW",
                                 .choices = "mean,sample"});
    visit(self.height,
          FieldInfo{.name = "H",
                    .aliases = "height",
                    .group = group,
                    .help = "height of what is drawn; by default the picture's own, rounded down "
                            "to what the model draws best (64), or what keeps its shape",
                    .value = "N"});
    visit(self.width, FieldInfo{.name = "W",
                                .aliases = "width",
                                .group = group,
                                .help = "width of what is drawn, likewise",
                                .value = "N"});
    visit(self.fit, FieldInfo{.name = "fit",
                              .group = group,
                              .help = "how it comes to another shape",
                              .value = "HOW",
                              .choices = "crop,pad,stretch"});
  }

  template <class Self, class Visit>
  static void mask_fields(Self& self, Visit& visit) {
    constexpr std::string_view group = "Repainting a part";
    visit(self.mask, FieldInfo{.name = "mask",
                               .group = group,
                               .help = "a picture of the same shape: white is repainted, black "
                                       "stays as it is, grey is in between",
                               .value = "FILE"});
    visit(self.invert_mask,
          FieldInfo{
              .name = "invert-mask", .group = group, .help = "black is repainted, white stays"});
    visit(self.mask_blur,
          FieldInfo{.name = "mask-blur",
                    .group = group,
                    .help = "softens the mask's edges, in pixels of the picture (8 is soft)",
                    .value = "X"});
    visit(self.only_masked,
          FieldInfo{.name = "only-masked",
                    .group = group,
                    .help = "draw the mask's surroundings alone, at the whole size, and put them "
                            "back into the picture"});
    visit(self.only_masked_padding, FieldInfo{.name = "only-masked-padding",
                                              .group = group,
                                              .help = "pixels of the picture around the mask",
                                              .value = "N"});
    visit(self.outpaint,
          FieldInfo{.name = "outpaint",
                    .group = group,
                    .help = "pixels to add to the picture's sides, as LEFT,RIGHT,TOP,BOTTOM; "
                            "--mask-blur softens the seam",
                    .value = "L,R,T,B"});
  }
};

struct Img2ImgOptions {
  InitOptions init;
  DrawingOptions drawing{.batch = {.n_samples = 2, .n_iter = 1},
                         .sampling = {.scale = 5.0},
                         .output = {.outdir = "outputs/img2img-samples"}};

  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    PromptOptions::fields(self.drawing.prompt, visit);
    InitOptions::fields(self.init, visit);
    DrawingOptions::fields_after_prompt(self.drawing, visit);
  }
};

// Checks the options and settles what depends on what was given; reads the picture and the mask.
// Throws Error.
class InitPicture {
 public:
  InitPicture(InitOptions& options, const Given& given);

  // What a run on this model starts from.
  RunInit start(const ModelSummary& model, const Given& given) const;

 private:
  const InitOptions& options_;
  CanvasSettings settings_;
  Image picture_;
  Image mask_;
  Image depth_;
};

// Whether a run on this model starts from noise alone, so that --strength has no meaning.
bool starts_from_noise(const ModelSummary& model);

// What A1111's list says of them.
std::vector<std::pair<std::string, std::string>> init_parameters(const InitOptions& options,
                                                                 const ModelSummary& model);

}  // namespace easel::cli
